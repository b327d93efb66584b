"""What is shown while the terminal is too small: a sentence over everything, which stays as it is below."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.terminal import MIN_COLUMNS, MIN_ROWS


def too_small(size: Size) -> bool:
    """Whether the screens do not fit in `size`."""
    return size.width < MIN_COLUMNS or size.height < MIN_ROWS


class Cover(Widget):
    """Says how large the terminal is and how large it must be. What has the focus below keeps it."""

    DEFAULT_CSS = """
    Cover { layer: cover; dock: top; width: 100%; height: 100%; background: ansi_default; text-style: bold; }
    """

    def render(self) -> Content:
        """The sentence, for the present size."""
        size = self.app.size
        text = _("The terminal is too small ({columns}x{rows}; {least} is needed). Nothing is lost. F10 leaves.")
        least = f"{MIN_COLUMNS}x{MIN_ROWS}"
        return Content(text.format(columns=size.width, rows=size.height, least=least))
