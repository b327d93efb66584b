"""Tables of other programs: old and open workbooks, ORC, Stata, SAS, SPSS, XML."""

from __future__ import annotations

import datetime
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyreadstat
import pytest
import xlwt
from pyarrow import orc

from sft_tui.dataset import ConvertRequest, convert, count_rows, inspect_source
from sft_tui.problems import ExitCode, Refusal

ROWS = [("007 what?", "a 1"), ("苹果是什么？", "水果"), ("q 3", "1.50")]
FRAME = pd.DataFrame(ROWS, columns=["question", "answer"])


def rows_of(path: Path, **options: Any) -> list[tuple[str, str]]:
    result = convert(ConvertRequest(str(path), path.parent / "out", name="x", **options))
    rows = [json.loads(line) for line in result.train.read_text("utf-8").splitlines()]
    return [(row["input"] or row["instruction"], row["output"]) for row in rows]


def write_xls(path: Path, rows: list[tuple[Any, ...]], sheets: tuple[str, ...] = ("data",)) -> None:
    book = xlwt.Workbook()
    book.add_sheet("empty")
    for name in sheets:
        sheet = book.add_sheet(name)
        for number, row in enumerate(rows):
            for place, value in enumerate(row):
                style = xlwt.easyxf(num_format_str="YYYY-MM-DD") if isinstance(value, datetime.date) else None
                sheet.write(number, place, value, *([style] if style else []))
    book.save(str(path))


def write_ods(path: Path, rows: list[tuple[Any, ...]], padding: int = 0) -> None:
    kind = 'office:value-type="string"'
    manifest = '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    cells = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell {kind}><text:p>{text}</text:p></table:table-cell>" for text in row)
        + "</table:table-row>"
        for row in rows
    )
    space = "urn:oasis:names:tc:opendocument:xmlns"
    names = f'xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0" xmlns:text="{space}:text:1.0"'
    body = f'<office:body><office:spreadsheet><table:table table:name="data">{cells}</table:table></office:spreadsheet>'
    content = f'<?xml version="1.0"?><office:document-content {names}>{body}</office:body></office:document-content>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", manifest)
        with archive.open("content.xml", "w") as stream:
            stream.write(content.encode())
            for _megabyte in range(padding):
                stream.write(b" " * (1 << 20))


TABLE = pa.Table.from_pandas(FRAME, preserve_index=False)
WRITERS: dict[str, Callable[[Path], object]] = {
    "a.xls": lambda path: write_xls(path, [("question", "answer"), *ROWS]),
    "a.ods": lambda path: write_ods(path, [("question", "answer"), *ROWS]),
    "a.orc": lambda path: orc.write_table(TABLE, str(path)),
    "a.dta": lambda path: FRAME.to_stata(path, write_index=False, version=118),
    "a.xpt": lambda path: pyreadstat.write_xport(FRAME, str(path), file_format_version=5),
    "a.sav": lambda path: pyreadstat.write_sav(FRAME, str(path)),
    "a.xml": lambda path: FRAME.to_xml(path, parser="etree", index=False),
}


def write_page(path: Path, *frames: pd.DataFrame) -> None:
    tables = "".join(frame.to_html(index=False) for frame in frames)
    path.write_text(f"<!DOCTYPE html><html><body><h1>x</h1>{tables}</body></html>", "utf-8")


@pytest.mark.parametrize("name", ["a.html", "a.htm", "a.xls"])
def test_the_table_of_a_page(tmp_path: Path, name: str) -> None:
    write_page(tmp_path / name, FRAME, FRAME[:1])
    assert rows_of(tmp_path / name) == ROWS
    assert inspect_source(str(tmp_path / name)).kind == "html"


@pytest.mark.parametrize(("tables", "words"), [(0, "without a table"), (2, "with 2 tables")])
def test_a_page_without_its_one_table_is_refused(tmp_path: Path, tables: int, words: str) -> None:
    write_page(tmp_path / "a.html", *[FRAME] * tables)
    with pytest.raises(Refusal) as found:
        inspect_source(str(tmp_path / "a.html"))
    assert words in str(found.value)


def test_a_page_in_another_encoding(tmp_path: Path) -> None:
    html = f'<html><meta charset="gbk"><body>{FRAME.to_html(index=False)}</body></html>'
    (tmp_path / "a.html").write_bytes(html.encode("gbk"))
    assert rows_of(tmp_path / "a.html") == ROWS


