"""A log with line numbers: where the view stands among all lines, and a jump to any of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input
from textual.worker import get_current_worker

from sft_tui.i18n import N_, _
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

    @dataclass
    class Located(Message):
        """Line `number` of `lines` begins at byte `offset` of `path`. `jump`: the view is to go there."""

        path: Path
        number: int
        lines: int
        offset: int
        jump: bool

    def __init__(self, path: Path, title: str) -> None:
        super().__init__(path, title)
        self._index: LineIndex | None = None
        self._asking_line = False
        self._jumping = False

    def open(self, path: Path, title: str) -> None:
        """Show another file from now on."""
        self._index = None
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
        self.run_worker(
            lambda: self._look_up(path, offset, number), thread=True, exclusive=True, group="index", exit_on_error=False
        )

    def _look_up(self, path: Path, offset: int, number: int | None) -> None:
        """In a thread: bring the index up to date and ask it."""
        worker = get_current_worker()
        with LogFile(path) as log:
            index = self._index if self._index is not None else LineIndex(log)
            index.use(log)
            if not index.extend(lambda: worker.is_cancelled):
                return
            self._index = index
            if number is not None:
                offset = index.offset(number)
            found = self.Located(path, index.number(offset), index.lines, offset, number is not None)
        if not worker.is_cancelled:
            self.post_message(found)

    @on(Located)
    def _located(self, event: FullLog.Located) -> None:
        event.stop()
        log = self.view.log_file
        if log is None or log.path != event.path:
            return
        if event.jump:
            self._jumping = False
            self.view.show_at(event.offset)
        self._place = _("line {number} of {count}").format(number=f"{event.number:,}", count=f"{event.lines:,}")
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
