"""One value of several on one line: `◂ qwen ▸`. Left and Right go through them, Space opens the whole list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from sft_tui.i18n import N_
from sft_tui.tui.look.text import clean, one_line
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.tui.widgets.choice import Item

if TYPE_CHECKING:
    from sft_tui.tui.app import SftApp


LABEL_CELLS = 26
"""Room that a field's label takes beside it."""


class Chooser(Widget, can_focus=True):
    """A one-line list box. `value` is the id of the chosen item."""

    DEFAULT_CSS = "Chooser { height: 1; width: auto; max-width: 100%; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "", show=False),
        Binding("right", "step(1)", "", show=False),
        Binding("space", "open", N_("List")),
    ]

    class Changed(Message):
        """Another item is chosen."""

        def __init__(self, chooser: Chooser) -> None:
            super().__init__()
            self.chooser = chooser

        @property
        def control(self) -> Chooser:
            """The chooser, for `@on` selectors."""
            return self.chooser

    def __init__(
        self, items: Sequence[Item] = (), value: str = "", *, title: str = "", id: str | None = None, help_id: str = ""
    ) -> None:
        super().__init__(id=id)
        self.items = tuple(items)
        self.title = title
        self.help_id = help_id
        self._value = value

    @property
    def value(self) -> str:
        """The id of the chosen item; the first one where the wanted one is not there."""
        ids = [item.id for item in self.items]
        return self._value if self._value in ids or not ids else ids[0]

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self.refresh(layout=True)

    def set_items(self, items: Sequence[Item], value: str | None = None) -> None:
        """Replace the items."""
        if value is not None:
            self._value = value
        self.items = tuple(items)
        self.refresh(layout=True)

    def _index(self) -> int:
        return next((i for i, item in enumerate(self.items) if item.id == self.value), 0)

    def _label(self) -> str:
        return clean(self.items[self._index()].label, " ") if self.items else ""

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The widest label with its arrows, as far as there is room."""
        widest = max((cell_len(clean(item.label, " ")) for item in self.items), default=1)
        return min(widest + 4, max(8, container.width - LABEL_CELLS))

    def render(self) -> Content:
        """The chosen label between arrows."""
        signs = signs_of(self)
        label = one_line(self._label(), max(1, self.size.width - 4), signs.ellipsis)
        style = "bold" if self.has_focus else ""
        return Content.assemble((f"{signs.left} ", style), (label, style), (f" {signs.right}", style))

    def action_step(self, step: int) -> None:
        """Left or Right: the item before or after, around the ends."""
        if self.items:
            self._choose(self.items[(self._index() + step) % len(self.items)].id)

    def action_open(self) -> None:
        """Space: the whole list on a screen of its own, with a filter."""
        if self.items:
            cast("SftApp", self.app).pick(self.title, self.items, self.value, self._picked)

    def on_click(self) -> None:
        """A click opens the list."""
        self.action_open()

    def on_key(self, event: events.Key) -> None:
        """A letter goes to the next item that starts with it."""
        letter = (event.character or "").lower()
        if not letter.strip() or not letter.isprintable():
            return
        order = [*self.items[self._index() + 1 :], *self.items[: self._index() + 1]]
        found = next((item for item in order if item.label.lower().startswith(letter)), None)
        if found is not None:
            event.stop()
            self._choose(found.id)

    def say_changed(self) -> None:
        """Tell that another item is chosen."""
        self.post_message(self.Changed(self))

    def _picked(self, item_id: str | None) -> None:
        if item_id is not None:
            self._choose(item_id)

    def _choose(self, item_id: str) -> None:
        if item_id != self.value:
            self._value = item_id
            self.refresh(layout=True)
            self.say_changed()

    def on_focus(self) -> None:
        """Draw it as focused."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw it as not focused."""
        self.refresh()
