"""The lines of a log file, as many as fit: follows the end, or stays where the user scrolled to.

Only what is on the screen is read and kept. Everything shown is plain text: no markup, no control characters.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sft_tui.i18n import N_, _
from sft_tui.view.log_file import Line, LogFile

POLL_S = 0.25
"""How often the file is looked at, and so the most often that the view is drawn."""

_TROUBLE = ("Error", "Traceback (most", "error:", "ERROR", "CRITICAL")
_CAUTION = ("[WARNING", "Warning:")


class LogView(Widget, can_focus=True):
    """Shows a log. `follow` is whether it stays at the end; `unseen` counts the lines that came since it does not."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--match", "log--trouble", "log--caution"}
    DEFAULT_CSS = """
    LogView { height: 1fr; min-height: 1; }
    LogView > .log--match { text-style: reverse; }
    LogView > .log--trouble { color: $error; }
    LogView > .log--caution { color: $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_lines(-1)", N_("Up"), show=False),
        Binding("down", "scroll_lines(1)", N_("Down"), show=False),
        Binding("pageup", "scroll_pages(-1)", N_("Page up"), show=False),
        Binding("pagedown", "scroll_pages(1)", N_("Page down"), show=False),
        Binding("home", "go_home", N_("Beginning"), show=False),
        Binding("end", "go_end", N_("Follow"), show=False),
        Binding("left", "scroll_columns(-1)", N_("Left"), show=False),
        Binding("right", "scroll_columns(1)", N_("Right"), show=False),
    ]

    class Moved(Message):
        """What is shown, or what is to be said about it, has changed."""

    def __init__(self, path: Path | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.follow = True
        self.unseen = 0
        self.needle = ""
        self.lines: list[Line] = []
        self._log = LogFile(path) if path else None
        self._seen: tuple[int, int, str | None] = (-1, -1, None)  # generation, size, problem when `lines` were read
        self._said = ""
        self._top = 0
        self._left = 0

    @property
    def log_file(self) -> LogFile | None:
        """The file that is shown."""
        return self._log

    @property
    def top(self) -> int:
        """The byte at which the first shown line begins."""
        return self.lines[0].start if self.lines else 0

    @property
    def bottom(self) -> int:
        """The byte after the last shown line."""
        return self.lines[-1].end if self.lines else 0

    def open(self, path: Path) -> None:
        """Show `path` from now on, following its end."""
        if self._log is not None:
            if self._log.path == path:
                return
            self._log.close()
        self._log = LogFile(path)
        self._seen = (-1, -1, None)
        self._left = 0
        self.action_go_end()

    def on_mount(self) -> None:
        """Look at the file now, and again four times a second."""
        self.poll()
        self.set_interval(POLL_S, self.poll)

    def on_unmount(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()

    def on_resize(self) -> None:
        """More or fewer lines fit."""
        self._read()

    def poll(self) -> None:
        """Show what was appended since the last look; a truncated or replaced file is followed anew."""
        if self._log is None or not self.is_attached or not self.screen.is_current:
            return
        self._log.refresh()
        now = (self._log.generation, self._log.size, self._log.problem)
        if now == self._seen:
            return
        if now[0] != self._seen[0]:
            self.follow, self.unseen = True, 0
        elif not self.follow:
            self.unseen += self._log.count(self._seen[1], now[1])
        self._read()

    def _read(self) -> None:
        """Read the lines for the present place and draw them if they differ."""
        if self._log is None:
            return
        height = max(1, self.size.height)
        self._seen = (self._log.generation, self._log.size, self._log.problem)
        lines = self._log.tail(height) if self.follow else self._log.after(self._top, height)
        said = "" if lines else self._empty_text()
        if lines != self.lines or said != self._said:
            self.lines, self._said = lines, said
            self.refresh()
        self.post_message(self.Moved())

    # -- moving -----------------------------------------------------------------------------------------------------

    def action_scroll_lines(self, count: int) -> None:
        """Scroll by lines; upwards stops following, reaching the end follows again."""
        if self._log is None or not self.lines:
            return
        if count < 0:
            above = self._log.before(self.top, -count)
            if above:
                self.show_at(above[0].start)
            return
        if self.follow:
            return
        height = max(1, self.size.height)
        below = self._log.after(self._top, count + height)
        if len(below) <= height or below[-1].end >= self._log.size:
            self.action_go_end()
        else:
            self.show_at(below[min(count, len(below) - height)].start)

    def action_scroll_pages(self, count: int) -> None:
        """Scroll by what fits, less one line."""
        self.action_scroll_lines(count * max(1, self.size.height - 1))

    def action_scroll_columns(self, count: int) -> None:
        """Move sideways by half the width."""
        self._left = max(0, self._left + count * max(1, self.size.width // 2))
        longest = max((cell_len(line.text) for line in self.lines), default=0)
        self._left = min(self._left, max(0, longest - 1))
        self.refresh()

    def action_go_home(self) -> None:
        """Show the beginning."""
        self._left = 0
        self.show_at(0)

    def action_go_end(self) -> None:
        """Show the end and follow it."""
        self.follow, self.unseen = True, 0
        self._read()

    def show_at(self, offset: int) -> None:
        """Show the lines from the line boundary `offset` on, and stay there."""
        if self.follow:
            self.unseen = 0
        self.follow, self._top = False, offset
        self._read()

    def reveal(self, offset: int) -> None:
        """Show the line that begins at `offset` with some lines before it."""
        if self._log is None:
            return
        before = self._log.before(offset, max(0, self.size.height // 2))
        self.show_at(before[0].start if before else offset)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls by three lines."""
        event.stop()
        self.action_scroll_lines(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls by three lines."""
        event.stop()
        self.action_scroll_lines(3)

    # -- drawing ----------------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """Where the view stands: following, or how many lines came since."""
        if self._log is not None and self._log.problem is not None:
            return _("nothing yet")
        if self.follow:
            return _("following")
        if self.unseen:
            return _("+{count} lines, End follows").format(count=f"{self.unseen:,}")
        return _("stopped here, End follows")

    def highlight(self, needle: str) -> None:
        """Mark `needle` wherever it is shown."""
        self.needle = needle
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the view, cut to its width."""
        width, base = self.size.width, self.rich_style
        if y >= len(self.lines):
            text = self._empty_text() if y == 0 and not self.lines else ""
            return Strip([Segment(text, base)]).adjust_cell_length(width, base)
        text = self.lines[y].text[: self._left + 2 * width + 64]
        strip = Strip(self._segments(text, self._style_of(text, base)))
        return strip.crop_extend(self._left, self._left + width, base)

    def _empty_text(self) -> str:
        if self._log is None:
            return ""
        if self._log.problem is not None:
            return _("There is no {name} yet.").format(name=self._log.path.name)
        return _("{name} is empty so far.").format(name=self._log.path.name)

    def _style_of(self, text: str, base: Style) -> Style:
        if any(word in text for word in _TROUBLE):
            return base + self.get_component_rich_style("log--trouble", partial=True)
        if any(word in text for word in _CAUTION):
            return base + self.get_component_rich_style("log--caution", partial=True)
        return base

    def _segments(self, text: str, style: Style) -> list[Segment]:
        """`text`, with the parts that match the search marked."""
        needle = self.needle.casefold()
        folded = text.casefold()
        if not needle or needle not in folded or len(folded) != len(text):
            return [Segment(text, style)]
        mark = style + self.get_component_rich_style("log--match", partial=True)
        segments, position = [], 0
        while (found := folded.find(needle, position)) >= 0:
            end = found + len(needle)
            segments += [Segment(text[position:found], style), Segment(text[found:end], mark)]
            position = end
        return [*segments, Segment(text[position:], style)]
