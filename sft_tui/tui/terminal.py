"""What the terminal can do: whether there is one, its size, UTF-8, and whether the wizard can be shown there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from sft_tui.i18n import _

MIN_COLUMNS = 60
MIN_ROWS = 20


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal as its environment describes it. `columns` and `rows` are 0 where there is none."""

    is_terminal: bool
    term: str
    columns: int
    rows: int
    utf8: bool

    @property
    def too_small(self) -> bool:
        """Whether the screens do not fit."""
        return self.is_terminal and (self.columns < MIN_COLUMNS or self.rows < MIN_ROWS)


def look_at_terminal(environ: Mapping[str, str] | None = None) -> Terminal:
    """The terminal of this process: standard input and error, because standard output may be redirected."""
    environ = os.environ if environ is None else environ
    streams = (sys.__stdin__, sys.__stderr__)
    is_terminal = all(stream is not None and stream.isatty() for stream in streams)
    columns = rows = 0
    if is_terminal and sys.__stderr__ is not None:
        try:
            columns, rows = os.get_terminal_size(sys.__stderr__.fileno())
        except OSError:
            columns, rows = 80, 24
    return Terminal(is_terminal, environ.get("TERM", ""), columns, rows, says_utf8(environ))


def says_utf8(environ: Mapping[str, str]) -> bool:
    """Whether the locale variables speak of UTF-8.

    `LC_CTYPE=C.UTF-8` without `LANG` is what Python itself sets in a C locale; it says nothing of the terminal.
    """
    if not environ.get("LC_ALL") and not environ.get("LANG") and environ.get("LC_CTYPE") == "C.UTF-8":
        return False
    for variable in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = environ.get(variable, "")
        if value:
            return "utf-8" in value.lower() or "utf8" in value.lower()
    return False


def why_not(terminal: Terminal) -> str | None:
    """A sentence that says why the wizard cannot be shown here and what to type instead; None where it can."""
    instead = _("Without a terminal, run an answers file: sft-tui --non-interactive answers.yaml")
    if not terminal.is_terminal:
        return _("This is not a terminal, so the wizard cannot be shown.") + " " + instead
    if terminal.term in ("dumb", "unknown"):
        message = _("This terminal (TERM={term}) cannot show the wizard.")
        return message.format(term=terminal.term) + " " + instead
    if terminal.too_small:
        message = _(
            "This terminal has {columns}x{rows} characters; the wizard needs at least {min_columns}x{min_rows}. "
            "Enlarge the window and start again."
        )
        return message.format(columns=terminal.columns, rows=terminal.rows, min_columns=MIN_COLUMNS, min_rows=MIN_ROWS)
    return None
