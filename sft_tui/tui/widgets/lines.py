"""A block of lines that is only drawn again when it says something else."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget


def hanging(line: Content, width: int) -> list[Content]:
    """`line` wrapped to `width` cells; what goes on below begins where the line does, behind its spaces."""
    indent = min(len(line.plain) - len(line.plain.lstrip(" ")), width // 2)
    rows = line[indent:].wrap(max(2, width - indent)) or [Content("")]
    return [row.pad_left(indent) for row in rows]


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
        width = max(2, self.size.width)
        before = len(self._wrapped(width))
        self._lines = new
        resized = not self.size.width or before != len(self._wrapped(width))
        self.display = bool(new)
        self.refresh(layout=resized)

    @property
    def plain(self) -> str:
        """What is shown, without styles."""
        return "\n".join(line.plain for line in self._lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The rows that the lines take when they are wrapped."""
        return len(self._wrapped(width))

    def render(self) -> Content:
        """The lines below each other, wrapped."""
        return Content("\n").join(self._wrapped(self.size.width))

    def _wrapped(self, width: int) -> list[Content]:
        return [row for line in self._lines for row in hanging(line, width)]


class ReadingLines(Lines, can_focus=True):
    """Lines that take the focus, so that the keys scroll what is around them."""
