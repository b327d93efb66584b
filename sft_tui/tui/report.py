"""What can be attached to an issue: versions, terminal, where the user was, the error; without secrets and names."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sft_tui.project.files import write_atomically
from sft_tui.project.places import state_directory

_PACKAGES = ("textual", "rich", "pydantic", "polars", "pyarrow", "pandas", "llamafactory", "torch", "transformers")
_VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "TMUX", "STY", "SSH_TTY")


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the user was: the screen's name, the messages that it shows, the answers so far, the error if any."""

    project: Path
    screen: str
    messages: tuple[str, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    error: BaseException | None = None


def report_text(moment: Moment) -> str:
    """The report. Of the answers only what is no text of the user's: settings, hardware, preset, formats."""
    from sft_tui import __version__
    from sft_tui.support.scrub import Names, scrub

    parts = [
        f"sft-tui {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        ", ".join(f"{name}={_value(name)}" for name in _VARIABLES if os.environ.get(name)),
        f"screen: {moment.screen}",
        *moment.messages,
        f"answers: {_harmless(moment.answers)}",
    ]
    if moment.error is not None:
        parts.append("".join(traceback.format_exception(moment.error)))
    return scrub("\n\n".join(parts) + "\n", Names.here(moment.project))


def _harmless(answers: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: answers[key] for key in ("preset", "hardware", "train", "export", "on_failure") if key in answers}
    data = answers.get("data")
    if isinstance(data, Mapping):
        kept["data"] = {key: data[key] for key in ("format", "max_samples", "test_size", "dedupe") if key in data}
    return kept


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _value(name: str) -> str:
    return "yes" if name in ("TMUX", "STY", "SSH_TTY") else os.environ[name]


def write_report(moment: Moment) -> Path | None:
    """Write the report; returns its path, or None where nothing can be written (then it goes to standard error)."""
    text = report_text(moment)
    name = f"report-{time.strftime('%Y%m%d-%H%M%S')}.txt"
    for directory in (state_directory() / "reports", moment.project):
        try:
            path = directory / name
            write_atomically(path, text.encode("utf-8", "replace"), private=True)
            return path
        except OSError:
            continue
    sys.stderr.write(text)
    return None
