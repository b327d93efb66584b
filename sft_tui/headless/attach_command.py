"""`sft-tui attach [RUN]`: a run as it is, followed to its end; on a terminal `cli` shows it on the screen instead."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_project
from sft_tui.headless.find import find_run, run_as_json
from sft_tui.headless.narrator import say_end, say_where, watch
from sft_tui.headless.output import duration, put_json, say
from sft_tui.i18n import _
from sft_tui.project.events import EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, present_status, read_state
from sft_tui.view.outcome import exit_code_of, status_word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `attach`."""
    parser.add_argument("run", metavar="RUN", nargs="?", help=_("name of the run (default: the one that is running)"))
    parser.add_argument("--plain", action="store_true", help=_("plain lines instead of the screen"))
    add_project(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run, and how to show it."""

    run: str | None
    plain: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Show a run as it is and follow it to its end, in plain lines."""
    layout, state = find_run(request.dir, request.run)
    reader = EventReader(layout.events, from_end=True)
    state = read_state(layout) or state  # it may have ended before the reader was there
    if present_status(state).final:
        return show_ended(layout, state, as_json=request.json)
    if not request.json:
        say_where(layout, state)
    return watch(layout, reader, as_json=request.json)


def show_ended(layout: RunLayout, state: RunState, *, as_json: bool) -> int:
    """Say how a run that is not on any more has ended; its exit code."""
    if as_json:
        put_json(run_as_json(layout, state))
    took = duration(state.finished - state.created if state.finished else None)
    say(_("{run}: {status} ({time})").format(run=layout.name, status=status_word(present_status(state)), time=took))
    say_end(layout, state)
    return exit_code_of(state)
