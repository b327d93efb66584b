"""`sft-tui stop RUN`: end a run at its next step and save what was learned, or at once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_run
from sft_tui.headless.find import find_run
from sft_tui.headless.follow import Listener, follow
from sft_tui.headless.output import put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.events import EventReader
from sft_tui.project.state import present_status, read_state
from sft_tui.view.outcome import status_word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stop`."""
    parser.add_argument("--now", action="store_true", help=_("do not save what was learned since the last checkpoint"))
    parser.add_argument("--wait", action="store_true", help=_("return when the run has ended"))
    add_run(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run to stop, and how."""

    run: str
    now: bool
    wait: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Ask a run to stop: at the next step with saving, or at once."""
    from sft_tui.run.lifecycle import stop

    layout, state = find_run(request.dir, request.run)
    status = present_status(state)
    if status.final:
        message = _("The run {run} does not run: {status}.").format(run=layout.name, status=status_word(status))
        raise refuse("not_running", message)
    meaning = stop(layout, now=request.now)
    asked = _("Asked {run} to stop now.") if request.now else _("Asked {run} to stop at the next step and save.")
    say(f"{asked.format(run=layout.name)} {meaning}")
    if request.wait:
        follow(layout, EventReader(layout.events, from_end=True), Listener())
    if request.json:
        latest = read_state(layout)
        status = present_status(latest or state)
        asked = "stop_now" if request.now else "stop"
        put_json({"run": layout.name, "asked": asked, "status": status.value, "message": meaning})
    return int(ExitCode.DONE)