def test_a_page_beside_data_is_none(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", FRAME)
    (tmp_path / "a.csv").write_text("question,answer\nq,a\n")
    assert rows_of(tmp_path) == [("q", "a")]


def test_pages_need_lxml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_page(tmp_path / "a.html", FRAME)
    monkeypatch.setitem(sys.modules, "lxml", None)
    monkeypatch.setitem(sys.modules, "lxml.etree", None)
    with pytest.raises(Refusal) as found:
        inspect_source(str(tmp_path / "a.html"))
    assert "Install lxml" in (found.value.problems[0].hint or "")


@pytest.mark.parametrize("name", WRITERS)
def test_rows_come_out_as_they_were_written(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    assert rows_of(tmp_path / name) == ROWS
    assert count_rows(str(tmp_path / name)) == len(ROWS)
    assert [column.name for column in inspect_source(str(tmp_path / name)).columns] == ["question", "answer"]
    (tmp_path / "set").mkdir()
    (tmp_path / name).rename(tmp_path / "set" / name)
    assert rows_of(tmp_path / "set") == ROWS


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused_or_read_whole(tmp_path: Path, name: str, kept: float) -> None:
    WRITERS[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
    try:
        assert rows_of(tmp_path / name) == ROWS
    except Refusal as refusal:
        assert refusal.exit_code == ExitCode.PREFLIGHT
        assert not (tmp_path / "out").exists()


def test_cells_of_an_old_workbook_are_shown_as_there(tmp_path: Path) -> None:
    cells = [("007", 7), (1.5, True), (datetime.date(2024, 1, 2), "x")]
    write_xls(tmp_path / "a.xls", [("question", "answer"), *cells])
    assert rows_of(tmp_path / "a.xls") == [("007", "7"), ("1.5", "TRUE"), ("2024-01-02", "x")]


def test_a_sheet_of_an_old_workbook_by_name(tmp_path: Path) -> None:
    write_xls(tmp_path / "a.xls", [("question", "answer"), *ROWS], ("one", "two"))
    assert rows_of(tmp_path / "a.xls", sheet="two") == ROWS
    with pytest.raises(Refusal) as found:
        rows_of(tmp_path / "a.xls", sheet="tow")
    assert found.value.problems[0].code == "unknown_sheet"


def test_numbers_of_a_column_without_fractions_have_no_point(tmp_path: Path) -> None:
    frame = pd.DataFrame({"question": ["a", "b", "c"], "answer": [1.0, 2.0, None], "note": [1.5, 2.0, 3.0]})
    frame.to_stata(tmp_path / "a.dta", write_index=False)
    assert rows_of(tmp_path / "a.dta") == [("a", "1"), ("b", "2")]


def test_a_workbook_that_blows_up_is_refused(tmp_path: Path) -> None:
    write_ods(tmp_path / "a.ods", [("question", "answer"), *ROWS], padding=200)
    with pytest.raises(Refusal) as found:
        inspect_source(str(tmp_path / "a.ods"))
    assert found.value.problems[0].code == "archive_bomb"


def test_xml_that_defines_entities_is_refused(tmp_path: Path) -> None:
    entities = '<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">'
    text = f'<?xml version="1.0"?><!DOCTYPE d [{entities}]><d><r><question>&b;</question></r></d>'
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(Refusal) as found:
        inspect_source(str(tmp_path / "a.xml"))
    assert found.value.problems[0].code == "archive_bomb"


def test_spss_without_its_library_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS["a.sav"](tmp_path / "a.sav")
    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    with pytest.raises(Refusal, match="pyreadstat"):
        inspect_source(str(tmp_path / "a.sav"))


def test_a_damaged_workbook_does_not_end_the_program(tmp_path: Path) -> None:
    """With some bytes changed, the library asks for more memory than there is, and aborts."""
    write_xls(tmp_path / "a.xls", [("question", "answer"), *ROWS])
    data = bytearray((tmp_path / "a.xls").read_bytes())
    for place in range(0x30, 0x4C, 4):
        data[place : place + 4] = b"\xf0\xff\xff\x4f"
        (tmp_path / "a.xls").write_bytes(data)
        with pytest.raises(Refusal):
            inspect_source(str(tmp_path / "a.xls"))
