"""The fourth step where the answers name several sources: they are shown and stay as they are."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.screen import WizardScreen
from sft_tui.tui.text import clean
from sft_tui.tui.values import show_typed
from sft_tui.tui.widgets.lines import ReadingLines


class SourcesScreen(WizardScreen):
    """What the answers say of their sources, each with all that is its own."""

    STEP = "data"

    def compose_body(self) -> ComposeResult:
        """The sources, what is wrong with them, and where they are changed."""
        yield Static(_("These answers name several sources"), classes="title", markup=False)
        yield ReadingLines(id="source-lines")

    def on_mount(self) -> None:
        """Show what the answers say."""
        super().on_mount()
        draft = self.sft.draft
        lines = [f"{number}. {source_text(source)}" for number, source in enumerate(draft.sources, 1)]
        if (held := draft.get("data.eval")) is not None:
            lines.append(_("Evaluated on: {source}").format(source=source_text(held)))
        text = _("They are changed in the answers file, and stay as they are here: {path}")
        lines += ["", text.format(path=draft.answers_path)]
        problems, _answers = draft.complete_enough()
        lines += [f"{self.sft.signs.problem} {p.message}" for p in problems if (p.key or "").startswith("data")]
        self.query_one(ReadingLines).show([Content(clean(line)) for line in lines])

    def first_field(self) -> Widget:
        """The sources."""
        return self.query_one(ReadingLines)

    def next_text(self) -> str:
        """What comes next shows the first of them alone."""
        return _("Next: see what the samples of the first source become")


def source_text(source: Any) -> str:
    """A source of the draft on one line, whatever its shape is."""
    if not isinstance(source, dict):
        return str(source)
    named = next((key for key in ("path", "hub", "registered") if source.get(key)), None)
    more = _(", ").join(f"{key}: {show_typed(value)}" for key, value in source.items() if key not in ("path", "hub"))
    name = {"path": source.get("path"), "hub": f"hub:{source.get('hub')}"}.get(named or "")
    return f"{name} ({more})" if name and more else str(name or more)
