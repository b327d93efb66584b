"""`sft-tui export RUN`: merge the adapter of a run again, with other options or after a failure."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_detach, add_run
from sft_tui.headless.find import find_run
from sft_tui.headless.run_command import follow_or_leave
from sft_tui.i18n import _
from sft_tui.project.events import EventReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    parser.add_argument("--size-gb", type=int, metavar="GB", help=_("largest file of the merged model"))
    parser.add_argument("--device", choices=("cpu", "auto"), help=_("where the merge is computed"))
    parser.add_argument("--no-verify", action="store_true", help=_("do not check the merged model"))
    parser.add_argument("--overwrite", action="store_true", help=_("replace a merged model that is there"))
    add_detach(parser)
    add_run(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run to export, and how."""

    run: str
    size_gb: int | None
    device: str | None
    no_verify: bool
    overwrite: bool
    detach: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Export a trained run, and verify it. Raises `Refusal`."""
    from sft_tui.run.lifecycle import export_again

    layout, _state = find_run(request.dir, request.run)
    reader = EventReader(layout.events, from_end=True)
    export_again(
        layout,
        size_gb=request.size_gb,
        device=request.device,
        verify=not request.no_verify,
        overwrite=request.overwrite,
    )
    return follow_or_leave(layout, reader, detach=request.detach, as_json=request.json)
