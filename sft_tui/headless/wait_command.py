"""`sft-tui wait RUN`: return when a run has ended, with its exit code."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_run
from sft_tui.headless.find import find_run, run_as_json
from sft_tui.headless.follow import Listener, follow
from sft_tui.headless.narrator import say_end
from sft_tui.headless.output import put_json
from sft_tui.i18n import _
from sft_tui.project.events import EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, present_status
from sft_tui.view.outcome import exit_code_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `wait`."""
    help_text = _("wait no longer than this; then the exit code is 130, and the run goes on")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=help_text)
    add_run(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run to wait for, and how long in seconds."""

    run: str
    timeout: float | None
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Wait for a run's end; its exit code."""
    layout, state = find_run(request.dir, request.run)
    end = _End(as_json=request.json)
    if present_status(state).final:
        end.end(layout, state)
        return exit_code_of(state)
    return follow(layout, EventReader(layout.events, from_end=True), end, timeout_s=request.timeout)


class _End(Listener):
    """Says only how it has ended."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def end(self, layout: RunLayout, state: RunState) -> None:
        """For people or for programs."""
        if self.as_json:
            put_json(run_as_json(layout, state))
        else:
            say_end(layout, state)
