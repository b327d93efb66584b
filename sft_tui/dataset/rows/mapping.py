"""Which column is what: what the user says, what known names say, and a refusal with the columns where neither does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sft_tui.dataset.request import FORMATS, Columns
from sft_tui.dataset.rows.conversations import ROLE_KEYS, ROLES, TEXT_KEYS
from sft_tui.dataset.rows.text import parse_json
from sft_tui.i18n import _
from sft_tui.problems import Refusal, nearest, refuse

_INSTRUCTION = ("instruction", "instructions", "instruct", "指令", "指示", "任务说明")
_INPUT = (
    "input", "question", "query", "prompt", "problem", "user", "human", "userinput", "userprompt", "userquery",
    "usermessage", "inputtext", "inputs", "q", "问题", "提问", "题目", "输入", "输入文本", "用户", "用户输入",
    "用户问题", "问", "问句", "提示", "提示词",
)  # fmt: skip
_OUTPUT = (
    "output", "answer", "response", "completion", "reply", "target", "assistant", "outputs", "outputtext",
    "assistantresponse", "modelresponse", "botresponse", "gpt", "a", "solution", "回答", "答案", "输出", "输出文本",
    "回复", "答复", "解答", "答", "应答", "标准答案", "参考答案", "助手",
)  # fmt: skip
_SYSTEM = ("system", "systemprompt", "systemmessage", "sysprompt", "系统", "系统提示", "系统提示词")
_HISTORY = ("history", "历史", "历史对话", "对话历史")
_MESSAGES = (
    "messages", "conversations", "conversation", "dialog", "dialogue", "dialogs", "turns", "chat", "对话", "消息",
    "会话",
)  # fmt: skip
_TOOLS = ("tools", "functions", "工具")
_IMAGES = ("images", "image", "图片")
_PREFERENCE = (("chosen", "rejected"), ("chosenresponse", "rejectedresponse"), ("response_j", "response_k"))
_FLAGS = {
    "instruction": "--instruction-column",
    "input": "--input-column",
    "output": "--output-column",
    "system": "--system-column",
    "history": "--history-column",
    "messages": "--messages-column",
    "tools": "--tools-column",
    "images": "--images-column",
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """How records become samples: `written` is alpaca or sharegpt, `shape` the format that was recognised."""

    shape: str
    columns: Columns

    @property
    def written(self) -> str:
        """The format of the written rows."""
        return "sharegpt" if self.columns.messages else "alpaca"


def _fold(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _found(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """The columns that have a known name, in the order of `known`."""
    folded: dict[str, list[str]] = {}
    for column in columns:
        folded.setdefault(_fold(column), []).append(column)
    return [column for name in known for column in folded.get(_fold(name), ())]


def is_turns(value: Any) -> bool:
    """Whether `value` is a conversation, or the JSON text of one."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return False
        try:
            value = parse_json(value)
        except ValueError:
            return False
    if not isinstance(value, list | tuple) or not value or not all(isinstance(turn, dict) for turn in value):
        return False
    turn = value[0]
    role = next((turn[key] for key in ROLE_KEYS if isinstance(turn.get(key), str)), None)
    speaks = any(key in turn for key in (*TEXT_KEYS, "tool_calls", "function_call"))
    return role is not None and speaks and (role.strip().lower() in ROLES or "from" in turn or "role" in turn)


def map_columns(
    columns: Sequence[str],
    head: Sequence[Mapping[str, Any] | None],
    *,
    asked: Columns,
    shape: str = "auto",
) -> Mapped:
    """The mapping for a source with `columns`, whose first records are `head`. Refuses what stays unclear."""
    if shape not in FORMATS:
        known = ", ".join(FORMATS)
        message = _("There is no format {format}; it is one of: {known}").format(format=shape, known=known)
        raise refuse("bad_format", message, key="data.format", hint=_("Leave it at auto."))
    check_named(columns, asked)
    named = asked.mapped()
    turns = [name for name in dict.fromkeys(columns) if any(record and is_turns(record.get(name)) for record in head)]
    wants_turns = shape in ("sharegpt", "openai") or asked.messages is not None
    wants_columns = shape in ("columns", "alpaca") or any(
        getattr(asked, role) for role in ("instruction", "input", "output", "history")
    )
    if wants_turns or (turns and not wants_columns):
        return _map_turns(columns, turns, asked, shape, head)
    if shape != "columns" and not named:
        _refuse_other_kinds(columns)
    return _map_texts(columns, asked, shape)


