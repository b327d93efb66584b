"""Any table comes out the same, however it is written, however it is read, whatever the size of the blocks."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sft_tui.dataset import Columns, ConvertRequest, convert
from sft_tui.dataset.readers import batch as batch_module
from sft_tui.dataset.readers.batch import Batch, Wanted
from sft_tui.dataset.readers.csv_source import CsvReader
from sft_tui.dataset.readers.json_parse import parse_lines, parse_record
from sft_tui.dataset.readers.source import Source
from sft_tui.dataset.readers.source_file import SourceFile
from sft_tui.dataset.rows.clean import RecordCleaner, TextCleaner
from sft_tui.dataset.rows.samples import AlpacaMaker, Texts
from sft_tui.problems import Refusal

_TEXT = st.text(
    st.one_of(
        st.sampled_from("\"',;\t|\n\r\\ {}[]:\u3000\u2028\x00\x1f\x7f苹果é😀"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)
_ROWS = st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=12)
_QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def expected(rows: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What the contract says must be written."""
    found = []
    for question, answer in rows:
        if question.strip() and answer.strip():
            found.append({"instruction": "", "input": question.strip(), "output": answer.strip()})
    return found


def converted(source: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    """The rows that conversion writes; none where it refuses because there are none."""
    try:
        result = convert(ConvertRequest(str(source), out, name="x", overwrite=True, **options))
    except Refusal as refusal:
        assert refusal.problems[0].code == "no_rows"
        return []
    return [json.loads(line) for line in result.train.read_text(encoding="utf-8").split("\n") if line]


@_QUIET
@given(rows=_ROWS)
def test_csv_json_and_parquet_agree(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    records = [{"question": question, "answer": answer} for question, answer in rows]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    (tmp_path / "a.json").write_text(json.dumps(records, indent=2), "utf-8")
    columns = {"question": [q for q, _a in rows], "answer": [a for _q, a in rows]}
    (tmp_path / "c.json").write_text(json.dumps(columns), "utf-8")
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=3)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow(["question", "answer"])
    writer.writerows(rows)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(buffer.getvalue().encode("utf-8")))
    mapping = Columns(input="question", output="answer")
    for name in ("a.jsonl", "a.json", "a.parquet", "a.csv.gz", *(["c.json"] if len(rows) > 1 else [])):
        assert converted(tmp_path / name, tmp_path / "out", columns=mapping) == expected(rows), name


@_QUIET
@given(
    rows=st.lists(st.tuples(*[st.one_of(st.none(), _TEXT)] * 4), min_size=1, max_size=10),
    fixed=st.tuples(st.one_of(st.none(), st.just("FIX")), st.one_of(st.none(), st.just("SYS"))),
    bad=st.sets(st.integers(0, 9)),
)
def test_bulk_cleaning_equals_cleaning_one_by_one(
    rows: list[tuple[str | None, ...]], fixed: tuple[str | None, str | None], bad: set[int]
) -> None:
    names = ("a", "b", "c", "d")
    columns = Columns(instruction="a", input="b", output="c", system="d")
    texts = Texts(columns, *fixed)
    table = batch_module.text_table([list(row) for row in rows], names)
    spoilt = tuple(sorted(place for place in bad if place < len(rows)))
    batch = Batch(len(rows), table, None, spoilt)
    fast = TextCleaner(texts, hashed=True)(batch)
    slow = RecordCleaner(AlpacaMaker(texts), hashed=True)(batch)
    assert fast.lines == slow.lines
    assert fast.kept == slow.kept
    assert (fast.reasons is None) == (slow.reasons is None)
    if fast.reasons is not None and slow.reasons is not None:
        assert fast.reasons.tolist() == slow.reasons.tolist()


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=4,
)


@_QUIET
@given(
    records=st.lists(st.dictionaries(st.sampled_from(("q", "a", "x")), _JSON), min_size=1, max_size=6),
    noise=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from((b"", b"null", b"[1]", b'{"q": ', b"\xff", b"5"))), max_size=3
    ),
)
def test_columnar_json_equals_exact_json(records: list[dict[str, Any]], noise: list[tuple[int, bytes]]) -> None:
    lines = [json.dumps(record, ensure_ascii=False).encode("utf-8") for record in records]
    for place, line in noise:
        lines.insert(min(place, len(lines)), line)
    block = b"\n".join(lines) + b"\n"
    fast = parse_lines(block, Wanted(("q", "a"), as_records=False))
    raws = [line for line in lines if line.strip()]
    slow = batch_module.texts_of([parse_record(raw) for raw in raws], ("q", "a"))
    assert fast.height == slow.height == len(raws)
    assert fast.bad == slow.bad
    assert fast.table is not None and slow.table is not None
    assert fast.table.to_pylist() == slow.table.to_pylist()


@_QUIET
@given(
    data=st.lists(
        st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"b c", b'""', b"\xe8\x8b\xb9", b"\xff"]), max_size=40
    ),
    size=st.integers(1, 50),
)
def test_csv_reads_the_same_in_blocks_of_any_size(data: list[bytes], size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"q,a\n" + b"".join(data))
    file = SourceFile(path, "csv", None, path.stat().st_size)
    answers = []
    for block in (size, 1 << 20):
        found = []
        for task in CsvReader(file).tasks(Wanted(("q", "a"), as_records=False, block_bytes=block)):
            read = task()
            found += [None if row is None else tuple(v or "" for v in row.values()) for row in read.as_records()]
        answers.append(found)
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "text", ['[{"q":"1,]}"},\n{"q":"\\"2"},{"q":{"z":[1,2]}}]', '{"q":"1"}\n{"q":"2"}\n\n{"q":"\\\\"}']
)
def test_json_reads_the_same_in_blocks_of_any_size(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    answers = []
    for size in (1, 2, 3, 5, 7, 11, 1 << 20):
        tasks = Source(str(path)).tasks(Wanted(None, as_records=True, block_bytes=size))
        answers.append([record for task in tasks for record in task().as_records()])
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 3
