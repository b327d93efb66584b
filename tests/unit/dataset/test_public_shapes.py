"""Rows in the shapes of well-known public data sets: what they become, and that nothing about them goes unsaid."""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sft_tui.dataset import ConvertRequest, preview
from sft_tui.dataset.tally import page_notes
from sft_tui.problems import Refusal
from tests.unit.dataset.test_row_meaning import made, run, write

Row = dict[str, Any]
TALK = "\n\nHuman: hi\n\nAssistant: hello"
XLAM = {
    "id": 0, "query": "giveaways?",
    "answers": '[{"name": "live", "arguments": {"type": "beta"}}, {"name": "live", "arguments": {"type": "game"}}]',
    "tools": '[{"name": "live", "description": "d", "parameters": {"type": {"description": "t", "type": "str", "default": "game"}}}]',
}  # fmt: skip


def turns(
    *texts: str, role: str = "role", text: str = "content", sides: tuple[str, str] = ("user", "assistant")
) -> list[Row]:
    return [{role: sides[at % 2], text: value} for at, value in enumerate(texts)]


def sharegpt(*texts: str) -> list[Row]:
    return turns(*texts, role="from", text="value", sides=("human", "gpt"))


TAKEN: dict[str, tuple[Row, dict[str, str], set[str]]] = {
    "alpaca": (
        {"instruction": "Give tips.", "input": "", "output": "1. Eat.", "text": "Below is an instruction"},
        {"instruction": "instruction", "input": "input", "output": "output"}, {"unused_columns"},
    ),
    "alpaca cleaned": (
        {"instruction": "Give tips.", "input": "<noinput>", "output": "1. Eat."},
        {"instruction": "instruction", "input": "input", "output": "output"}, {"placeholders"},
    ),
    "written by pandas": (
        {"instruction": "Give tips.", "input": "nan", "output": "1. Eat."},
        {"instruction": "instruction", "input": "input", "output": "output"}, {"placeholders"},
    ),
    "sharegpt": (
        {"id": "QWJh_0", "conversations": sharegpt("hi", "hello", "and?", "so.")}, {"messages": "conversations"}, {"unused_columns"},
    ),
    "openai": (
        {"messages": [{"role": "system", "content": "s"}, *turns("q", "a")], "parallel_tool_calls": False},
        {"messages": "messages"}, {"unused_columns"},
    ),
    "dolly": (
        {"instruction": "When?", "context": "Virgin Australia began in 2000.", "response": "2000", "category": "closed_qa"},
        {"instruction": "instruction", "input": "context", "output": "response"}, {"unused_columns"},
    ),
    "ultrachat 200k": (
        {"prompt": "q", "prompt_id": "1f", "messages": turns("q", "a", "c", "d")}, {"messages": "messages"}, {"unused_columns"},
    ),
    "gsm8k": ({"question": "clips?", "answer": "<<48/2=24>>24\n#### 24"}, {"input": "question", "output": "answer"}, set()),
    "xlam": (XLAM, {"input": "query", "output": "answers", "tools": "tools"}, {"calls_as_text", "unused_columns"}),
    "hermes": (
        {"conversations": sharegpt("q", '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>')},
        {"messages": "conversations"}, {"foreign_marks"},
    ),
    "openthoughts": (
        {"system": "s", "conversations": turns("q", "<|begin_of_thought|>t<|end_of_thought|> a", role="from", text="value")},
        {"messages": "conversations", "system": "system"}, {"foreign_marks"},
    ),
    "llama 2 prompts": (
        {"prompt": "[INST] q [/INST]", "completion": "a</s>"}, {"input": "prompt", "output": "completion"}, {"foreign_marks"},
    ),
    "coig": (
        {"instruction": "q", "input": "", "output": "a", "task_type": {"major": ["问答"]}, "domain": ["通用"], "human_verified": True},
        {"instruction": "instruction", "input": "input", "output": "output"}, {"unused_columns"},
    ),
    "belle": ({"id": "1", "conversations": sharegpt("你好", "好")}, {"messages": "conversations"}, {"unused_columns"}),
    "chinese medical": (
        {"department": "心血管科", "title": "t", "ask": "能吃党参吗", "answer": "可以"},
        {"input": "ask", "output": "answer"}, {"unused_columns"},
    ),
    "medical with thoughts": (
        {"Question": "一位患者", "Complex_CoT": "先想", "Response": "是"},
        {"input": "Question", "output": "Response", "reasoning": "Complex_CoT"}, {"reasoning"},
    ),
    "squad": (
        {"id": "57", "context": "Architecturally, the school has", "question": "To whom?", "answers": {"text": ["Saint"], "answer_start": [5]}},
        {"input": "question", "output": "answers"}, {"lists_as_text", "passage_unused", "unused_columns"},
    ),
    "pictures left out": (
        {"question": "<image>what?", "answer": "a"}, {"input": "question", "output": "answer"}, {"marks_without_files"},
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Row, str, str]] = {
    "oasst": (
        {"message_id": "a", "parent_id": None, "text": "hi", "role": "prompter", "lang": "en", "message_tree_id": "a"},
        "single_turns", "Join the messages",
    ),
    "guanaco": ({"text": "### Human: hi### Assistant: hello"}, "no_answers", "--output-column"),
    "hh-rlhf": ({"chosen": TALK, "rejected": TALK}, "preference_pairs", "whole conversation in one text"),
    "ultrafeedback": (
        {"prompt": "q", "chosen": turns("q", "a"), "rejected": turns("q", "b"), "messages": turns("q", "a"), "score_chosen": 8.0},
        "preference_pairs", "--messages-column messages",
    ),
    "math 500": ({"problem": "p", "solution": "s", "answer": "3", "level": 2}, "ambiguous_columns", "--output-column"),
    "ultrachat": ({"id": "0", "data": ["q", "a"]}, "unknown_columns", "--input-column"),
}  # fmt: skip


