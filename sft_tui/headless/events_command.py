"""`sft-tui events RUN`: everything that happened in a run, one JSON object a line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_run
from sft_tui.headless.find import find_run
from sft_tui.headless.follow import follow
from sft_tui.headless.narrator import JsonNarrator
from sft_tui.headless.output import nobody_reads, put_json
from sft_tui.i18n import _
from sft_tui.problems import ExitCode
from sft_tui.project.events import EventReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `events`."""
    parser.add_argument("-f", "--follow", action="store_true", help=_("go on until the run has ended"))
    add_run(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run. `json` says nothing more: they are JSON anyway."""

    run: str
    follow: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Print the events from the first on; with `follow` the exit code is the run's."""
    layout, _state = find_run(request.dir, request.run)
    reader = EventReader(layout.events)
    if request.follow:
        return follow(layout, reader, JsonNarrator())
    for event in reader.poll():
        put_json(event)
        if nobody_reads(as_json=True):
            break
    return int(ExitCode.DONE)
