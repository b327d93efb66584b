"""How commands speak: stdout is data, stderr is narration, and neither lets a terminal act on text that is not ours."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from sft_tui.i18n import _
from sft_tui.problems import Problem, Refusal, Severity
from sft_tui.text import clean, cut, escaped, pad, visible

_HUNG_UP = (errno.EPIPE, errno.EIO)
_left: set[int] = set()
"""Descriptors whose reader has gone away: `| head -1`, a closed terminal."""
_in_place = False


def _write(stream: TextIO, text: str) -> None:
    """Write at once. Where nobody reads any more the command does its work all the same, and its exit code is told."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if error.errno not in _HUNG_UP:
            raise
        _left.add(stream.fileno())
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def nobody_reads(*, as_json: bool) -> bool:
    """Whether the reader of a follower's lines (stdout for programs, stderr for people) has gone away."""
    return (sys.stdout if as_json else sys.stderr).fileno() in _left


def say(text: str = "") -> None:
    """Narrate: a line on stderr."""
    _leave_line()
    _write(sys.stderr, visible(text) + "\n")


def say_in_place(text: str) -> None:
    """Narrate on one line of the terminal, which the next one writes over; nothing where stderr is no terminal."""
    global _in_place
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        _write(sys.stderr, "\r\x1b[K" + cut(clean(text, " "), width))
        _in_place = True


def _leave_line() -> None:
    global _in_place
    if _in_place:
        _in_place = False
        _write(sys.stderr, "\n")


def put(text: str) -> None:
    """Give a result: a line on stdout."""
    _leave_line()
    _write(sys.stdout, visible(text) + "\n")


def put_json(data: Any) -> None:
    """Give a result as one line of JSON, in which nothing is left that a terminal would act on."""
    _leave_line()
    _write(sys.stdout, escaped(json.dumps(data, ensure_ascii=False)) + "\n")


def put_table(rows: Sequence[Sequence[str]]) -> None:
    """Give rows in columns, aligned by the cells of a terminal."""
    from rich.cells import cell_len

    shown = [[clean(cell, " ") for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        put("  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def signs() -> dict[Severity, str]:
    """The word before a problem of each severity."""
    return {Severity.ERROR: _("error"), Severity.WARNING: _("warning"), Severity.INFO: _("note")}


def show_problems(problems: Iterable[Problem]) -> None:
    """Narrate problems, each with its word, place and next step."""
    words = signs()
    for problem in problems:
        say(f"{words[problem.severity]}: {problem}")


def report_refusal(refusal: Refusal, as_json: bool) -> int:
    """Say why a command did not do what was asked; the exit code to end with."""
    if as_json:
        put_json({"problems": [problem.as_json() for problem in refusal.problems]})
    show_problems(refusal.problems)
    return int(refusal.exit_code)


def duration(seconds: float | None) -> str:
    """`h:mm:ss`, or `-` where it is unknown."""
    if seconds is None or seconds < 0:
        return "-"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
