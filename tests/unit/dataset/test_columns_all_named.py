"""Every column of a source ends as used, named as not used, or refused; also one that turns up late."""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sft_tui.dataset import Columns, ConvertRequest, convert, inspect_source, preview
from sft_tui.dataset.readers.batch import Wanted
from sft_tui.dataset.readers.json_parse import parse_lines
from sft_tui.problems import Refusal
from tests.unit.dataset.test_row_meaning import answers, made, run, write

_NAMES = st.one_of(
    st.sampled_from([
        "question", "answer", "instruction", "input", "output", "system", "history", "messages", "tools", "images",
        "image", "audios", "videos", "reasoning", "label", "split", "id", "chosen", "rejected", "prompt", "response",
        "用户问题", "客服回复", "类别", "score", "kto_tag", "user_query", "best_answer", "weight", "context", "text",
    ]),
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6),
)  # fmt: skip
_CELL = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "train", "test", "x.png", "2024-01-01", ""]),
    st.lists(st.sampled_from(["a", "b"]), max_size=2), st.fixed_dictionaries({"a": st.integers(0, 2)}),
)  # fmt: skip


_OF_ONE_TYPE = st.sampled_from([
    st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.sampled_from(["a", "train", "x.png", "", "https://a.org/b"]),
    st.lists(st.sampled_from(["a", "b"]), max_size=2),
    st.fixed_dictionaries({"system": st.sampled_from(["", "deep"]), "more": st.fixed_dictionaries({"label": st.booleans()})}),
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.just("a")}), max_size=2),
    st.dates(),
])  # fmt: skip
"""Cells as a typed table holds them, also objects and lists within."""


def _rows(data: st.DataObject, names: list[str], kind: str) -> list[dict[str, Any]]:
    cells = {name: _CELL if kind == "jsonl" else data.draw(_OF_ONE_TYPE) | st.none() for name in names}
    return data.draw(st.lists(st.fixed_dictionaries(cells), min_size=2, max_size=4))


def _written(folder: Path, rows: list[dict[str, Any]], kind: str) -> str:
    path = folder / f"a.{kind}"
    if kind == "jsonl":
        return write(folder, rows)
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return str(path)
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        for row in rows:
            table.writerow({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()})
    return str(path)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), names=st.lists(_NAMES, min_size=1, max_size=7, unique=True))
def test_no_column_goes_unmentioned(data: st.DataObject, names: list[str], kind: str, tmp_path: Path) -> None:
    source = _written(tmp_path, _rows(data, names, kind), kind)
    request = ConvertRequest(source, tmp_path / "out", name="x", overwrite=True)
    try:
        result = convert(request)
    except Refusal as refusal:
        text = " ".join(f"{p.message} {p.hint}" for p in refusal.problems)
        assert refusal.problems[0].code == "no_rows" or all(name in text for name in names), text
        return
    named = {column.name for column in result.unused}
    assert named | set(result.mapping.values()) == set(names)
    assert not named & set(result.mapping.values())
    page = preview(request, 1, 10)
    assert (page.unused, page.mapping.mapped()) == (result.unused, result.mapping)
    shown = inspect_source(source)
    assert {column.name for column in shown.columns} == set(names)
    assert all(name in shown.notes[-1].message for name in named)


