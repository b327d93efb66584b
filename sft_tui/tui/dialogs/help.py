"""F1: what to enter in the focused field, why, and which keys work there."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.dialogs.help_for import help_for
from sft_tui.tui.look.text import clean, pad
from sft_tui.tui.screen import BaseScreen


class HelpScreen(BaseScreen):
    """The help for `topic`; `keys` are (key, what it does, not translated) of the screen that was left."""

    HELP_ID = "help"

    def __init__(self, topic: str, keys: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._topic = topic
        self._keys = tuple(keys)

    def again(self) -> BaseScreen:
        """The same help."""
        return HelpScreen(self._topic, self._keys)

    def heading(self) -> str:
        """That this is help."""
        return _("Help")

    def compose_body(self) -> ComposeResult:
        """Title, paragraphs, keys."""
        machine = self.sft.machine
        text = help_for(self._topic, machine.factory if machine is not None else None)
        yield Static(Content(clean(text.title)), classes="title", markup=False)
        for paragraph in text.paragraphs:
            yield Static(Content(clean(paragraph)), classes="note gap", markup=False)
        yield Static(_("Keys"), classes="title gap", markup=False)
        keys = [(key, _(what)) for key, what in self._keys]
        lines = [f"{pad(key, 12)} {what}" for key, what in (*keys, *_everywhere())]
        yield Static(Content(clean("\n".join(dict.fromkeys(lines)))), classes="note", markup=False)

    def primary_label(self) -> str:
        """Enter closes."""
        return _("Back")

    def next_text(self) -> str:
        """How to close it."""
        return _("Esc or Enter goes back to where you were.")

    def primary(self) -> None:
        """Close."""
        self.back()


def _everywhere() -> list[tuple[str, str]]:
    return [
        ("Enter", _("go on")),
        ("Esc", _("go back; nothing is lost")),
        ("Tab", _("next field (Shift+Tab: the one before)")),
        ("PgUp, PgDn", _("scroll")),
        ("F2", _("the other language")),
        ("F3", _("the runs of this project")),
        ("Ctrl+P", _("all commands")),
        ("Ctrl+O", _("save a report for an issue")),
        ("F10", _("leave; a training goes on, a setup is kept")),
    ]
