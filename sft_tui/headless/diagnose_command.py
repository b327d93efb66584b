"""`sft-tui diagnose LOG|-`: why did it fail? Reads a log of LLaMA-Factory, of this program's run or any other."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_json
from sft_tui.headless.output import put, put_json
from sft_tui.i18n import _
from sft_tui.problems import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `diagnose`."""
    parser.add_argument("log", metavar="LOG|-", help=_("a log file, or - for stdin"))
    add_json(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which log; `-` is standard input."""

    log: str
    json: bool


def run(request: Request) -> int:
    """Diagnose the log; exit 0 also where nothing is known. Raises `Refusal` where there is no readable log."""
    from sft_tui.factory.failures import diagnose_text, last_exception, read_log, read_stream
    from sft_tui.factory.failures.explain import explain_lines

    text = read_stream(sys.stdin.buffer, _("standard input")) if request.log == "-" else read_log(Path(request.log))
    diagnoses = diagnose_text(text)
    if request.json:
        put_json({"diagnoses": [diagnosis.as_json() for diagnosis in diagnoses]})
    else:
        for line in explain_lines(diagnoses, last_exception(text)):
            put(line)
    return int(ExitCode.DONE)
