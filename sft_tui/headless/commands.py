"""The commands: where each one is, and what it is for. Their modules are imported only when they are used.

Such a module has `add_arguments(parser)`, a frozen `Request` with a field for each of those, and `run(request) -> int`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from types import ModuleType

from sft_tui import __version__
from sft_tui.headless.arguments import Parser, add_restart, add_set
from sft_tui.i18n import LANGUAGES, N_, _

COMMANDS: dict[str, str] = {
    "doctor": N_("is this machine ready?"),
    "demo": N_("the whole way on the CPU with a tiny model, in two minutes"),
    "check": N_("what is wrong with an answers file or a LLaMA-Factory YAML"),
    "convert": N_("turn any data file into LLaMA-Factory data"),
    "preview": N_("rows of a data file as samples and as tokens"),
    "estimate": N_("GPU memory and time of a training"),
    "explain": N_("what a training option means"),
    "runs": N_("the runs of a project"),
    "attach": N_("follow a run"),
    "wait": N_("wait for a run to end, with its exit code"),
    "logs": N_("what a run has printed"),
    "events": N_("what has happened in a run, as JSON Lines"),
    "stop": N_("stop a run and save what was learned"),
    "resume": N_("go on with a run"),
    "export": N_("merge the adapter of a run again"),
    "service": N_("bring runs back after a reboot"),
    "diagnose": N_("why did it fail? reads a log"),
    "report": N_("an archive of a run for asking others for help"),
    "schema": N_("the JSON Schema of an answers file"),
    "cache": N_("what is kept outside the projects, and removing it"),
    "completion": N_("completion of commands, options and runs for a shell"),
}
"""Each command's purpose; `NAME` is in the module `sft_tui.headless.NAME_command`."""


def module_of(name: str) -> ModuleType:
    """The module of a command, imported now."""
    return import_module(f"sft_tui.headless.{name}_command")


def parser_of(name: str) -> Parser:
    """The parser of a command's words."""
    parser = Parser(prog=f"sft-tui {name}", description=_(COMMANDS[name]), allow_abbrev=False)
    module_of(name).add_arguments(parser)
    return parser


def main_parser() -> Parser:
    """The parser of the words where the first one is no command: both front ends."""
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:<{width}}{_(text)}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="sft-tui",
        description=_("Fine-tune a language model with LLaMA-Factory. Without options: the wizard."),
        epilog=_("commands:\n{listing}\n\n`sft-tui COMMAND --help` tells more.").format(listing=listing),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("answers", nargs="?", metavar="ANSWERS", help=_("answers file to start the wizard with"))
    add_front_end(parser)
    return parser


def add_front_end(parser: argparse.ArgumentParser) -> None:
    """The options of both front ends."""
    parser.add_argument(
        "--non-interactive", metavar="ANSWERS", help=_("do what the answers file says, without a screen")
    )
    for flag, text in (
        ("--dry-run", N_("print what would be done, and do nothing")),
        ("--detach", N_("start and return at once")),
        ("--fresh", N_("start a new run beside an earlier one")),
        ("--force", N_("start though the GPU memory seems too small")),
        ("--json", N_("events on stdout, one JSON object a line")),
    ):
        parser.add_argument(flag, action="store_true", help=_(text))
    add_set(parser)
    add_restart(parser)
    parser.add_argument("--lang", choices=LANGUAGES, help=_("language (default: from the locale)"))
    parser.add_argument("--theme", metavar="NAME", help=_("colour theme of the wizard"))
    parser.add_argument("--no-mouse", action="store_true", help=_("leave the mouse to the terminal"))
    parser.add_argument("--ascii", action="store_true", help=_("draw with ASCII signs only"))
    parser.add_argument("--version", action="version", version=f"sft-tui {__version__}")
