"""What the training needs on the card, part by part, over any step; and what would make it less, on one key each."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import N_, _
from sft_tui.plan.need import MemoryNeed
from sft_tui.tui.look.memory import changes_text, need_text, nothing_fits, part_lines, suggestion_text
from sft_tui.tui.look.text import clean
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.lines import Lines, ReadingLines
from sft_tui.tui.wizard.base import CostScreen


class MemoryScreen(BaseScreen):
    """Digits set what is suggested, `f` sets what makes it fit, `u` takes the last of it back."""

    HELP_ID = "memory"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f,f7", "fit", N_("Make it fit"), key_display="f"),
        Binding("u", "undo", N_("Take back")),
        Binding("f6", "back", "", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.view: MemoryNeed | None = None
        self._undo: list[dict[str, Any]] = []
        self._changed = False

    def again(self) -> BaseScreen:
        """The same, with what can be taken back."""
        screen = MemoryScreen()
        screen._undo, screen._changed = self._undo, self._changed
        return screen

    def compose_body(self) -> ComposeResult:
        """The parts, and what would help."""
        yield ReadingLines(id="memory-lines")
        yield Lines(id="memory-more")

    def heading(self) -> str:
        """What the top line says."""
        return _("Memory on the card")

    def on_mount(self) -> None:
        """Work it out."""
        self.query_one(ReadingLines).show([Content(_("working it out"))])
        self._look()

    def first_field(self) -> Widget | None:
        """What is read."""
        return self.query_one(ReadingLines)

    def _look(self) -> None:
        services, path, data = self.sft.services, self.sft.draft.answers_path, deepcopy(self.sft.draft.data)
        self.jobs.start("memory", lambda _job: services.memory(data, path), self._has_looked, alone=True)

    def _has_looked(self, view: MemoryNeed) -> None:
        self.view = view
        self.query_one(ReadingLines).show([Content(clean(line)) for line in self._parts(view)])
        self.query_one("#memory-more", Lines).show(self._more(view))
        self.refresh_bindings()
        if not self._changed:
            self.refresh_actions()

    def _parts(self, view: MemoryNeed) -> list[str]:
        if view.need is None:
            return [_("memory: - ({why})").format(why=view.why)]
        lines = [need_text(view.need, self.sft.signs), view.card, *part_lines(view.need, self.sft.signs)]
        if view.need.longest is not None:
            text = _("counted on: no sample has more than {count:,} tokens")
            lines.append(text.format(count=view.need.longest))
        if view.measured:
            lines.append(_("measured: {text}").format(text=view.measured))
        return lines

    def _more(self, view: MemoryNeed) -> list[Content]:
        lines: list[Content] = []
        if view.too_much and view.fit:
            text = _("f  makes it fit: {changes}").format(changes=changes_text(view.fit))
            lines += [Content.styled(clean(text), "bold"), Content("")]
        elif view.too_much:
            text = clean(f"{self.sft.signs.warning} {nothing_fits(view)}")
            lines += [Content.styled(text, "$warning"), Content("")]
        if view.suggestions:
            lines.append(Content.styled(_("What makes it less, the least loss first (a number sets it):"), "bold"))
        for number, suggestion in enumerate(view.suggestions[:9], 1):
            lines.append(Content(clean(f"  {number}  {suggestion_text(suggestion, view)}")))
            lines.append(Content.styled(clean(f"     {changes_text(suggestion.changes)}"), "dim"))
        return lines

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense now."""
        if action == "fit":
            return self.view is not None and self.view.too_much and bool(self.view.fit)
        return bool(self._undo) if action == "undo" else True

    def on_key(self, event: events.Key) -> None:
        """Digits set what is suggested."""
        view, character = self.view, event.character or ""
        if view is None or not character or character not in "123456789"[: len(view.suggestions)]:
            return
        event.stop()
        suggestion = view.suggestions[int(character) - 1]
        missing = view.lacks(suggestion)
        if missing is not None:
            text = _("It needs the package {package} in LLaMA-Factory's environment, which is not there.")
            self.say(text.format(package=missing), "warning")
        else:
            self._apply(suggestion.changes)

    def action_fit(self) -> None:
        """`f`: everything that makes it fit."""
        if self.view is not None:
            self._apply(dict(self.view.fit))

    def _apply(self, changes: dict[str, Any]) -> None:
        draft = self.sft.draft
        self._undo.append({key: draft.get(f"train.{key}") for key in changes})
        for key, value in changes.items():
            draft.set(f"train.{key}", value)
        self._after(_("Set: {changes}. u takes it back.").format(changes=changes_text(changes)))

    def action_undo(self) -> None:
        """`u`: as it was before the last change."""
        before = self._undo.pop()
        for key, value in before.items():
            self.sft.draft.set(f"train.{key}", value)
        self._after(_("Taken back: {key}.").format(key=", ".join(before)))

    def _after(self, said: str) -> None:
        self._changed = True
        self.view = None  # what it suggests is about the settings before
        self.sft.save_draft()
        self.say(said)
        self._look()

    # -- back ---------------------------------------------------------------------------------------------------------

    def back(self) -> None:
        """Go back; the screen below shows what was set here."""
        self.sft.leave_overlay()
        below = self.sft.screen
        if self._changed and isinstance(below, CostScreen):
            below.draft_changed()

    def primary(self) -> None:
        """Enter goes back."""
        self.back()

    def primary_label(self) -> str:
        """What Enter does."""
        return _("Back")

    def next_text(self) -> str:
        """What can be done here."""
        return _("Nothing is measured here: it is worked out from the model's architecture and the settings.")
