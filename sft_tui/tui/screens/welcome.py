"""The first step: what will happen, and whether this machine is ready for it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.screen import WizardScreen


class WelcomeScreen(WizardScreen):
    """What will happen, the environment check, and where to begin."""

    STEP = "welcome"
    CSS_PATH = "welcome.tcss"

    def compose_body(self) -> ComposeResult:
        """Three lines, the check, the choice."""
        yield Static(_("Fine-tune a language model on your own examples."), classes="title", markup=False)

    def next_text(self) -> str:
        """What Enter does."""
        return _("Next: choose the GPU")
