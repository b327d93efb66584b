"""What the commands' words have in common. Each command makes a frozen request of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from sft_tui.headless.output import say
from sft_tui.i18n import _
from sft_tui.problems import refuse


class Parser(argparse.ArgumentParser):
    """Refuses wrong words like everything else is refused: also as JSON where that was asked for."""

    def error(self, message: str) -> NoReturn:
        """Show the usage and raise `Refusal` (exit 2)."""
        say(self.format_usage().rstrip())
        raise refuse("usage", f"{self.prog}: {message}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`: the result for programs."""
    parser.add_argument("--json", action="store_true", help=_("result as JSON on stdout"))


def add_project(parser: argparse.ArgumentParser) -> None:
    """`--dir`: the project directory, and `--json`."""
    help_text = _("project directory (default: here)")
    parser.add_argument("--dir", type=Path, default=Path(), metavar="PROJECT", help=help_text)
    add_json(parser)


def add_run(parser: argparse.ArgumentParser) -> None:
    """A run's name, the project's directory, and `--json`."""
    parser.add_argument("run", metavar="RUN", help=_("name of the run"))
    add_project(parser)


def add_detach(parser: argparse.ArgumentParser) -> None:
    """`--detach`: do not follow what was started."""
    parser.add_argument("--detach", action="store_true", help=_("start and return at once"))


def add_restart(parser: argparse.ArgumentParser) -> None:
    """`--restart-on-crash N`."""
    help_text = _("start a training that crashes again, N times at most")
    parser.add_argument("--restart-on-crash", type=whole_number, metavar="N", help=help_text)


def whole_number(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(_("{value} is not a whole number").format(value=text))
    return int(text)


def add_set(parser: argparse.ArgumentParser) -> None:
    """`--set KEY=VALUE`, any number of times."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=_("change a training option"))
