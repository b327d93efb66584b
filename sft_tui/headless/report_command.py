"""`sft-tui report RUN`: an archive of a run, without secrets and names, for asking others for help."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_project
from sft_tui.headless.find import find_project
from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `report`."""
    parser.add_argument("run", metavar="RUN", help=_("the run's name"))
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=_("archive to write (default: RUN-report-TIME.tar.gz)")
    )
    add_project(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which run to report on, and into which file."""

    run: str
    out: Path | None
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Write the archive; stdout is its path."""
    from sft_tui.support.report import write_report

    path = write_report(find_project(request.dir), request.run, request.out)
    if request.json:
        put_json({"report": str(path)})
    else:
        put(str(path))
    taken = _(
        "Taken out: tokens, passwords, names, samples printed in logs, questions and answers of the verification."
    )
    say(f"{taken} {_('Your prompts and settings are in it; look it through before you send it.')}")
    return int(ExitCode.DONE)
