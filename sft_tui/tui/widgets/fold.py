"""A heading that opens and closes what is below it: `▸ Evaluation`."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from sft_tui.i18n import N_
from sft_tui.tui.look.text import clean
from sft_tui.tui.widgets.bars import signs_of


class FoldHeading(Widget, can_focus=True):
    """The line with the sign; Space opens and closes."""

    DEFAULT_CSS = "FoldHeading { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", N_("Open or close")),
        Binding("right", "fold(True)", "", show=False),
        Binding("left", "fold(False)", "", show=False),
    ]

    class Folded(Message):
        """It was opened or closed."""

        def __init__(self, fold: Fold) -> None:
            super().__init__()
            self.fold = fold

    def render(self) -> Content:
        """Sign, title, what is inside."""
        fold, signs = self.parent, signs_of(self)
        assert isinstance(fold, Fold)
        mark = signs.focus if self.has_focus else " "
        sign = signs.unfolded if fold.is_open else signs.folded
        head = Content.styled(f"{mark} {sign} {clean(fold.title_text)}", "bold")
        return head + Content.styled(f"  {clean(fold.note)}" if fold.note else "", "dim")

    def action_fold(self, wanted: bool | None = None) -> None:
        """Space, Left, Right."""
        fold = self.parent
        assert isinstance(fold, Fold)
        fold.set_open(not fold.is_open if wanted is None else wanted)

    def on_click(self) -> None:
        """A click opens and closes."""
        self.action_fold()


class Fold(Vertical):
    """A heading and, while it is open, its content."""

    DEFAULT_CSS = "Fold { height: auto; } Fold > .fold-content { height: auto; }"

    def __init__(
        self, title: str, *content: Widget, is_open: bool = False, note: str = "", id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.title_text = title
        self.note = note
        self.is_open = is_open
        self._content = content

    def compose(self) -> ComposeResult:
        """Heading and content."""
        yield FoldHeading()
        box = Vertical(*self._content, classes="fold-content")
        box.display = self.is_open
        yield box

    def set_open(self, is_open: bool) -> None:
        """Open or close."""
        if is_open == self.is_open:
            return
        self.is_open = is_open
        for box in self.query(".fold-content"):
            box.display = is_open
        for heading in self.query(FoldHeading):
            heading.refresh()
            heading.post_message(FoldHeading.Folded(self))

    def set_note(self, note: str) -> None:
        """Replace what stands behind the title."""
        if note != self.note:
            self.note = note
            for heading in self.query(FoldHeading):
                heading.refresh()
