"""`sft-tui doctor`: is this machine ready, and what to type where it is not."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_project
from sft_tui.headless.output import put, put_json
from sft_tui.i18n import _
from sft_tui.problems import ExitCode
from sft_tui.support.doctor import DoctorLine, diagnose_machine, train_two_steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `doctor`."""
    parser.add_argument("--train", action="store_true", help=_("also train the demo's tiny model for two real steps"))
    add_project(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at."""

    train: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Show a line for each thing that was looked at; exit 0, or 3 if one of them is a problem."""
    words = {"ok": _("ok"), "warning": _("warning"), "problem": _("PROBLEM")}
    lines: list[DoctorLine] = []

    def show(line: DoctorLine) -> None:
        lines.append(line)
        if not request.json:
            put(f"{words[line.status]:<8} {line.name:<13} {line.message}")
            if line.next_step:
                put(f"{'':<22} -> {line.next_step}")

    for line in diagnose_machine(request.dir):
        show(line)
    ready = all(line.status != "problem" for line in lines)
    if request.train and ready:
        from sft_tui.project.places import shipped

        with tempfile.TemporaryDirectory(prefix="sft-tui-doctor-") as scratch:
            show(train_two_steps(shipped("data", "demo"), Path(scratch)))
    ok = all(line.status != "problem" for line in lines)
    if request.json:
        put_json({"ok": ok, "checks": [line.as_json() for line in lines]})
    return int(ExitCode.DONE if ok else ExitCode.PREFLIGHT)
