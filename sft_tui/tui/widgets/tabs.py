"""Pages of text of which one is shown; Left and Right, or a digit, choose it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_
from sft_tui.tui.look.text import clean


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title and its content."""

    title: str
    content: Content


class TabBar(Widget, can_focus=True):
    """The titles on as many lines as they need; the shown one in brackets."""

    DEFAULT_CSS = "TabBar { height: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "", show=False),
        Binding("right", "turn(1)", N_("Pages"), key_display="←→"),
    ]

    def render(self) -> Content:
        """`[1 Summary] 2 train_config.yaml ...`, on as many lines as are needed."""
        return Content("\n").join([Content("").join(line) for line in self._lines(self.size.width)])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the titles need."""
        return max(1, len(self._lines(width)))

    def _lines(self, width: int) -> list[list[Content]]:
        lines: list[list[Content]] = [[]]
        used = 0
        for index, page in enumerate(self._tabs.pages):
            title = f"{index + 1} {clean(page.title, ' ')}"
            here = index == self._tabs.shown
            part = Content.styled(f"[{title}] " if here else f" {title}  ", "bold" if here else "")
            if used + part.cell_length > width + 1 and lines[-1]:
                lines.append([])
                used = 0
            lines[-1].append(part)
            used += part.cell_length
        return lines

    @property
    def _tabs(self) -> Tabs:
        tabs = self.parent
        assert isinstance(tabs, Tabs)
        return tabs

    def action_turn(self, step: int) -> None:
        """Left and Right, around the ends."""
        self._tabs.show((self._tabs.shown + step) % max(1, len(self._tabs.pages)))

    def on_key(self, event: events.Key) -> None:
        """A digit shows its page; Up and Down scroll."""
        if event.character and event.character.isdigit() and 0 < int(event.character) <= len(self._tabs.pages):
            event.stop()
            self._tabs.show(int(event.character) - 1)


class Tabs(Vertical):
    """The bar and the shown page."""

    DEFAULT_CSS = "Tabs { height: auto; } #tab-page { height: auto; margin-top: 1; }"

    def __init__(self, pages: Sequence[Page] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pages = tuple(pages)
        self.shown = 0

    def compose(self) -> ComposeResult:
        """Bar and page."""
        yield TabBar()
        yield Static("", id="tab-page", markup=False)

    def set_pages(self, pages: Sequence[Page]) -> None:
        """Replace the pages; the shown one stays."""
        self.pages = tuple(pages)
        self.show(min(self.shown, max(0, len(self.pages) - 1)))

    def show(self, index: int) -> None:
        """Show the page with `index` (from 0)."""
        self.shown = index
        page = self.query_one("#tab-page", Static)
        page.update(self.pages[index].content if self.pages else "")
        self.query_one(TabBar).refresh(layout=True)
        for body in self.screen.query("#body"):
            body.scroll_home(animate=False)
