"""Choosing one of many from a list with a filter; Enter takes the current line, Esc none."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.dialogs.filtered import FilteredScreen
from sft_tui.tui.widgets.choice import Item
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.widgets.list_box import ListBox, Row, aligned


class PickScreen(FilteredScreen):
    """Dismissed with the id of the picked item, or with None."""

    HELP_ID = "pick"

    def __init__(self, title: str, items: Sequence[Item], value: str | None) -> None:
        super().__init__()
        self._title_text = title
        self._items = tuple(items)
        self._value = value

    def heading(self) -> str:
        """What is chosen here."""
        return self._title_text

    def compose_body(self) -> ComposeResult:
        """The filter and the list."""
        yield LineInput(placeholder=_("type to filter"), id="pick-filter")
        yield ListBox(self.rows(""), id="pick-list", marks=True)

    def first_field(self) -> Widget:
        """Typing filters."""
        return self.query_one("#pick-filter")

    def primary_label(self) -> str:
        """Enter takes the line."""
        return _("Take it")

    def next_text(self) -> str:
        """The whole note of the current line."""
        current = self.query_one(ListBox).current
        return next((item.note for item in self._items if current and item.id == current.id), "")

    def rows(self, text: str) -> list[Row]:
        """The items that hold all words of `text`."""
        words = text.lower().split()
        rows = [
            Row(item.id, item.label, item.note, item.id == self._value)
            for item in self._items
            if all(word in item.label.lower() or word in item.note.lower() for word in words)
        ]
        return aligned(rows, 34)
