"""What the training needs on the card, part by part, over any step; and what would make it less, on one key each."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.worker import get_current_worker

from sft_tui.i18n import N_, _
from sft_tui.plan.need import MemoryNeed
from sft_tui.tui.cost_screen import CostScreen, copied
from sft_tui.tui.memory_view import changes_text, need_text, nothing_fits, part_lines, suggestion_text
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.text import clean
from sft_tui.tui.widgets.lines import Lines, ReadingLines


class MemoryScreen(BaseScreen):
    """Digits set what is suggested, `f` sets what makes it fit, `u` takes the last of it back."""

    HELP_ID = "memory"
    CSS_PATH = "memory.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f,f7", "fit", N_("Make it fit"), key_display="f"),
        Binding("u", "undo", N_("Take back")),
        Binding("f6", "back", "", show=False),
    ]

    class Looked(Message):
        """What is needed as the answers stand."""

        def __init__(self, view: MemoryNeed) -> None:
            super().__init__()
            self.view = view

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
        super().on_mount()
        self.query_one(ReadingLines).show([Content(_("working it out"))])
        self._look(copied(self.sft.draft.data))

    def first_field(self) -> Widget | None:
        """What is read."""
        return self.query_one(ReadingLines)

    @work(thread=True, group="memory", exclusive=True)
    def _look(self, data: dict[str, Any]) -> None:
        view = self.sft.services.memory(data, self.sft.draft.answers_path)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Looked(view))

    @on(Looked)
    def _has_looked(self, event: Looked) -> None:
        self.view = event.view
        self.query_one(ReadingLines).show([Content(clean(line)) for line in self._parts(event.view)])
        self.query_one("#memory-more", Lines).show(self._more(event.view))
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
        self.sft.draft.save()
        self.say(said)
        self._look(copied(self.sft.draft.data))

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
