"""events.jsonl: nothing is glued to a torn line, nothing is read twice or lost, and no content stops a reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sft_tui.project.events import EventLog, EventReader, append_event, make_event


def _ids(reader: EventReader) -> list[str]:
    return [event["id"] for event in reader.poll()]


def _add(path: Path, name: str) -> None:
    append_event(path, make_event("warning", id=name))


@pytest.mark.parametrize(
    "torn", [b'{"t": "2026", "type": "progress", "st', b"\x00" * 40, b'{"type": "warning", "id": "whole"}']
)
def test_an_event_after_a_torn_line_begins_a_line(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events.jsonl"
    _add(path, "first")
    with path.open("ab") as stream:
        stream.write(torn)
    reader = EventReader(path)
    before = _ids(reader)
    _add(path, "next")
    whole = ["whole"] if torn.endswith(b"}") else []
    assert before + _ids(reader) == ["first", *whole, "next"] == _ids(EventReader(path))
    assert json.loads(path.read_bytes().splitlines()[-1])["id"] == "next"
    assert b"\n\n" not in path.read_bytes()


def test_a_reader_from_the_end_sees_what_comes_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"type": "warning", "id": "old"}\n{"type": "warn')
    reader = EventReader(path, from_end=True)
    assert _ids(reader) == []
    _add(path, "new")
    assert _ids(reader) == ["new"]
    assert _ids(EventReader(path, from_end=True)) == []


def test_a_reader_from_the_end_of_nothing_reads_all(tmp_path: Path) -> None:
    reader = EventReader(tmp_path / "events.jsonl", from_end=True)
    _add(tmp_path / "events.jsonl", "first")
    assert _ids(reader) == ["first"]


def test_a_file_that_was_cut_or_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for name in ("a", "b", "c"):
        _add(path, name)
    reader = EventReader(path)
    assert _ids(reader) == ["a", "b", "c"]
    os.truncate(path, 0)
    _add(path, "d")
    assert _ids(reader) == ["d"]
    beside = tmp_path / "beside"
    for name in ("e", "f", "g", "h"):
        _add(beside, name)
    beside.replace(path)
    assert _ids(reader) == ["e", "f", "g", "h"]


def test_lines_that_are_no_events_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    deep = b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    path.write_bytes(b"\n".join([b"", b"[]", b"1", b"\xff\xfe", deep, b'{"id": "good"}', b""]))
    assert _ids(EventReader(path)) == ["good"]


def test_many_writers_leave_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"torn')

    def write(number: int) -> None:
        for i in range(50):
            _add(path, f"{number}-{i}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_ids(EventReader(path))) == sorted(f"{n}-{i}" for n in range(4) for i in range(50))


def test_a_planted_link_gets_no_events(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (tmp_path / "events.jsonl").symlink_to(victim)
    heard: list[str] = []
    EventLog(tmp_path / "events.jsonl", lambda event: heard.append(event["type"])).add("run_started")
    assert victim.read_text() == "mine\n" and heard == ["run_started"]


_FULL = """
import resource, signal, sys
from pathlib import Path
from sft_tui.project.events import append_event, make_event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for number in range(9):
    append_event(Path(sys.argv[1]), make_event("warning", id=str(number), message="x" * 200))
"""


def test_on_a_full_disk_no_half_of_a_line_is_left(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    done = subprocess.run([sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True, check=False)
    assert "OSError" in done.stderr
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["0", "1", "2"]


def test_what_a_full_disk_did_not_take_is_written_with_the_next_event(tmp_path: Path) -> None:
    path = tmp_path / "run" / "events.jsonl"
    log = EventLog(path)
    log.add("metric", id="first")
    log.add("metric", id="second")
    path.parent.mkdir()
    log.add("metric", id="third")
    assert _ids(EventReader(path)) == ["first", "second", "third"]
