"""`sft-tui report RUN`: an archive of a run, without secrets and names, for asking others for help."""

from __future__ import annotations

import argparse
from pathlib import Path

from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `report`."""
    parser.add_argument("run", metavar="RUN", help=_("the run's name"))
    parser.add_argument("--out", metavar="FILE", help=_("archive to write (default: RUN-report-TIME.tar.gz)"))
    parser.add_argument("--dir", default=".", metavar="PROJECT", help=_("project directory (default: here)"))
    parser.add_argument("--json", action="store_true", help=_("result as JSON on stdout"))


def run(args: argparse.Namespace) -> int:
    """Write the archive; stdout is its path."""
    from sft_tui.support.report import write_report

    out = None if args.out is None else Path(args.out)
    path = write_report(Path(args.dir), args.run, out)
    if args.json:
        put_json({"report": str(path)})
    else:
        put(str(path))
    taken = _(
        "Taken out: tokens, passwords, names, samples printed in logs, questions and answers of the verification."
    )
    say(f"{taken} {_('Your prompts and settings are in it; look it through before you send it.')}")
    return int(ExitCode.DONE)
