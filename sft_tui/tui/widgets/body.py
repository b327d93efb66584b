"""The scrolling middle of a screen: arrows move between its fields, and what has the focus is kept in view."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.widget import Widget


class Body(VerticalScroll, can_focus=False):
    """Scrolls by PgUp and PgDn; Up and Down go to the field before or after, or scroll where there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "", show=False),
        Binding("down", "step(1)", "", show=False),
    ]

    def action_step(self, direction: int) -> None:
        """Up or Down that no field wanted: the screen knows what that means."""
        action = getattr(self.screen, "action_step", self.step)
        action(direction)

    def step(self, direction: int) -> None:
        """Go to the field above or below; after the last one to the way on, and from there back to the last one."""
        fields = [widget for widget in self.query("*").results(Widget) if widget.focusable]
        focused = self.screen.focused
        if not fields or fields == [focused]:
            (self.scroll_up if direction < 0 else self.scroll_down)(animate=False)
        elif focused not in fields:
            self.screen.set_focus(fields[-1] if direction < 0 else fields[0])
        elif (at := fields.index(focused) + direction) < 0:
            self.scroll_home(animate=False)
        elif at < len(fields):
            self.screen.set_focus(fields[at])
        else:
            self.screen.focus_next()


def step(widget: Widget, direction: int) -> None:
    """Leave `widget` for the field above or below it."""
    for body in widget.screen.query(Body):
        body.step(direction)


def reveal(widget: Widget, top: int, height: int) -> None:
    """Scroll the body so that the lines `top` to `top + height` of `widget` are in view."""
    for body in widget.screen.query(Body):
        origin = body.scrollable_content_region
        line = widget.content_region.y - origin.y + body.scroll_offset.y + top
        body.scroll_to_region(Region(0, line, 1, height), animate=False, force=True)
