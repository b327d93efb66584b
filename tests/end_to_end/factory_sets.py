"""Small data sets of the kinds that are public, each beside what LLaMA-Factory would be given by hand.

`registered` is how LLaMA-Factory's own register describes the source itself; `by_hand` are ShareGPT or Alpaca rows that
say the same, where its register cannot describe it.
"""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sft_tui.dataset import Columns

Row = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A source, what is said of it to the conversion and to LLaMA-Factory, and options of the training."""

    rows: list[Row]
    registered: Row = field(default_factory=dict)
    by_hand: list[Row] | None = None
    columns: Columns = field(default_factory=Columns)
    mask_history: bool = False


def _turns(
    *texts: str, role: str = "from", text: str = "value", sides: tuple[str, str] = ("human", "gpt")
) -> list[Row]:
    return [{role: sides[at % 2], text: value} for at, value in enumerate(texts)]


def _openai(*texts: str) -> list[Row]:
    return _turns(*texts, role="role", text="content", sides=("user", "assistant"))


_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_SHAREGPT: Row = {
    "formatting": "sharegpt",
    "columns": {"messages": "conversations", "system": "system", "tools": "tools"},
}
_TOOLS = [
    {
        "name": "get_weather",
        "description": "天气",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "城市"}},
            "required": ["city"],
        },
    }
]
_TOOL_TEXT = json.dumps(_TOOLS, ensure_ascii=False)
_CALL = {"name": "get_weather", "arguments": {"city": "上海"}}
_CALLED = [
    {"from": "human", "value": "上海天气？"}, {"from": "function_call", "value": json.dumps(_CALL, ensure_ascii=False)},
    {"from": "observation", "value": '{"temp": 21.50}'}, {"from": "gpt", "value": "21.5 度。"},
]  # fmt: skip
_OPENAI_CALLED = [
    {"role": "system", "content": "be brief"}, {"role": "user", "content": "上海天气？"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "上海"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": '{"temp": 21.50}'}, {"role": "assistant", "content": "21.5 度。"},
]  # fmt: skip
_QA = [{"question": f"苹果 {n} + 1?", "answer": f"{n + 1} 个\n\n好 <3 & {{x}}"} for n in range(6)]


def _thought(reasoning: str, answer: str) -> str:
    return f"<think>\n{reasoning}\n</think>\n\n{answer}"


KINDS: dict[str, Kind] = {
    "alpaca": Kind([{"instruction": f"Do {n}.", "input": "with this" if n % 2 else "", "output": f"done {n}"} for n in range(6)]),
    "alpaca_system_history": Kind(
        [{"instruction": "now", "input": "this", "output": "a", "system": "be brief" if n else "", "history": [["q1", "a1"], ["q2", "a2"]][:n]} for n in range(3)],
        {"columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}},
    ),
    "question_answer": Kind(_QA, {"columns": {"prompt": "question", "response": "answer"}}),
    "dolly": Kind(
        [{"instruction": "When?", "context": "In 2000, Virgin", "response": "2000", "category": "qa"}, {"instruction": "Which?", "context": "", "response": "Tope", "category": "c"}],
        {"columns": {"prompt": "instruction", "query": "context", "response": "response"}},
    ),
    "sharegpt": Kind(
        [{"id": "1", "conversations": _turns("q1", "a1", "q2", "a2", "q3", "a3")}, {"id": "2", "conversations": _turns("问", "答" * 40)}],
        {"formatting": "sharegpt"},
    ),
    "sharegpt_system_tools": Kind(
        [{"conversations": _CALLED, "system": "be brief", "tools": _TOOL_TEXT}, {"conversations": _turns("q", "a"), "system": "", "tools": ""}], _SHAREGPT,
    ),
    "openai": Kind(
        [{"messages": [{"role": "system", "content": "be brief"}, *_openai("q1", "a1", "q2", "a2")]}, {"messages": _openai("q", "a")}],
        {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _TAGS},
    ),
    "openai_tools": Kind(
        [{"messages": _OPENAI_CALLED, "tools": _TOOLS}],
        by_hand=[{"conversations": _CALLED, "system": "be brief", "tools": _TOOL_TEXT}],
    ),
    "reasoning_column": Kind(
        [{"Question": f"q{n}", "Complex_CoT": f"hm {n}", "Response": f"a{n}"} for n in range(3)],
        by_hand=[{"instruction": f"q{n}", "input": "", "output": _thought(f"hm {n}", f"a{n}")} for n in range(3)],
    ),
    "reasoning_turns": Kind(
        [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "hm"}, *_openai("q2", _thought("so", "b"))]}],
        by_hand=[{"conversations": _turns("q", _thought("hm", "a"), "q2", _thought("so", "b")), "system": "", "tools": ""}],
    ),
    "weights": Kind(
        [{"messages": [*_openai("q1", "a1", "q2"), {"role": "assistant", "content": "never", "weight": 0}]}, {"messages": _openai("q", "a")}],
        by_hand=[{"conversations": _turns("q1", "a1"), "system": "", "tools": ""}, {"conversations": _turns("q", "a"), "system": "", "tools": ""}],
    ),
    "masked_history": Kind(
        [{"messages": [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "not this", "weight": 0}, *_openai("q2", "a2")]}],
        by_hand=[{"conversations": _turns("q1", "not this", "q2", "a2"), "system": "", "tools": ""}], mask_history=True,
    ),
    "labels_and_split": Kind(
        [{"messages": _openai("q", "a"), "label": True, "split": "train"}, {"messages": _openai("q", "bad"), "label": False, "split": "train"},
         {"messages": _openai("held", "back"), "label": True, "split": "test"}],
        by_hand=[{"conversations": _turns("q", "a"), "system": "", "tools": ""}],
    ),
}  # fmt: skip


def register(folder: Path, name: str, kind: Kind) -> tuple[str, Row]:
    """Write what LLaMA-Factory is given without the conversion into `folder`; its name there, and its entry."""
    entry: Row = dict(kind.registered)
    if kind.by_hand is not None:
        entry = dict(_SHAREGPT) if "conversations" in kind.by_hand[0] else {}
    write(folder / f"{name}_own.jsonl", kind.rows if kind.by_hand is None else kind.by_hand)
    return f"{name}_own", {"file_name": f"{name}_own.jsonl", **entry}


def write(path: Path, rows: list[Row]) -> Path:
    """`rows` as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
