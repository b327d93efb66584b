"""A list with a line above it that filters: the keys and messages that every such screen has."""

from __future__ import annotations

from abc import abstractmethod

from textual import on

from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.widgets.list_box import ListBox, Row


class FilteredScreen(BaseScreen):
    """Dismissed with the id of the current row, or with None. Up and Down move in the list while typing filters."""

    REMADE = False

    def primary(self) -> None:
        """Give the current row to who asked."""
        current = self.query_one(ListBox).current
        if current is not None:
            self.dismiss(current.id)

    def back(self) -> None:
        """Take none."""
        self.dismiss(None)

    @abstractmethod
    def rows(self, text: str) -> list[Row]:
        """The rows that the words of `text` leave."""

    @on(LineInput.Changed)
    def _filter(self, event: LineInput.Changed) -> None:
        self.narrow(event.value)

    def narrow(self, text: str) -> None:
        """Show only what `text` leaves."""
        self.query_one(ListBox).set_rows(self.rows(text))

    @on(ListBox.Moved)
    def _moved(self) -> None:
        self.refresh_actions()

    @on(ListBox.Picked)
    def _clicked(self) -> None:
        self.primary()

    def action_step(self, direction: int) -> None:
        """One row up or down, while the filter has the focus."""
        self.query_one(ListBox).action_move(direction)
