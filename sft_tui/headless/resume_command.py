"""`sft-tui resume RUN`: go on with a run that failed, was stopped or was interrupted."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_detach, add_restart, add_run, add_set
from sft_tui.headless.attach_command import show_ended
from sft_tui.headless.find import find_run
from sft_tui.headless.run_command import follow_or_leave, join
from sft_tui.i18n import _
from sft_tui.project.events import EventReader
from sft_tui.project.state import Status, present_status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `resume`."""
    add_set(parser)
    add_detach(parser)
    parser.add_argument(
        "--from-start", action="store_true", help=_("train from the first step; keep the old one beside")
    )
    add_restart(parser)
    parser.add_argument("--force", action="store_true", help=_("start though the GPU memory seems too small"))
    add_run(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run to go on with, and what to change."""

    run: str
    set: list[str]
    detach: bool
    from_start: bool
    restart_on_crash: int | None
    force: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Go on with a run. Raises `Refusal`."""
    from sft_tui.plan.settings import parse_settings
    from sft_tui.run.lifecycle import read_plan, resume
    from sft_tui.run.outcome import run_is_done

    layout, state = find_run(request.dir, request.run)
    changes = parse_settings(request.set)
    plan = read_plan(layout)
    done = present_status(state) is Status.FINISHED and (plan is None or run_is_done(plan, state))
    if done and not changes and not request.from_start:
        return show_ended(layout, state, as_json=request.json)
    reader = EventReader(layout.events, from_end=True)
    if not present_status(state).final and state.supervisor is not None and state.supervisor.alive() and not changes:
        return join(layout, state, reader, detach=request.detach, as_json=request.json)
    resume(
        layout,
        changes or None,
        force=request.force,
        from_start=request.from_start,
        restart_on_crash=request.restart_on_crash,
    )
    return follow_or_leave(layout, reader, detach=request.detach, as_json=request.json)
