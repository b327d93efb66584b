"""The fourth step where the answers name several sources: they are shown and stay as they are."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.look.text import clean
from sft_tui.tui.look.values import show_typed
from sft_tui.tui.widgets.lines import Lines
from sft_tui.tui.widgets.list_box import ListBox, Row
from sft_tui.tui.wizard.base import WizardScreen

_MOST_LINES = 8


class SourcesScreen(WizardScreen):
    """What the answers say of their sources, each with all that is its own; one is chosen to look at."""

    STEP = "data"

    def compose_body(self) -> ComposeResult:
        """The sources, all of the current one, what is wrong with them, and where they are changed."""
        sources = self.sft.draft.sources
        rows = [Row(str(at), f"{at + 1}. {source_text(source)}") for at, source in enumerate(sources)]
        yield Static(_("These answers name several sources"), classes="title", markup=False)
        box = ListBox(rows, id="source-list")
        box.styles.height = min(len(rows), _MOST_LINES)
        yield box
        yield Lines(id="source-lines", classes="note gap")

    def on_mount(self) -> None:
        """Show what the answers say of the source that was looked at before."""
        self._box.action_move(self.sft.draft.looked_at)
        self._show()

    @property
    def _box(self) -> ListBox:
        return self.query_one(ListBox)

    @on(ListBox.Moved)
    def _show(self) -> None:
        draft = self.sft.draft
        draft.looked_at = self._box.cursor
        lines = [source_text(draft.sources[draft.looked_at])]
        if (held := draft.get("data.eval")) is not None:
            lines.append(_("Evaluated on: {source}").format(source=source_text(held)))
        text = _("They are changed in the answers file, and stay as they are here: {path}")
        lines.append(text.format(path=draft.answers_path))
        problems, _answers = draft.complete_enough()
        lines += [f"{self.sft.signs.problem} {p.message}" for p in problems if (p.key or "").startswith("data")]
        self.query_one(Lines).show([Content(clean(line)) for line in lines])

    def first_field(self) -> Widget:
        """The sources."""
        return self._box

    def next_text(self) -> str:
        """What comes next shows one of them."""
        return _("Next: see what the samples of the chosen source become")


def source_text(source: Any) -> str:
    """A source of the draft on one line, whatever its shape is."""
    if not isinstance(source, dict):
        return str(source)
    named = next((key for key in ("path", "hub", "registered") if source.get(key)), None)
    more = _(", ").join(f"{key}: {show_typed(value)}" for key, value in source.items() if key not in ("path", "hub"))
    name = {"path": source.get("path"), "hub": f"hub:{source.get('hub')}"}.get(named or "")
    return f"{name} ({more})" if name and more else str(name or more)
