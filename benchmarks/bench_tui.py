"""The wizard against a minimal Textual app: the first frame in time and bytes, and what it costs while idle."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import interleaved, say, verdict
from benchmarks.pty_probe import Session

MINIMAL = """
from textual.app import App
from textual.widgets import Button, Footer, Header, Input, Select

class Minimal(App):
    BINDINGS = [("f9", "quit", "Leave")]

    def compose(self):
        yield Header()
        yield Input()
        yield Select([("one", 1)])
        yield Button("Go")
        yield Footer()

Minimal().run()
"""
WIZARD = "import sys; from sft_tui.cli import main; sys.exit(main([]))"
MARKS = {"minimal": "Leave", "wizard": "F10 Quit"}
"""What stands on the last line of each first frame."""


def main(argv: list[str]) -> bool:
    """Measure; whether every figure holds. `--quick`: fewer rounds and seconds."""
    rounds, seconds = (3, 4) if "--quick" in argv else (9, 20)
    with tempfile.TemporaryDirectory() as scratch:
        return all([first_frame(Path(scratch), rounds), idle(Path(scratch), seconds)])


def session(code: str, scratch: Path) -> Session:
    """Python with `code` in a pseudo-terminal of 80x24, in an empty project."""
    env = {
        **os.environ,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "SFT_TUI_LANG": "en",
        "XDG_STATE_HOME": str(scratch / "state"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    return Session([sys.executable, "-c", code], env, str(scratch))


def first_frame(scratch: Path, rounds: int) -> bool:
    """Time and bytes until the last line of the first frame is written."""
    say("The first frame, against a minimal Textual app (Header, Input, Select, Button, Footer)")
    written: dict[str, int] = {}

    def shown(name: str, code: str) -> float:
        with session(code, scratch) as program:
            seconds = program.wait_for(MARKS[name])
            written[name] = max(written.get(name, 0), len(program.seen))
        return seconds

    took = interleaved(
        {"minimal": lambda: shown("minimal", MINIMAL), "wizard": lambda: shown("wizard", WIZARD)}, rounds
    )
    say(f"  minimal {took['minimal']:.2f} s and {written['minimal']} bytes, wizard {took['wizard']:.2f} s")
    return all(
        [
            verdict("time to the first frame", took["wizard"] / took["minimal"], 1.3),
            verdict("bytes to the first frame", written["wizard"] / 1024, 15, " KiB"),
        ]
    )


def idle(scratch: Path, seconds: int) -> bool:
    """At the model's field, with the environment check done: bytes, processor and memory while nothing happens."""
    say(f"Idle for {seconds} s with the model's field focused")
    with session(WIZARD, scratch) as program:
        program.wait_for(MARKS["wizard"])
        program.send("\r")
        program.wait_for("GPU should train", 60)
        program.read(1)
        program.send("\r")
        program.wait_for("should learn", 60)
        program.read(25)
        before = program.cpu_seconds()
        count = program.read(seconds)
        share = (program.cpu_seconds() - before) / seconds
        memory = program.resident_bytes() / 2**20
    return all(
        [
            verdict("bytes to the terminal", count, 0, ""),
            verdict("of a core", share * 100, 0.5, " %"),
            verdict("memory", memory, 80, " MiB"),
        ]
    )
