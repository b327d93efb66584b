"""How commands speak: stdout is data, stderr is narration."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from sft_tui.i18n import _
from sft_tui.problems import Problem, Refusal, Severity


def say(text: str = "") -> None:
    """Narrate: a line on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """Give a result: a line on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def put_json(data: Any) -> None:
    """Give a result as one line of JSON."""
    put(json.dumps(data, ensure_ascii=False))


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
