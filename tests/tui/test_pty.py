"""The command in a real pseudo-terminal: bytes to the first frame and while idle, and terminals that will not do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.pty_probe import Session

ROOT = Path(__file__).parents[2]
WIZARD = [sys.executable, "-m", "sft_tui.cli"]


def environment(project: Path, **more: str) -> dict[str, str]:
    """A terminal with UTF-8 and no state of the user's."""
    base = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "SFT_TUI_LANG": "en"}
    return {**base, "XDG_STATE_HOME": str(project / "state"), "PYTHONPATH": str(ROOT), **more}


def test_the_first_frame_is_small_and_idle_costs_nothing(tmp_path: Path) -> None:
    with Session(WIZARD, environment(tmp_path), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        assert len(program.seen) <= 15 * 1024
        program.send("\r")
        program.wait_for("Which GPU should train?", 60)
        program.read(1.0)
        program.send("\r")
        program.wait_for("Which model should learn?", 60)
        for _second in range(40):  # until the environment check of the first step is done
            if program.read(1.0) == 0:
                break
        assert program.read(3.0) == 0


def test_f10_says_how_to_come_back_and_leaves_the_terminal_in_order(tmp_path: Path) -> None:
    with Session(WIZARD, environment(tmp_path), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        program.send("\x1b[21~")
        program.read(3.0)
        seen = bytes(program.seen)
    assert b"Traceback" not in seen
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"\x1b[?1049h")


@pytest.mark.parametrize(
    ("columns", "rows", "term", "said"),
    [(50, 24, "xterm", "at least 60x20"), (80, 10, "xterm", "at least 60x20"), (80, 24, "dumb", "TERM=dumb")],
)
def test_a_terminal_that_will_not_do_gets_a_sentence(
    tmp_path: Path, columns: int, rows: int, term: str, said: str
) -> None:
    with Session(WIZARD, environment(tmp_path, TERM=term), str(tmp_path), columns, rows) as program:
        program.wait_for(said, 60)
        assert b"\x1b[?1049h" not in program.seen and b"Traceback" not in program.seen


def test_without_a_terminal_it_points_to_the_other_front_end(tmp_path: Path) -> None:
    done = subprocess.run(
        WIZARD, env=environment(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--non-interactive" in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--theme", "nrod"], "Did you mean nord?"),
        (["broken.yaml"], "Not valid YAML"),
        (["nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_told(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "broken.yaml").write_text("model: {path: [/b]\n", encoding="utf-8")
    with Session([*WIZARD, *words], environment(tmp_path), str(tmp_path)) as program:
        program.wait_for(said, 60)
        assert b"Traceback" not in program.seen


def test_ascii_where_the_locale_has_no_utf8(tmp_path: Path) -> None:
    with Session(WIZARD, environment(tmp_path, LANG="C", LC_ALL="C"), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        assert b"(*) 1" in program.seen


def _exit_code(program: Session) -> int | None:
    """What the program ended with, read until then; None if it does not end."""
    for _tick in range(200):
        program.read(0.1)
        time.sleep(0.05)
        pid, status = os.waitpid(program.pid, os.WNOHANG)
        if pid:
            program.pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})  # for the session to end
            return os.waitstatus_to_exitcode(status)
    return None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_go_leaves_the_terminal_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with Session(WIZARD, environment(tmp_path), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        os.kill(program.pid, number)
        assert _exit_code(program) == 130
        seen = bytes(program.seen)
    assert b"Traceback" not in seen and b"?1003l" in seen
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"\x1b[?1049h")


def test_a_terminal_that_goes_away_ends_the_wizard(tmp_path: Path) -> None:
    with Session(WIZARD, environment(tmp_path), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        os.close(program.fd)
        program.fd = os.open(os.devnull, os.O_RDONLY)
        assert _exit_code(program) == 130
    assert not list((tmp_path / "state").rglob("crash-*.log"))
