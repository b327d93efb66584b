"""A list of any length on a few lines: only what is in view is drawn. `>` stands at the current line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sft_tui.tui.look.text import one_line, pad
from sft_tui.tui.widgets.bars import signs_of


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it stands for, its text, what else to say of it, and whether it is marked as the chosen one."""

    id: str
    label: str
    note: str = ""
    chosen: bool = False


class ListBox(ScrollView, can_focus=True):
    """A list to walk through with the arrow keys; the screen decides what Enter does with `current`."""

    DEFAULT_CSS = "ListBox { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "", show=False),
        Binding("down", "move(1)", "", show=False),
        Binding("pageup", "page(-1)", "", show=False),
        Binding("pagedown", "page(1)", "", show=False),
        Binding("home", "move(-1000000000)", "", show=False),
        Binding("end", "move(1000000000)", "", show=False),
    ]

    class Moved(Message):
        """Another line is the current one."""

        def __init__(self, box: ListBox) -> None:
            super().__init__()
            self.box = box

    class Picked(Message):
        """A line was clicked."""

        def __init__(self, box: ListBox) -> None:
            super().__init__()
            self.box = box

    def __init__(self, rows: Sequence[Row] = (), *, id: str | None = None, marks: bool = False) -> None:
        super().__init__(id=id)
        self.rows = tuple(rows)
        self.marks = marks
        self.cursor = next((i for i, row in enumerate(self.rows) if row.chosen), 0)
        self.virtual_size = Size(1, len(self.rows))

    @property
    def current(self) -> Row | None:
        """The line with the `>`."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def set_rows(self, rows: Sequence[Row], at: str | None = None) -> None:
        """Replace the lines; the cursor goes to the line with the id `at`, or to the first."""
        self.rows = tuple(rows)
        self.cursor = next((i for i, row in enumerate(self.rows) if row.id == at), 0)
        self.virtual_size = Size(1, len(self.rows))
        self._show_cursor()
        self.refresh(layout=True)
        self.post_message(self.Moved(self))

    def action_move(self, step: int) -> None:
        """Move the cursor by `step` lines."""
        wanted = max(0, min(len(self.rows) - 1, self.cursor + step))
        if wanted != self.cursor:
            self.cursor = wanted
            self._show_cursor()
            self.refresh()
            self.post_message(self.Moved(self))

    def action_page(self, direction: int) -> None:
        """Move by what is in view."""
        self.action_move(direction * max(1, self.size.height - 1))

    def _show_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True, x_axis=False)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._show_cursor()

    def on_click(self, event: events.Click) -> None:
        """A click goes to the line; a click on the current line picks it."""
        index = event.y + self.scroll_offset.y
        if index < len(self.rows):
            if index == self.cursor:
                self.post_message(self.Picked(self))
            else:
                self.action_move(index - self.cursor)

    def render_line(self, y: int) -> Strip:
        """The line at `y` of the view."""
        index = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        style = self.rich_style
        if index >= len(self.rows):
            return Strip.blank(width, style)
        row, signs = self.rows[index], signs_of(self)
        here = index == self.cursor
        mark = (signs.on if row.chosen else signs.off) + " " if self.marks else ""
        head = f"{signs.focus if here else ' '} {mark}"
        label = one_line(row.label, width - cell_len(head), signs.ellipsis)
        room = width - cell_len(head) - cell_len(label) - 2
        note = one_line(row.note, room, signs.ellipsis) if row.note and room > 3 else ""
        bold = style + Style(bold=True) if here else style
        dim = style + Style(bold=True) if here else style + Style(dim=True)
        segments = [Segment(head + label + ("  " if note else ""), bold), Segment(note, dim)]
        return Strip(segments).extend_cell_length(width, style).crop(0, width)


def aligned(rows: Sequence[Row], cells: int) -> list[Row]:
    """`rows` with labels filled up to a common width of at most `cells`, so that the notes stand below each other."""
    width = min(cells, max((cell_len(row.label) for row in rows), default=0))
    return [Row(row.id, pad(row.label, width), row.note, row.chosen) for row in rows]
