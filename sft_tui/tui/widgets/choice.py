"""Choosing by arrows, digits or letters, each state written out: `> (•) 1 label`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from sft_tui.i18n import N_
from sft_tui.tui.look.text import clean, wrapped
from sft_tui.tui.widgets import body
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.tui.widgets.body import reveal


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to choose: `label` on its first line, `note` on the lines below. What is not `enabled` says why."""

    id: str
    label: str
    note: str = ""
    enabled: bool = True


class Choice(Widget, can_focus=True):
    """A list of which one item is chosen (the one at the cursor), or with `several` any number (Space toggles)."""

    DEFAULT_CSS = "Choice { height: auto; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "", show=False),
        Binding("down", "move(1)", "", show=False),
        Binding("space", "switch", N_("Choose")),
    ]

    class Changed(Message):
        """Another item is chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            """The list, for `@on` selectors."""
            return self.choice

    def __init__(
        self,
        items: Sequence[Item] = (),
        *,
        chosen: Iterable[str] = (),
        several: bool = False,
        id: str | None = None,
        help_id: str = "",
    ) -> None:
        super().__init__(id=id)
        self.items = tuple(items)
        self.several = several
        self.help_id = help_id
        self._chosen = set(chosen)
        self._cursor = next((i for i, item in enumerate(self.items) if item.id in self._chosen), 0)
        self._tidy()

    @property
    def chosen(self) -> list[str]:
        """The ids of what is chosen, in the order of the items."""
        return [item.id for item in self.items if item.id in self._chosen]

    @property
    def value(self) -> str | None:
        """The id of the one chosen item."""
        return next(iter(self.chosen), None)

    def set_items(self, items: Sequence[Item], chosen: Iterable[str] | None = None) -> None:
        """Replace the items; what was chosen stays so where it is still there."""
        if tuple(items) == self.items and chosen is None:
            return
        at = self.items[self._cursor].id if self.items else None
        self.items = tuple(items)
        if chosen is not None:
            self._chosen = set(chosen)
            at = self.value
        self._cursor = next((i for i, item in enumerate(self.items) if item.id == at), 0)
        self._tidy()
        self.refresh(layout=True)

    def choose(self, item_id: str) -> None:
        """Choose one item as if the user had."""
        for index, item in enumerate(self.items):
            if item.id == item_id:
                self._go_to(index)

    def _tidy(self) -> None:
        self._chosen &= {item.id for item in self.items}
        if not self.several and not self._chosen and self.items:
            first = next((i for i, item in enumerate(self.items) if item.enabled), 0)
            self._chosen, self._cursor = {self.items[first].id}, first

    def action_move(self, step: int) -> None:
        """Move the cursor; at the ends the focus goes on to the next field."""
        wanted = self._cursor + step
        if 0 <= wanted < len(self.items):
            self._go_to(wanted)
        else:
            body.step(self, step)

    def action_switch(self) -> None:
        """Space: choose the item at the cursor, or with `several` take it out again."""
        if not self.items:
            return
        item = self.items[self._cursor]
        if not self.several or not item.enabled:
            self._go_to(self._cursor)
            return
        self._chosen ^= {item.id}
        self.refresh()
        self.post_message(self.Changed(self))

    def on_key(self, event: events.Key) -> None:
        """A digit goes to the item with that number (and toggles it where several can be chosen)."""
        if event.character and event.character.isdigit() and event.character != "0":
            index = int(event.character) - 1
            if index < len(self.items):
                event.stop()
                self._go_to(index)
                if self.several:
                    self.action_switch()

    def on_click(self, event: events.Click) -> None:
        """A click goes to the item under the mouse."""
        for index, (top, height) in enumerate(self._places(self.size.width)):
            if top <= event.y < top + height:
                self._go_to(index)
                if self.several:
                    self.action_switch()

    def _go_to(self, index: int) -> None:
        before = self.value
        self._cursor = index
        item = self.items[index]
        if not self.several and item.enabled:
            self._chosen = {item.id}
        self.refresh()
        self.call_after_refresh(self._show_cursor)
        if not self.several and self.value != before:
            self.post_message(self.Changed(self))

    def _show_cursor(self) -> None:
        places = self._places(self.size.width)
        if self._cursor < len(places):
            reveal(self, *places[self._cursor])

    def _item_lines(self, index: int, width: int) -> list[Content]:
        signs, item = signs_of(self), self.items[index]
        here = index == self._cursor and self.has_focus
        if self.several:
            mark = signs.checked if item.id in self._chosen else signs.unchecked
        else:
            mark = signs.on if item.id in self._chosen else signs.off
        number = f"{index + 1} " if len(self.items) > 1 and index < 9 else ""
        head = f"{signs.focus if here else ' '} {mark} {number}"
        indent = " " * cell_len(head)
        room = width - len(indent)
        style = "dim" if not item.enabled else "bold" if here else ""
        lines = [
            Content.styled((head if i == 0 else indent) + line, style)
            for i, line in enumerate(wrapped(item.label, room))
        ]
        if item.note:
            lines += [Content.styled(indent + line, "dim") for line in wrapped(item.note, room)]
        return lines

    def _places(self, width: int) -> list[tuple[int, int]]:
        places, top = [], 0
        for index in range(len(self.items)):
            height = len(self._item_lines(index, width))
            places.append((top, height))
            top += height
        return places

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All lines of all items."""
        return sum(height for _top, height in self._places(width)) or 1

    def render(self) -> Content:
        """The items below each other."""
        width = self.size.width
        lines = [line for index in range(len(self.items)) for line in self._item_lines(index, width)]
        return Content("\n").join(lines)

    def on_focus(self) -> None:
        """Show the `>`."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the `>`."""
        self.refresh()


class Toggle(Widget, can_focus=True):
    """`[x]` or `[ ]`; Space changes it."""

    DEFAULT_CSS = "Toggle { height: 1; width: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "switch", N_("Switch"))]

    class Changed(Message):
        """It was switched."""

        def __init__(self, toggle: Toggle) -> None:
            super().__init__()
            self.toggle = toggle

        @property
        def control(self) -> Toggle:
            """The toggle, for `@on` selectors."""
            return self.toggle

    def __init__(self, on: bool = False, text: str = "", *, id: str | None = None, help_id: str = "") -> None:
        super().__init__(id=id)
        self.value = on
        self._text = text
        self.help_id = help_id

    def render(self) -> Content:
        """The box, and the text behind it."""
        signs = signs_of(self)
        mark = signs.checked if self.value else signs.unchecked
        return Content.styled(clean(f"{mark} {self._text}".rstrip()), "bold" if self.has_focus else "")

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The box and the text."""
        return 4 + cell_len(self._text)

    def action_switch(self) -> None:
        """Space."""
        self.value = not self.value
        self.refresh()
        self.say_changed()

    def say_changed(self) -> None:
        """Tell that it was switched."""
        self.post_message(self.Changed(self))

    def on_click(self) -> None:
        """A click switches."""
        self.action_switch()
