"""A log with line numbers: where the view stands among all lines, and a jump to any of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input

from sft_tui.i18n import N_, _
from sft_tui.tui.jobs import Cancelled, Job
from sft_tui.tui.widgets.log_tail import LogTail
from sft_tui.tui.widgets.log_view import LogView
from sft_tui.view.log_file import LineIndex, LogFile


class FullLog(LogTail):
    """Adds to `LogTail` what needs an index of the whole file; it is made in a thread and takes 64 KiB at most."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", N_("Search"), key_display="/"),
        Binding("g", "goto", N_("Go to line")),
        Binding("f", "follow", N_("Follow")),
    ]

    def __init__(self, path: Path, title: str) -> None:
        super().__init__(path, title)
        self._index: LineIndex | None = None
        self._index_of: Path | None = None
        self._asking_line = False
        self._jumping = False

    def open(self, path: Path, title: str) -> None:
        """Show another file from now on."""
        self._jobs.cancel("index")
        self._jumping = False
        self._place = ""
        super().open(path, title)

    @on(LogView.Moved)
    def _locate(self) -> None:
        """Say at which line the view stands, unless it follows the end. A jump on its way will say it itself: the view
        also moves when the field of the number closes, and that must not cancel the jump.
        """
        if self._jumping:
            return
        self._place = ""
        log = self.view.log_file
        if log is not None and not self.view.follow:
            self._find_line(log.path, self.view.top, None)

    def _find_line(self, path: Path, offset: int, number: int | None) -> None:
        """Find the line at byte `offset`, or where the line `number` begins, and go there."""
        work = partial(self._look_up, path, offset, number)
        self._jobs.start("index", work, partial(self._located, path, number is not None), alone=True)

    def _look_up(self, path: Path, offset: int, number: int | None, job: Job) -> tuple[int, int, int]:
        """In a thread, one at a time: bring the index up to date and ask it for line, number of lines and offset."""
        with LogFile(path) as log:
            index = self._index if self._index is not None and self._index_of == path else LineIndex(log)
            index.use(log)
            if not index.extend(lambda: job.cancelled):
                raise Cancelled
            self._index, self._index_of = index, path
            if number is not None:
                offset = index.offset(number)
            return index.number(offset), index.lines, offset

    def _located(self, path: Path, jump: bool, found: tuple[int, int, int]) -> None:
        log, (number, lines, offset) = self.view.log_file, found
        if log is None or log.path != path:
            return
        if jump:
            self._jumping = False
            self.view.show_at(offset)
        self._place = _("line {number} of {count}").format(number=f"{number:,}", count=f"{lines:,}")
        self._describe()

    def action_goto(self) -> None:
        """Ask for a line's number."""
        self.action_search()
        self._asking_line = True
        self.query_one(Input).placeholder = _("number of a line, then Enter")

    def action_search(self) -> None:
        """Open the search field."""
        self._asking_line = False
        field = self.query_one(Input)
        field.placeholder = _("search, then Enter")
        field.value = ""
        super().action_search()

    def action_follow(self) -> None:
        """Show the end and follow it."""
        self.view.action_go_end()

    def submitted(self, value: str) -> None:
        """A search, or the number of a line."""
        if not self._asking_line:
            super().submitted(value)
            return
        self._asking_line = False
        number = value.strip().replace(",", "")
        log = self.view.log_file
        if number.isdecimal() and log is not None:
            self._jumping = True
            self._find_line(log.path, 0, int(number))
        else:
            self._note = _("{text} is no number of a line").format(text=value)
            self._describe()
