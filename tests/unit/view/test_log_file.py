"""The model behind the log tail: any bytes, any growth, any size."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.view import log_file as log_tail
from sft_tui.view.log_file import LineIndex, LogFile, find
from sft_tui.view.log_text import clean, fold, shown


def log_of(path: Path, content: bytes) -> LogFile:
    path.write_bytes(content)
    return LogFile(path)


def texts(log: LogFile, count: int = 50) -> list[str]:
    return [line.text for line in log.tail(count)]


def test_tail_gives_the_last_lines_in_order(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", b"".join(b"line %d\n" % n for n in range(1000)))
    assert texts(log, 3) == ["line 997", "line 998", "line 999"]
    assert texts(log_of(tmp_path / "two", b"a\nb"), 9) == ["a", "b"]
    assert texts(log_of(tmp_path / "none", b"")) == []


def test_growth_and_half_lines(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", b"one\ntw")
    assert [(line.text, line.partial) for line in log.tail(9)] == [("one", False), ("tw", True)]
    with log.path.open("ab") as stream:
        stream.write(b"o\n")
    assert log.refresh()
    assert [(line.text, line.partial) for line in log.tail(9)] == [("one", False), ("two", False)]


def test_half_a_character_is_not_shown_as_broken(tmp_path: Path) -> None:
    whole = "损失".encode()
    log = log_of(tmp_path / "log", whole[:4])
    assert texts(log) == ["损"]
    log.path.write_bytes(whole + b"\n")
    log.refresh()
    assert texts(log) == ["损失"]


def test_carriage_returns_fold(tmp_path: Path) -> None:
    bar = b"".join(b"\r %d%%|###|" % n for n in range(100))
    log = log_of(tmp_path / "log", b"start\r\n" + bar + b"\nend\r\n" + bar)
    assert texts(log) == ["start", " 99%|###|", "end", " 99%|###|"]
    assert fold(b"a\rb\r") == b"b"


def test_a_bar_of_megabytes_is_one_line_near_its_end(tmp_path: Path) -> None:
    bars = b"\r  1%|          |" * 300_000 + b"\r100%|##########|\n"
    log = log_of(tmp_path / "log", b"before\n" + bars + b"after\n")
    assert texts(log, 2) == ["100%|##########|", "after"]


def test_lower_bars_and_bars_before_text_are_folded(tmp_path: Path) -> None:
    eval_bar = b"".join(b"\r %d%%|##  | %d/29 [00:00<00:01, 9it/s]\x1b[A\n" % (n, n) for n in range(29))
    raw = b"\r 25%|#   | 50/198 [00:20<01:34]" + b"\n\n" + eval_bar + b"{'eval_loss': '0.2'}\n"
    raw += b"\r 28%|##  | 55/198 [00:24<02:20,  1.02it/s][INFO|x] {'loss': '0.1'}\n"
    log = log_of(tmp_path / "log", raw)
    wanted = [" 25%|#   | 50/198 [00:20<01:34]", "", "{'eval_loss': '0.2'}", "[INFO|x] {'loss': '0.1'}"]
    assert texts(log) == wanted == [line.text for line in log.after(0, 99)]


def test_invalid_utf8_and_controls(tmp_path: Path) -> None:
    raw = b"\xff\xfe ok \x1b[31mred\x1b[0m\x1b]0;title\x07 [/b] \x00\x08bell\x07 tab\tx \xe2\x80\xaedir\n"
    assert texts(log_of(tmp_path / "log", raw)) == ["�� ok red [/b] bell tab x dir"]
    assert clean("a\u2028b") == "a b"


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_become_one_printable_line(raw: bytes) -> None:
    for partial in (True, False):
        text = shown(raw.replace(b"\n", b""), partial=partial)
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)


@given(st.lists(st.text(alphabet="ab损\r", max_size=40), max_size=60), st.booleans(), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_forwards_and_backwards_agree(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: bool, n: int
) -> None:
    content = "\n".join(lines).encode() + (b"\n" if end and lines else b"")
    path = tmp_path_factory.mktemp("log") / "log"
    log = log_of(path, content)
    everything = log.after(0, 1000)
    assert log.before(log.size, 1000) == everything
    assert b"".join(log.read(line.start, line.end) for line in everything) == content
    assert log.tail(n) == everything[-n:]
    index = LineIndex(log)
    assert index.extend()
    for number, line in enumerate(everything, 1):
        assert log.line_start(line.start) == line.start
        assert log.line_start(line.end - 1) == line.start
        assert index.number(line.start) == number
        assert index.offset(number) == line.start
        assert log.after(line.start, 1) == [line]
    log.close()


@pytest.mark.parametrize("block", [7, 64])
def test_small_blocks_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    content = b"".join(b"line %d %s\n" % (n, b"x" * (n % 30)) for n in range(200))
    log = log_of(tmp_path / "log", content)
    wanted = content.decode().splitlines()
    monkeypatch.setattr(log_tail, "BLOCK", block)
    assert [line.text for line in log.after(0, 1000)] == wanted
    assert [line.text for line in log.before(log.size, 1000)] == wanted
    assert [line.text for line in _all_hits(log, "LINE 1")] == [w for w in wanted if "line 1" in w]


def _all_hits(log: LogFile, needle: str) -> list[log_tail.Line]:
    hits = []
    position = 0
    while (line := find(log, needle, position)) is not None:
        hits.append(line)
        position = line.end
    return hits


def test_truncation_and_replacement_start_anew(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", b"old\n" * 50)
    generation = log.generation
    log.path.write_bytes(b"new\n")
    assert log.refresh() and log.generation > generation
    assert texts(log) == ["new"]
    other = tmp_path / "other"
    other.write_bytes(b"other\n" * 100)
    other.replace(log.path)
    generation = log.generation
    assert log.refresh() and log.generation > generation
    assert texts(log, 1) == ["other"]
    log.path.write_bytes(b"rewritten longer than before\n" * 100)
    generation = log.generation
    assert log.refresh() and log.generation > generation


def test_a_file_that_is_not_there_comes_and_goes(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    assert log.problem and log.tail(5) == [] and not log.refresh()
    log.path.write_bytes(b"here\n")
    assert log.refresh() and log.problem is None
    assert texts(log) == ["here"]
    log.path.unlink()
    assert not log.refresh() and log.problem
    assert log.tail(5) == []


def test_a_directory_is_a_problem(tmp_path: Path) -> None:
    log = LogFile(tmp_path)
    assert log.problem and log.tail(3) == []


def test_find_both_ways_and_only_what_is_shown(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", "alpha\nhidden Beta\rshown\nBETA \x1b[1mgamma\x1b[0m\n损失 nan\n".encode())
    assert (hit := find(log, "beta", 0)) and hit.text == "BETA gamma"
    assert (hit := find(log, "alpha", log.size, backwards=True)) and hit.start == 0
    assert (hit := find(log, "损失", 0)) and hit.text == "损失 nan"
    assert find(log, "absent", 0) is None
    assert find(log, "", 0) is None
    assert find(log, "alpha", 0, should_stop=lambda: True) is None


def test_a_million_lines_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as stream:
        for start in range(0, 1_000_000, 10_000):
            stream.write(b"".join(b"step %07d loss 1.234\n" % n for n in range(start, start + 10_000)))
    tracemalloc.start()
    with LogFile(path) as log:
        assert log.tail(1)[0].text == "step 0999999 loss 1.234"
        index = LineIndex(log)
        assert index.extend()
        assert index.lines == 1_000_000
        assert log.after(index.offset(500_001), 1)[0].text == "step 0500000 loss 1.234"
        hit = find(log, "step 0999990", 0)
        assert hit is not None and index.number(hit.start) == 999_991
        assert find(log, "step 0000007", log.size, backwards=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


def test_the_index_stays_bounded_and_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineIndex, "MARKS", 4)
    monkeypatch.setattr(log_tail, "BLOCK", 16)
    log = log_of(tmp_path / "log", b"".join(b"%d\n" % n for n in range(300)))
    index = LineIndex(log)
    assert index.extend() and index.lines == 300
    with log.path.open("ab") as stream:
        stream.write(b"more\nlast")
    assert index.extend() and index.lines == 301
    for number in (1, 2, 150, 299, 300, 301):
        line = log.after(index.offset(number), 1)[0]
        assert line.text == (str(number - 1) if number <= 300 else "more")
        assert index.number(line.start) == number
    log.path.write_bytes(b"anew\n")
    assert index.extend() and index.lines == 1
    assert not LineIndex(log_of(tmp_path / "b", b"x\n" * 50)).extend(lambda: True)