LOOKS: dict[str, tuple[Any, str]] = {
    "audios": (["a/b.wav"], "file paths"),
    "id": (17, "numbers"),
    "when": ("2024-05-01T10:00:00", "dates or times"),
    "site": ("https://example.org/x", "web addresses"),
    "ok": (True, "yes or no"),
    "meta": ({"a": 1}, "objects"),
    "tags": (["a", "b"], "lists"),
    "uuid": ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "codes"),
    "essay": ("", "long texts"),
    "nothing": (None, "empty"),
    "kind": ("same", "always the same text"),
}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_what_columns_look_like(tmp_path: Path, kind: str) -> None:
    rows = [
        {
            "question": f"q{n}",
            "answer": "a",
            **{name: value for name, (value, _kind) in LOOKS.items()},
            "essay": f"{n} " * 120,
        }
        for n in range(4)
    ]
    source = write(tmp_path, rows)
    if kind == "parquet":
        source = str(tmp_path / "a.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), source)
    result = convert(ConvertRequest(source, tmp_path / "out", columns=Columns(audios="")))
    assert {c.name: c.looks_like for c in result.unused} == {name: kind for name, (_value, kind) in LOOKS.items()}


def late(**more: Any) -> list[dict[str, Any]]:
    """1,600 rows, of which only those from 1,500 on have `more`."""
    return [{"question": f"q{n}", "answer": f"a{n}", **(more if n >= 1500 else {})} for n in range(1600)]


@pytest.mark.parametrize("nested", [{}, {"meta": {"system": "inner", "label": False}}], ids=["plain", "nested"])
def test_a_column_that_comes_late_is_used(tmp_path: Path, nested: dict[str, Any]) -> None:
    result = run(tmp_path, [{**row, **nested} for row in late(system="be brief")])
    rows = made(result)
    assert [rows[at]["system"] for at in (0, 1499, 1500, 1599)] == ["", "", "be brief", "be brief"]
    assert result.mapping["system"] == "system"
    assert [column.name for column in result.unused] == list(nested)


def test_a_late_verdict_counts(tmp_path: Path) -> None:
    result = run(tmp_path, late(label=False))
    assert (result.written, result.dropped) == (1500, {"rejected": 100})


@pytest.mark.parametrize("array", [False, True])
def test_a_late_column_without_a_part_is_named(tmp_path: Path, array: bool) -> None:
    path = tmp_path / "a.json"
    rows = late(site="https://example.org", extra=None)
    path.write_text(json.dumps(rows) if array else "\n".join(map(json.dumps, rows)))
    result = convert(ConvertRequest(str(path), tmp_path / "out"))
    assert [(c.name, c.looks_like) for c in result.unused] == [("site", "web addresses"), ("extra", "empty")]
    assert result.written == 1600


def test_a_late_column_in_a_late_file_is_used(tmp_path: Path) -> None:
    for number in range(25):
        more = {"system": ["s"]} if number == 24 else {"other": ["x"]} if number == 22 else {}
        table = pa.table({"question": [f"q{number}"], "answer": ["a"], **more})
        (tmp_path / "in").mkdir(exist_ok=True)
        parquet.write_table(table, tmp_path / "in" / f"{number:02}.parquet")
    result = convert(ConvertRequest(str(tmp_path / "in"), tmp_path / "out"))
    assert [row["system"] for row in made(result)] == [""] * 24 + ["s"]
    assert [column.name for column in result.unused] == ["other"]


def test_a_late_rival_of_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        run(tmp_path, late(response="b"))
    assert refusal.value.problems[0].code == "ambiguous_columns"
    result = run(tmp_path, late(response="b"), columns=Columns(input="question", output="answer"))
    assert [column.name for column in result.unused] == ["response"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["q", "a", "x", 'y"', "z,"]), st.sampled_from(["", 'b,"c":', "{\"k\":1}", "e"])),
        min_size=1, max_size=6,
    ),
    asked=st.sampled_from([("q",), ("q", "a")]),
)  # fmt: skip
def test_every_way_of_parsing_tells_of_unknown_columns(rows: list[dict[str, str]], asked: tuple[str, ...]) -> None:
    block = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    found = parse_lines(block, Wanted(asked, as_records=False, known=set(asked))).late or {}
    assert set(found) == {name for row in rows for name in row} - set(asked)


@pytest.mark.parametrize(
    ("question", "answer"),
    [("用户问题", "客服回复"), ("提问", "标准答案"), ("问题描述", "回复内容"), ("客户咨询内容", "坐席答复"), ("输入内容", "模型输出"),
     ("user_question", "model_answer"), ("customerQuery", "agentReply"), ("question_text", "answer_text")],
)  # fmt: skip
def test_names_are_guessed_by_their_parts(tmp_path: Path, question: str, answer: str) -> None:
    rows = [
        {"工单编号": n, question: f"q{n}", "问题类型": "退货", "回复时间": "2024-01-01", answer: f"a{n}"}
        for n in range(3)
    ]
    result = run(tmp_path, rows)
    assert [row["input"] for row in made(result)] == ["q0", "q1", "q2"]
    assert answers(result) == ["a0", "a1", "a2"]
    assert [column.name for column in result.unused] == ["工单编号", "问题类型", "回复时间"]


def test_an_unknown_column_drops_no_other(tmp_path: Path) -> None:
    found = inspect_source(write(tmp_path, [{"用户问题": "q", "foo": "a"}]))
    assert found.mapping == Columns(input="用户问题")
    assert found.problems[0].key == "data.columns.output"
