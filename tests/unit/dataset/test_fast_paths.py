"""The fast ways give what the exact ones give: blocks found by their marks, lines joined in bulk, parquet."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sft_tui.dataset.output.line_writer import LineWriter
from sft_tui.dataset.readers.batch import Wanted, text_table, texts_of
from sft_tui.dataset.readers.block_index import line_values, places_of
from sft_tui.dataset.readers.csv_cells import Dialect, records
from sft_tui.dataset.readers.csv_source import CsvReader, arrow_cells
from sft_tui.dataset.readers.json_parse import parse_lines, parse_record
from sft_tui.dataset.readers.parquet_source import ParquetReader
from sft_tui.dataset.readers.source_file import SourceFile

_PLAIN = st.text(st.sampled_from("ab ,{}[]:'苹果\u3000\u2028\x7fé😀"), max_size=20)
_TEXTS = st.one_of(_PLAIN, _PLAIN, _PLAIN, st.text(st.sampled_from('ab"\\\n\t\r\x00\x1f苹'), max_size=8))
_QUICK = settings(max_examples=150, deadline=None)


@_QUICK
@given(data=st.binary(max_size=40), code=st.integers(0, 255))
def test_places(data: bytes, code: int) -> None:
    import numpy as np

    codes = np.frombuffer(data, np.uint8)
    assert places_of(codes, code).tolist() == [at for at, found in enumerate(data) if found == code]


@_QUICK
@given(
    cells=st.lists(st.sampled_from([b"a", b"", b"b c", b" i ", b'"b"']), max_size=24),
    ends=st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r"]),
)
def test_cells_of_csv(cells: list[bytes], ends: bytes) -> None:
    """The parser of Arrow and the exact one read the same; a record of too few cells is left to the exact one."""
    block = b"".join(b",".join(cells[at : at + 2]) + ends for at in range(0, len(cells), 2))
    table = arrow_cells(block, Dialect(b","), 2, [0, 1])
    if table is not None:
        exact = [record.cells for record in records(block, Dialect(b",", columns=2), final=True)]
        assert [tuple(row.values()) for row in table.to_pylist()] == [
            tuple(cell.decode() for cell in cells or ()) for cells in exact
        ]


@_QUICK
@given(
    rows=st.lists(st.tuples(_PLAIN, _PLAIN), min_size=1, max_size=6),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
    end=st.sampled_from(["\n", "\r\n", " \n"]),
    change=st.tuples(
        st.integers(0, 400), st.sampled_from([b"", b'"', b"\\", b"\xff", b"\n", b"\t", b"\x00", b"{", b"1"])
    ),
)
def test_lines_that_are_alike(
    rows: list[tuple[str, str]], separators: tuple[str, str], end: str, change: tuple[int, bytes]
) -> None:
    """Lines as a program writes them, with one byte that went wrong."""
    lines = [json.dumps({"q": q, "id": "1", "a": a}, ensure_ascii=False, separators=separators) for q, a in rows]
    block = "".join(line + end for line in lines).encode()
    assert line_values(block) is not None
    place = change[0] % len(block)
    block = block[:place] + change[1] + block[place:]
    fast = parse_lines(block, Wanted(("a", "none", "q"), as_records=False))
    raws = [line for line in block.split(b"\n") if line.strip()]
    slow = texts_of([parse_record(raw) for raw in raws], ("a", "none", "q"))
    assert fast.bad == slow.bad
    assert fast.table is not None and slow.table is not None
    assert fast.table.to_pylist() == slow.table.to_pylist()


@pytest.mark.parametrize(
    "block",
    [
        b'{"q": "a", "q": "b"}\n',
        b'{"q": 1}\n',
        b'{"q": "a"}\n{"a": "b"}\n',
        b'{"q": "a"}',
        b'{"\\u0071": "a"}\n',
        b'{"q": "a" "b"}\n',
        b"\n",
    ],
)
def test_other_lines_are_left_to_the_parsers(block: bytes) -> None:
    assert line_values(block) is None


@_QUICK
@given(rows=st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1, max_size=12), fixed=_TEXTS)
def test_joined_lines_are_those_of_the_json_writer(rows: list[tuple[str, str]], fixed: str) -> None:
    table = text_table(rows, ("input", "output"))
    writer = LineWriter({"instruction": fixed, "input": None, "output": None, "system": "S"})
    lines = writer.write({"input": table["input"], "output": table["output"]})
    text = bytes(lines.text)
    found = [json.loads(line) for line in text.split(b"\n")[:-1]]
    assert found == [{"instruction": fixed, "input": q, "output": a, "system": "S"} for q, a in rows]
    assert lines.lengths.tolist() == [len(line) + 1 for line in text.split(b"\n")[:-1]]
    written = (
        pl.DataFrame(table)
        .select(pl.lit(fixed).alias("instruction"), pl.col("input", "output"), pl.lit("S").alias("system"))
        .write_ndjson()
    )
    assert text.decode() == written


def test_every_character_that_json_escapes() -> None:
    """In one text and in a text each, between others that need nothing."""
    odd = [chr(code) for code in (*range(33), 34, 92, 127, 0x2028)]
    texts = ["苹果", "".join(odd), *odd, "", "\\n", '\\"', "a"]
    column = pa.array(["cut off", *texts], pa.large_string()).slice(1)
    lines = bytes(LineWriter({"output": None}).write({"output": column}).text).split(b"\n")[:-1]
    assert [json.loads(line)["output"] for line in lines] == texts
    assert lines == [orjson.dumps({"output": text}) for text in texts]


@pytest.mark.parametrize("spoilt", [None, 0, 500, 999])
@pytest.mark.parametrize("group", [3, 400, 1000])
def test_parquet_in_batches(group: int, spoilt: int | None, tmp_path: Path) -> None:
    """Every row once and in order, also where a text is broken in the middle of a group."""
    texts: list[bytes | None] = [f"苹果 {at}".encode() if at % 7 else None for at in range(1000)]
    if spoilt is not None:
        texts[spoilt] = b"\xff"
    array = pa.array(texts, pa.binary()).view(pa.string())
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"q": array, "n": list(range(1000))}), path, row_group_size=group)
    reader = ParquetReader(SourceFile(path, "parquet", None, path.stat().st_size))
    found: list[str | None] = []
    bad: list[int] = []
    for task in reader.tasks(Wanted(("q", "none"), as_records=False, block_bytes=1000)):
        batch = task()
        assert batch.table is not None and batch.table["none"].null_count == batch.height
        bad += [len(found) + place for place in batch.bad]
        found += batch.table["q"].to_pylist()
    assert bad == ([] if spoilt is None else [spoilt])
    assert len(found) == 1000
    assert all(at in bad or text == (f"苹果 {at}" if at % 7 else None) for at, text in enumerate(found))
    assert reader.position == reader.file.bytes


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_some_rows_of_any_kind_of_text(kind: pa.DataType, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"q": pa.array(["a", None, "苹果" * 9, "b"], kind)}), path)
    reader = ParquetReader(SourceFile(path, "parquet", None, path.stat().st_size))
    (task,) = reader.tasks(Wanted(("q",), as_records=False))
    assert task().pick([1, 2]).as_records() == [{"q": None}, {"q": "苹果" * 9}]


@pytest.mark.parametrize("quoted", [b"a", b'"a"', b"a\n" * 2])
def test_invalid_bytes_spoil_their_row_in_any_column(quoted: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("q,id\n苹果,1\n".encode() + b"b,\xff\n" + quoted + b",3\n")
    reader = CsvReader(SourceFile(path, "csv", None, path.stat().st_size))
    batches = [task() for task in reader.tasks(Wanted(("q",), as_records=False))]
    assert [(batch.height, batch.bad) for batch in batches] == [(3 + quoted.count(b"\n"), (1,))]
