"""`sft-tui schema`: the JSON Schema of answers.yaml."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from sft_tui.headless.output import put
from sft_tui.i18n import _
from sft_tui.problems import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `schema`."""
    parser.add_argument("--json", action="store_true", help=_("accepted like everywhere; the schema is JSON anyway"))


@dataclass(frozen=True, slots=True)
class Request:
    """Nothing can be asked of a schema."""

    json: bool


def run(_request: Request) -> int:
    """Print the schema."""
    from sft_tui.answers import json_schema

    put(json.dumps(json_schema(), ensure_ascii=False, indent=2))
    return int(ExitCode.DONE)
