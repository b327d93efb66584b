"""First glances: what a source is, pages of it, problems in turn, counts; and files that vanish where none can."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sft_tui.dataset import (
    Columns,
    ConvertRequest,
    Progress,
    convert,
    count_rows,
    find_row,
    inspect_source,
    preview,
)


def test_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("编号;问题;答案\n1;你好;世界\n2;再见;拜拜\n".encode("gbk"))
    found = inspect_source(str(path))
    assert (found.kind, found.encoding, found.delimiter) == ("csv", "gb18030", ";")
    assert [column.name for column in found.columns] == ["编号", "问题", "答案"]
    assert found.columns[1].values == ("你好", "再见")
    assert found.mapping == Columns(input="问题", output="答案")
    assert found.problems == ()
    assert found.bytes_total == path.stat().st_size


def test_a_workbook_names_its_sheets(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.create_sheet("two").append(["question", "answer"])
    book.save(tmp_path / "a.xlsx")
    found = inspect_source(str(tmp_path / "a.xlsx"))
    assert found.sheets == ("Sheet", "two")
    assert found.kind == "xlsx"


def test_ambiguity_is_told_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer,response\nq,a,r\n")
    found = inspect_source(str(tmp_path / "a.csv"))
    assert found.mapping == Columns(input="question")
    assert found.problems[0].code == "ambiguous_columns"
    assert [column.name for column in found.columns] == ["question", "answer", "response"]


def test_kinds_of_columns(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    table = pa.table({"id": [1, 2], "messages": [turns, turns], "tags": [["x"], []], "meta": [{"a": 1}, {"a": 2}]})
    parquet.write_table(table, tmp_path / "a.parquet")
    found = inspect_source(str(tmp_path / "a.parquet"))
    assert {column.name: column.kind for column in found.columns} == {
        "id": "text", "messages": "turns", "tags": "list", "meta": "object",
    }  # fmt: skip
    assert (found.rows, found.format) == (2, "openai")
    assert found.mapping == Columns(messages="messages")


def test_pages_and_problems(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": "" if n in (3, 70) else "a"} for n in range(1, 101)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = ConvertRequest(str(tmp_path / "a.jsonl"), tmp_path / "out")
    page = preview(request, 50, 10)
    assert [row.number for row in page.rows] == list(range(50, 60))
    assert page.more
    assert not preview(request, 91, 10).more
    found = []
    after = 0
    while (row := find_row(request, after)) is not None:
        found.append((row.number, row.drop))
        after = row.number
    assert found == [(3, "empty_output"), (70, "empty_output")]
    hit = find_row(request, 9, "Q9")
    assert hit is not None and hit.number == 90
    assert find_row(request, 99, "q9") is None


def test_a_search_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": "a"}] * 100
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_row(ConvertRequest(str(tmp_path / "a.jsonl"), tmp_path / "out"), 0, "nowhere", stop)


def test_counts_with_progress(tmp_path: Path) -> None:
    text = "question,answer\n" + 'q,"a\nb"\n' * 5000
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    seen: list[Progress] = []
    assert count_rows(str(tmp_path / "a.csv.gz"), seen.append) == 5000
    assert seen[-1].rows == 5000
    assert seen[-1].bytes_read == seen[-1].bytes_total == (tmp_path / "a.csv.gz").stat().st_size
    parquet.write_table(pa.table({"x": list(range(77))}), tmp_path / "a.parquet")
    assert count_rows(str(tmp_path / "a.parquet")) == 77


def test_conversion_reports_progress(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n" + "q,a\n" * 1000)
    seen: list[Progress] = []
    convert(ConvertRequest(str(tmp_path / "a.csv"), tmp_path / "out"), seen.append)
    assert seen[-1].rows == 1000
    assert seen[-1].bytes_read == seen[-1].bytes_total


def test_file_systems_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def without(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", without)
    (tmp_path / "a.csv").write_text("question,answer\n" + "".join(f"q{n},a\n" for n in range(50)))
    request = ConvertRequest(str(tmp_path / "a.csv"), tmp_path / "out", test_size=10, dedupe=True)
    result = convert(request)
    assert (result.train_rows, result.test_rows) == (40, 10)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_test.jsonl", "a_train.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out"]
    convert(request)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out"]