def check_named(columns: Sequence[str], asked: Columns) -> None:
    """Refuse names that the source does not have, or has twice."""
    for role, column in asked.mapped().items():
        flag = _FLAGS[role]
        if column not in columns:
            close = nearest(column, columns)
            hint = (
                _("Did you mean {names}? Give it with {flag}.").format(names=" / ".join(close), flag=flag)
                if close
                else _("Name one of them with {flag}.").format(flag=flag)
            )
            message = _("There is no column {column}; the columns are: {columns}")
            raise refuse(
                "unknown_column",
                message.format(column=column, columns=listed(columns)),
                key=f"data.columns.{role}",
                hint=hint,
            )
        if columns.count(column) > 1:
            message = _("The source has {count} columns named {column}; the columns are: {columns}")
            text = message.format(count=columns.count(column), column=column, columns=listed(columns))
            hint = _("Rename one of them in the file, then give {flag}.").format(flag=flag)
            raise refuse("ambiguous_column", text, key=f"data.columns.{role}", hint=hint)


def listed(columns: Sequence[str]) -> str:
    """Names of columns for a message: at most 40, each cut: a first line that is no header may hold anything."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:39]}…" for name in columns[:40])
    return shown if len(columns) <= 40 else _("{shown} and {more} more").format(shown=shown, more=len(columns) - 40)


def _map_turns(
    columns: Sequence[str],
    turns: Sequence[str],
    asked: Columns,
    shape: str,
    head: Sequence[Mapping[str, Any] | None],
) -> Mapped:
    column = asked.messages
    if column is None:
        if not asked.mapped() and any(
            {_fold(a), _fold(b)} <= {_fold(name) for name in columns} for a, b in _PREFERENCE
        ):
            raise _preference(columns)
        known = [name for name in _found(columns, _MESSAGES) if name in turns] or list(turns)
        if len(known) > 1:
            raise _unclear("messages", known, columns)
        candidates = known or _found(columns, _MESSAGES)[:1]
        if not candidates:
            message = _("No column holds a conversation; the columns are: {columns}").format(columns=listed(columns))
            hint = _("Give the columns of prompt and answer with --input-column and --output-column.")
            raise refuse("no_messages", message, key="data.columns.messages", hint=hint)
        column = candidates[0]
    guess = not any(getattr(asked, f.name) for f in fields(asked))
    extra = {
        role: getattr(asked, role) or (next(iter(_found(columns, known)), None) if guess else None)
        for role, known in (("system", _SYSTEM), ("tools", _TOOLS), ("images", _IMAGES))
    }
    if extra["images"] and not asked.images and not _is_image_list(head, extra["images"]):
        extra["images"] = None
    if shape not in ("sharegpt", "openai"):
        shape = "openai" if _first_keys(head, column) & {"role"} else "sharegpt"
    return Mapped(shape, Columns(messages=column, **extra))


def _is_image_list(head: Sequence[Mapping[str, Any] | None], column: str) -> bool:
    values = [value for record in head if record and (value := record.get(column))]
    return bool(values) and all(
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(path, str) for path in value))
        for value in values
    )


def _first_keys(head: Sequence[Mapping[str, Any] | None], column: str) -> set[str]:
    for record in head:
        value = record.get(column) if record else None
        if is_turns(value):
            turns: Any = parse_json(value) if isinstance(value, str) else value
            return set(turns[0])
    return set()


def _preference(columns: Sequence[str]) -> Refusal:
    message = _("These are preference pairs (columns: {columns}); supervised fine-tuning trains on one answer.")
    hint = _("To train on the preferred answer, name it: --output-column chosen, and the prompt with --input-column.")
    return refuse("preference_pairs", message.format(columns=listed(columns)), key="data.columns.output", hint=hint)


def _refuse_other_kinds(columns: Sequence[str]) -> None:
    folded = {_fold(column) for column in columns}
    if any({_fold(better), _fold(worse)} <= folded for better, worse in _PREFERENCE):
        raise _preference(columns)
    if folded and folded <= {"text", "content", "id", "meta", "source", "url", "title"} and "text" in folded:
        message = _("There is only running text (columns: {columns}), no prompt and answer to fine-tune on.")
        hint = _("If a column holds the answers, name it with --output-column, and the prompts with --input-column.")
        raise refuse("no_answers", message.format(columns=listed(columns)), key="data.columns.output", hint=hint)


def _unclear(role: str, candidates: Sequence[str], columns: Sequence[str]) -> Refusal:
    message = _("Several columns could be the {role}: {candidates}; the columns are: {columns}")
    text = message.format(role=_role_word(role), candidates=", ".join(candidates), columns=listed(columns))
    hint = _("Name the right one with {flag}.").format(flag=_FLAGS[role])
    return refuse("ambiguous_columns", text, key=f"data.columns.{role}", hint=hint)


def _missing(role: str, columns: Sequence[str]) -> Refusal:
    message = _("No column can be recognised as the {role}; the columns are: {columns}")
    text = message.format(role=_role_word(role), columns=listed(columns))
    hint = _("Name it with {flag}.").format(flag=_FLAGS[role])
    return refuse("unknown_columns", text, key=f"data.columns.{role}", hint=hint)


def _role_word(role: str) -> str:
    words = {
        "input": _("prompt"),
        "instruction": _("instruction"),
        "output": _("answer"),
        "messages": _("conversation"),
    }
    return words.get(role, role)


def _map_texts(columns: Sequence[str], asked: Columns, shape: str) -> Mapped:
    names = list(dict.fromkeys(columns))
    guessed = asked
    if asked.instruction is None and asked.input is None:
        free = [name for name in names if name not in asked.mapped().values()]
        guessed = replace(guessed, **_guess_prompt(free, columns, shape))
    if asked.output is None:
        used = set(guessed.mapped().values())
        free = [name for name in names if name not in used]
        found = ["output"] if shape == "alpaca" and "output" in free else _found(free, _OUTPUT)
        if len(found) > 1:
            raise _unclear("output", found, columns)
        if not found:
            raise _missing("output", columns)
        guessed = replace(guessed, output=found[0])
    if not asked.mapped():
        extra = {"system": _SYSTEM, "history": _HISTORY, "tools": _TOOLS}
        guessed = replace(guessed, **{role: next(iter(_found(names, known)), None) for role, known in extra.items()})
    check_named(columns, guessed)
    alpaca = guessed.output == "output" and (guessed.instruction == "instruction" or guessed.input == "input")
    return Mapped("alpaca" if shape == "alpaca" or (shape == "auto" and alpaca) else "columns", guessed)


def _guess_prompt(free: Sequence[str], columns: Sequence[str], shape: str) -> dict[str, str]:
    if shape == "alpaca":
        found = {role: role for role in ("instruction", "input") if role in free}
        if found:
            return found
        raise _missing("instruction", columns)
    leads, asks = _found(free, _INSTRUCTION), _found(free, _INPUT)
    if not asks and leads:
        asks = [name for name in free if _fold(name) in ("context", "inputcontext")][:1]
    if len(asks) > 1:
        raise _unclear("input", asks, columns)
    if len(leads) > 1:
        raise _unclear("instruction", leads, columns)
    if not asks and not leads:
        raise _missing("input", columns)
    mapping = {"instruction": leads[0]} if leads else {}
    return {**mapping, "input": asks[0]} if asks else mapping
