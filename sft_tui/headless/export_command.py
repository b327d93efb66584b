"""`sft-tui export RUN`: merge the adapter of a run again, with other options or after a failure."""

from __future__ import annotations

import argparse
from pathlib import Path

from sft_tui.headless.follow import say_detached
from sft_tui.headless.run_command import watch
from sft_tui.headless.runs_command import add_run_argument, find_run
from sft_tui.i18n import _
from sft_tui.problems import ExitCode
from sft_tui.project.events import EventReader
from sft_tui.run.lifecycle import export_again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    parser.add_argument("--size-gb", type=int, metavar="GB", help=_("largest file of the merged model"))
    parser.add_argument("--device", choices=("cpu", "auto"), help=_("where the merge is computed"))
    parser.add_argument("--no-verify", action="store_true", help=_("do not check the merged model"))
    parser.add_argument("--overwrite", action="store_true", help=_("replace a merged model that is there"))
    parser.add_argument("--detach", action="store_true", help=_("start and return at once"))
    add_run_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Export a trained run, and verify it. Raises `Refusal`."""
    layout, _state = find_run(Path(args.dir), args.run)
    reader = EventReader(layout.events, from_end=True)
    export_again(layout, size_gb=args.size_gb, device=args.device, verify=not args.no_verify, overwrite=args.overwrite)
    if args.detach:
        say_detached(layout)
        return int(ExitCode.DONE)
    return watch(layout, reader, as_json=args.json)
