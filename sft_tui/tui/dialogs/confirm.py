"""A question that is answered with Enter or Esc, over the screen that asks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.dialogs.dialog import Dialog
from sft_tui.tui.look.text import clean
from sft_tui.tui.widgets.bars import signs_of


class ConfirmScreen(Dialog[bool]):
    """Asks `title`, explains it by `lines`, and is dismissed with whether the user agreed.

    Lines that begin with `+` or `-` are shown as a diff. `yes` says what Enter does.
    """

    HELP_ID = "confirm"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "answer(True)", "", show=False),
        Binding("escape,n,q", "answer(False)", "", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str], yes: str) -> None:
        super().__init__()
        self._question, self._lines, self._yes = title, tuple(lines), yes

    def compose(self) -> ComposeResult:
        """The question, what it means, the two answers."""
        with Vertical(id="confirm-box", classes="-ascii" if signs_of(self).ascii else ""):
            yield Static(Content(clean(self._question)), id="confirm-title", markup=False)
            with VerticalScroll(id="confirm-text"):
                yield Static(Content("\n").join([_diff_line(line) for line in self._lines]), markup=False)
            keys = f" Enter: {self._yes} "
            back = _("Esc: back")
            yield Static(Content.assemble((keys, "reverse"), f"   {back}"), id="confirm-keys", markup=False)

    def action_answer(self, agreed: bool) -> None:
        """Close with the answer."""
        self.dismiss(agreed)


def _diff_line(line: str) -> Content:
    style = {"+": "$success", "-": "$error"}.get(line[:1], "")
    return Content.styled(clean(line), style)
