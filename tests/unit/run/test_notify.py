"""Which events a program of the user's hears of, and what it finds on its input."""

from __future__ import annotations

import json
import time
from pathlib import Path

from sft_tui.run.notify import Notifier


def _lines(path: Path, count: int) -> list[str]:
    deadline = time.monotonic() + 120
    while True:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if len(lines) >= count:
            return lines
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_the_end_is_told_however_many_programs_hang(tmp_path: Path) -> None:
    """A program that waits until a file appears: eight are started, and one more for the end."""
    script = 'read line; echo "$line" >> told; until test -e go; do sleep 0.1; done'
    notifier = Notifier(["sh", "-c", script], tmp_path, run="apples")
    try:
        for _n in range(20):
            notifier.tell({"type": "warning"})
        assert len(_lines(tmp_path / "told", 8)) == 8
        notifier.tell({"type": "progress"})
        notifier.tell({"type": "run_finished"})
        kinds = [json.loads(line)["type"] for line in _lines(tmp_path / "told", 9)]
        assert sorted(kinds) == ["run_finished"] + ["warning"] * 8
    finally:
        (tmp_path / "go").touch()


def test_every_text_is_told(tmp_path: Path) -> None:
    notifier = Notifier(["sh", "-c", "cat >> told"], tmp_path, run="apples")
    notifier.tell({"type": "warning", "message": "a path with a broken name: \udce9, 好"})
    (line,) = _lines(tmp_path / "told", 1)
    assert json.loads(line)["message"].endswith("?, 好")


def test_what_cannot_be_started_is_passed_over(tmp_path: Path) -> None:
    for command in (["./not-there"], [str(tmp_path)], ["a\0b"]):
        Notifier(command, tmp_path).tell({"type": "run_finished"})
