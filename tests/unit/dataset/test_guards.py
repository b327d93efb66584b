"""Files that are no data, or not what they say: refused before they cost memory, and without quoting them."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from sft_tui.dataset.inspection import inspect_source, preview
from sft_tui.dataset.output.spool import Backup, clean_stale
from sft_tui.dataset.request import ConvertRequest
from sft_tui.problems import ExitCode, Refusal
from sft_tui.project.files import TEMPORARY

SECRET = "root:hunter2:0:0:root:/root:/bin/bash"


def request(source: Path) -> ConvertRequest:
    return ConvertRequest(source=str(source), out_dir=source.parent / "out")


@pytest.mark.parametrize("name", ["passwd", "notes.txt", "script.py"])
@pytest.mark.parametrize("text", [f"{SECRET}\nme:x:1:1::/home/me:/bin/sh\n", "import a, b\n\ndef x():\n  pass\n" * 9])
def test_a_text_that_is_no_table_is_refused_unquoted(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    for look in (lambda: preview(request(path), 1, 5), lambda: inspect_source(str(path))):
        with pytest.raises(Refusal, match="no table") as refused:
            look()
        assert refused.value.exit_code == ExitCode.PREFLIGHT
        assert text.splitlines()[0] not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table", "question;answer\na;b\n"),
        ("table.txt", "question\tanswer\na\tb\nc\td\n"),
        ("one.csv", "messages\n"),
        ("ragged.data", 'question,answer,note\n"a, b",c,d\n"e",f,g\nh\n'),
    ],
)
def test_a_table_is_a_table_whatever_its_name(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert inspect_source(str(path)).columns[0].name in ("question", "messages")


def test_a_readme_beside_the_data_does_not_stop_a_directory(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("question,answer\na,b\n")
    (tmp_path / "readme.txt").write_text("This is a text.\nIt has lines.\n")
    assert [column.name for column in inspect_source(str(tmp_path)).columns][:2] == ["question", "answer"]


def test_long_first_lines_are_cut_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x" * 30 + SECRET + ",b\n1,2\n")
    with pytest.raises(Refusal, match="No column can be recognised") as refused:
        preview(request(path), 1, 5)
    assert SECRET not in str(refused.value)


def workbook(path: Path, part: str, megabytes: int, text: str) -> Path:
    """A workbook with one part blown up to `megabytes` by repeating `text`."""
    plain = path.with_name("plain.xlsx")
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["question", "answer"])
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name in source.namelist():
            if name != part:
                target.writestr(name, source.read(name))
        with target.open(part, "w", force_zip64=True) as stream:
            stream.write(b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>')
            block = (text * (1 + (1 << 20) // len(text))).encode()[: 1 << 20]
            for _ in range(megabytes):
                stream.write(block)
            stream.write(b"</t></si></sst>")
    return path


_LOOK = """
import resource, sys
from sft_tui.dataset.inspection import inspect_source
from sft_tui.problems import Refusal
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    inspect_source(sys.argv[1])
except Refusal as refusal:
    print(refusal.problems[0].code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("part", "megabytes", "code"),
    [
        ("xl/sharedStrings.xml", 400, "archive_bomb"),
        ("xl/worksheets/sheet1.xml", 400, "archive_bomb"),
        ("xl/sharedStrings.xml", 513, "workbook_too_large"),
    ],
)
def test_a_workbook_that_blows_up_is_refused_before_it_is_unpacked(
    tmp_path: Path, part: str, megabytes: int, code: str
) -> None:
    text = "0" if code == "archive_bomb" else os.urandom(1 << 14).hex() + "0" * (1 << 20)
    path = workbook(tmp_path / "bomb.xlsx", part, megabytes, text)
    told = subprocess.run([sys.executable, "-c", _LOOK, str(path)], capture_output=True, text=True, check=True)
    found, grown_mib = told.stdout.split()
    assert found == code
    assert int(grown_mib) < 200


def test_a_large_honest_workbook_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["question", "answer"])
    for number in range(3000):
        sheet.append([f"question {number}", "the same long answer " * 50])
    book.save(tmp_path / "rows.xlsx")
    assert [column.name for column in inspect_source(str(tmp_path / "rows.xlsx")).columns] == ["question", "answer"]


def test_what_another_conversion_put_aside_is_not_taken_for_left_over(tmp_path: Path) -> None:
    data = tmp_path / "a_train.jsonl"
    data.write_text("old\n")
    os.utime(data, (0, 0))  # written long ago, and so has the second name of the same file
    backup = Backup(data)
    beside = tmp_path / "new"
    beside.write_text("new\n")
    beside.replace(data)
    clean_stale(tmp_path)
    backup.put_back()
    assert data.read_text() == "old\n" and [path.name for path in tmp_path.iterdir()] == ["a_train.jsonl"]
    left = tmp_path / f".dead{TEMPORARY}"
    left.write_text("half")
    os.utime(left, (0, 0))
    clean_stale(tmp_path)
    assert not left.exists()
