"""`sft-tui completion SHELL`: a script that completes commands, options, files and the names of runs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from sft_tui.headless.arguments import Parser, add_json
from sft_tui.headless.output import put, put_json
from sft_tui.i18n import _
from sft_tui.problems import ExitCode

SHELLS = ("bash", "zsh", "fish")
_RUNS = "ls -1 runs 2>/dev/null"
"""Lists the runs of the project that the shell stands in, without starting Python."""
_FILES = ("ANSWERS", "ANSWERS|YAML", "MODEL|ANSWERS", "SOURCE", "LOG|-", "FILE", "YAML", "M", "PATH")
_DIRECTORIES = ("PROJECT", "DIR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help=_("the shell that the script is for"))
    add_json(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """For which shell."""

    shell: str
    json: bool


def run(request: Request) -> int:
    """Print the script."""
    import shtab

    script = shtab.complete(_everything(), shell=request.shell)
    if request.json:
        put_json({"shell": request.shell, "script": script})
    else:
        put(script)
    return int(ExitCode.DONE)


def _everything() -> Parser:
    """One parser of all commands, as the completion needs it."""
    from sft_tui.headless.commands import COMMANDS, add_front_end, module_of

    parser = Parser(prog="sft-tui", allow_abbrev=False)
    add_front_end(parser)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=_(text), allow_abbrev=False)
        module_of(name).add_arguments(command)
        _mark(command)
    _mark(parser)
    return parser


def _mark(parser: argparse.ArgumentParser) -> None:
    """Say of each option what completes it."""
    import shtab

    for action in parser._actions:
        if action.metavar == "RUN":
            action.complete = shtab.cmd(_RUNS)  # type: ignore[attr-defined]
        elif action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
