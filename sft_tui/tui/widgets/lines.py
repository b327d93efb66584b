"""A block of lines that is only drawn again when it says something else."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget


class Lines(Widget):
    """Shows lines of content as they are; takes as many rows, and none where there are none."""

    DEFAULT_CSS = "Lines { height: auto; display: none; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Content, ...] = ()

    def show(self, lines: Sequence[Content]) -> None:
        """Show `lines` from now on."""
        new = tuple(lines)
        if new == self._lines:
            return
        resized = len(new) != len(self._lines)
        self._lines = new
        self.display = bool(new)
        self.refresh(layout=resized)

    @property
    def plain(self) -> str:
        """What is shown, without styles."""
        return "\n".join(line.plain for line in self._lines)

    def render(self) -> Content:
        """The lines below each other."""
        return Content("\n").join(self._lines)


class ReadingLines(Lines, can_focus=True):
    """Lines that take the focus, so that the keys scroll what is around them."""