def source(folder: Path, row: Row, kind: str) -> str:
    if kind == "json":
        return write(folder, [row, row])
    parquet.write_table(pa.Table.from_pylist([row, row]), folder / "a.parquet")
    return str(folder / "a.parquet")


@pytest.mark.parametrize("kind", ["json", "parquet"])
@pytest.mark.parametrize("name", TAKEN)
def test_everything_about_the_rows_is_said(tmp_path: Path, name: str, kind: str) -> None:
    row, mapping, codes = TAKEN[name]
    request = ConvertRequest(source(tmp_path, row, kind), tmp_path / "out")
    page = preview(request, 1, 20)
    assert page.mapping.mapped() == mapping
    assert {note.code for note in (*page.notes, *page_notes(page, request))} == codes
    assert all(row.sample is not None for row in page.rows)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_says_the_way(tmp_path: Path, name: str) -> None:
    row, code, way = REFUSED[name]
    with pytest.raises(Refusal) as refusal:
        preview(ConvertRequest(source(tmp_path, row, "json"), tmp_path / "out"), 1, 20)
    assert refusal.value.problems[0].code == code
    assert way in (refusal.value.problems[0].hint or "")
    assert all(name in refusal.value.problems[0].message for name in row)


def test_parameters_without_a_schema_around_them_are_kept(tmp_path: Path) -> None:
    tool = json.loads(made(run(tmp_path, [XLAM]))[0]["tools"])[0]
    assert tool["parameters"]["properties"] == {"type": {"description": "t", "type": "str", "default": "game"}}


def test_what_the_passage_s_remark_says_puts_it_into_the_prompt(tmp_path: Path) -> None:
    from sft_tui.dataset import Columns

    row = {"question": "To whom?", "context": "Architecturally, the school has", "answer": "Saint"}
    written = made(run(tmp_path, [row], columns=Columns(instruction="question", input="context")))
    assert written == [{"instruction": "To whom?", "input": "Architecturally, the school has", "output": "Saint"}]
