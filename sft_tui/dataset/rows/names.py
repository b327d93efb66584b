"""Names of columns that are known, whole or by their parts, and the columns of a source that have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KNOWN: dict[str, tuple[str, ...]] = {
    "instruction": ("instruction", "instructions", "instruct", "指令", "指示", "任务说明"),
    "input": (
        "input", "question", "query", "prompt", "problem", "user", "human", "userinput", "userprompt", "userquery",
        "usermessage", "inputtext", "inputs", "q", "ask", "问题", "提问", "题目", "输入", "输入文本", "用户",
        "用户输入", "用户问题", "问", "问句", "提示", "提示词",
    ),
    "output": (
        "output", "answer", "response", "completion", "reply", "target", "assistant", "outputs", "outputtext",
        "assistantresponse", "modelresponse", "botresponse", "gpt", "a", "solution", "回答", "答案", "输出", "输出文本",
        "回复", "答复", "解答", "答", "应答", "标准答案", "参考答案", "助手",
    ),
    "system": ("system", "systemprompt", "systemmessage", "sysprompt", "系统", "系统提示", "系统提示词"),
    "history": ("history", "历史", "历史对话", "对话历史"),
    "messages": (
        "messages", "conversations", "conversation", "dialog", "dialogue", "dialogs", "turns", "chat", "对话", "消息",
        "会话",
    ),
    "tools": ("tools", "functions", "工具"),
    "images": ("images", "image", "imagepath", "imagepaths", "图片", "图像"),
    "videos": ("videos", "video", "videopath", "videopaths", "视频"),
    "audios": ("audios", "audio", "audiopath", "audiopaths", "音频", "语音"),
    "reasoning": (
        "reasoningcontent", "reasoning", "thinking", "think", "thought", "thoughts", "cot", "complexcot",
        "chainofthought", "reasoningtrace", "reasoningprocess", "思维链", "思考", "思考过程", "推理过程", "推理",
    ),
}  # fmt: skip
"""Whole names of each role, folded, the likeliest first."""

_WORDS = {
    "instruction": {"instruction"},
    "input": {"question", "query", "prompt", "input", "problem"},
    "output": {"answer", "answers", "response", "output", "reply", "completion"},
}
"""English words that tell a role, and what tells it in Chinese."""
_CHINESE = {
    "instruction": re.compile("指令|指示"),
    "input": re.compile("问|输入|题目|咨询|提示|请求"),
    "output": re.compile("答|回复|输出|回应|响应"),
}
_NO_TEXT_WORDS = frozenset({
    "id", "ids", "uid", "uuid", "idx", "index", "type", "kind", "time", "date", "timestamp", "count", "number", "num",
    "len", "length", "size", "token", "tokens", "score", "rating", "rank", "source", "url", "link", "lang", "language",
    "category", "topic", "tag", "tags", "hash", "author", "name", "version", "status", "level", "difficulty",
    "key", "at", "by", "of",
})  # fmt: skip
"""Words after which a column is about a question or an answer, and not one."""
_NO_TEXT_CHINESE = re.compile(
    "编号|序号|时间|日期|类型|类别|分类|来源|长度|数量|次数|字数|评分|得分|分数|标签|标识|状态|链接|网址|语言|难度|作者|"
    "姓名|部门|渠道|方式|人$|者$|员$|数$|率$|问答|ID$|id$"
)
BAD_WORDS = frozenset({
    "rejected", "reject", "incorrect", "wrong", "bad", "worse", "worst", "negative", "distractor", "distractors",
    "invalid", "dispreferred", "undesired", "lose", "loser", "nonpreferred",
})  # fmt: skip
"""Words in the name of a column that holds answers nobody should learn."""
_BAD_CHINESE = re.compile("错误|错答|误答|干扰|拒绝|较差|最差|负样本|负例")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+|[0-9]+")


def fold(name: str) -> str:
    """`name` without case and signs."""
    return "".join(char for char in name.casefold() if char.isalnum())


def words_of(name: str) -> list[str]:
    """The English words of `name`: `userQuestion_2` is user, question, 2."""
    return _WORD.findall(_CAMEL.sub(" ", name).casefold())


def is_bad(name: str) -> bool:
    """Whether `name` says of a column that its answers are the worse ones."""
    return not BAD_WORDS.isdisjoint(words_of(name)) or _BAD_CHINESE.search(name) is not None


def found(columns: Sequence[str], known: Iterable[str]) -> list[str]:
    """The columns that have a known name, in the order of `known`."""
    folded: dict[str, list[str]] = {}
    for column in columns:
        folded.setdefault(fold(column), []).append(column)
    return [column for name in known for column in folded.get(name, ())]


def by_parts(columns: Sequence[str], role: str, head: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """The columns whose names speak of `role` in a part (`user_question`, 客服回复) and that hold texts."""
    return [name for name in columns if _speaks_of(name, role) and _holds_text(name, head)]


def _speaks_of(name: str, role: str) -> bool:
    words = words_of(name)
    if is_bad(name) or not _NO_TEXT_WORDS.isdisjoint(words) or _NO_TEXT_CHINESE.search(name):
        return False
    others = (other for other in _CHINESE if other != role)
    chinese = _CHINESE[role].search(name) is not None and not any(_CHINESE[other].search(name) for other in others)
    return chinese or not _WORDS[role].isdisjoint(words)


def _holds_text(name: str, head: Sequence[Mapping[str, Any] | None]) -> bool:
    """Whether some value of the column is more than a number; a column that is empty so far may hold text."""
    values = [text for record in head if record and (text := str(record.get(name) or "").strip())]
    return not values or any(not text.replace(".", "", 1).lstrip("-").isdigit() for text in values)
