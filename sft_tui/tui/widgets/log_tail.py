"""A framed log with its name, where it stands, and a search."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from sft_tui.i18n import N_, _
from sft_tui.tui.jobs import Job, Jobs
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.tui.widgets.log_view import LogView
from sft_tui.view.log_file import Line, LogFile, find


class LogTail(Vertical):
    """A `LogView` in a frame. `/` searches upwards from what is shown; `n` goes on to older lines, `N` to newer."""

    DEFAULT_CSS = """
    LogTail { height: 1fr; min-height: 3; border: round $border-blurred; padding: 0 1; }
    LogTail:focus-within { border: round $border; }
    LogTail.-ascii, LogTail.-ascii:focus-within { border: ascii $border-blurred; }
    LogTail > Input { dock: bottom; height: 1; border: none; padding: 0; display: none; }
    LogTail.-searching > Input { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", N_("Search"), show=False),
        Binding("n", "again(True)", N_("Older"), show=False),
        Binding("N", "again(False)", N_("Newer"), show=False),
        Binding("escape", "close_search", "", show=False),
    ]

    def __init__(self, path: Path | None = None, title: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._path = path
        self._title = title
        self._note = self._place = self._shown_note = ""
        self._hit_start = -1
        self._jobs = Jobs(self)

    def compose(self) -> ComposeResult:
        """The lines, and the search field below them."""
        yield LogView(self._path)
        field = Input(placeholder=_("search, then Enter"), compact=True, id="log-search")
        field.cursor_blink = False
        yield field

    def on_mount(self) -> None:
        """Frame and title for this terminal."""
        self.set_class(signs_of(self).ascii, "-ascii")
        self.border_title = Content(self._title)

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def open(self, path: Path, title: str) -> None:
        """Show another file from now on."""
        self._title, self._note = title, ""
        self.border_title = Content(title)
        self.view.open(path)

    @on(LogView.Moved)
    def _describe(self) -> None:
        note = "  ".join(part for part in (self._note, self._place, self.view.summary()) if part)
        if note != self._shown_note:
            self._shown_note = note
            self.border_subtitle = Content(f" {note} ")

    # -- search -----------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the search field."""
        self.add_class("-searching")
        self.query_one(Input).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc belongs to the search only while there is one; letters belong to the field while it has the focus."""
        searching = self.has_class("-searching")
        if action == "close_search":
            return searching or bool(self.view.needle)
        if action in ("again", "search"):
            return not searching
        return True

    def action_close_search(self) -> None:
        """Close the search and forget its marks."""
        self.remove_class("-searching")
        self._note = ""
        self.view.highlight("")
        self.view.focus()
        self._describe()

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        self.remove_class("-searching")
        self.view.focus()
        if event.value:
            self.submitted(event.value)

    def submitted(self, value: str) -> None:
        """`value` was entered in the field: search for it."""
        self.view.highlight(value)
        self._search(value, self.view.bottom, True)

    def action_again(self, backwards: bool) -> None:
        """Go on with the search, to older lines or to newer ones."""
        view = self.view
        if view.needle:
            here = next((line for line in view.lines if line.start == self._hit_start), None)
            if backwards:
                start = view.top if here is None else here.start
            else:
                start = view.bottom if here is None else here.end
            self._search(view.needle, start, backwards)

    def _search(self, needle: str, start: int, backwards: bool) -> None:
        path = self.view.log_file.path if self.view.log_file else None
        if path is not None:
            self._note = _("searching")
            self._describe()
            work = partial(_look, path, needle, start, backwards)
            self._jobs.start("search", work, partial(self._found, needle))

    def _found(self, needle: str, found: tuple[Line | None, bool]) -> None:
        line, wrapped = found
        self._note = _("n older, N newer") if line else _("{text} is nowhere in the log").format(text=needle)
        if line:
            if wrapped:
                self._note = _("went on from the other end")
            self._hit_start = line.start
            self.view.reveal(line.start)
        self._describe()


def _look(path: Path, needle: str, start: int, backwards: bool, job: Job) -> tuple[Line | None, bool]:
    """In a thread: search on from `start`, then from the other end; the line, and whether it is from there."""
    with LogFile(path) as log:
        for wrapped in (False, True):
            begin = (log.size if backwards else 0) if wrapped else start
            line = find(log, needle, begin, backwards=backwards, should_stop=lambda: job.cancelled)
            if line is not None:
                return line, wrapped
    return None, False
