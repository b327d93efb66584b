"""Steps that decide what the training costs: F6 shows its memory part by part, F7 makes it fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.worker import get_current_worker

from sft_tui.i18n import N_, _
from sft_tui.plan.need import TOO_MUCH, MemoryNeed
from sft_tui.tui.memory_view import changes_text, nothing_fits
from sft_tui.tui.screen import WizardScreen


class CostScreen(WizardScreen):
    """A step of the wizard that shows the memory; subclasses say how it stands and show the draft anew."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "fit", N_("Make it fit")),
        Binding("f6", "memory", N_("Memory")),
    ]

    notice: str = ""
    """What was changed; a screen shows it until the user does something."""

    class Fitted(Message):
        """What makes it fit, or why nothing does."""

        def __init__(self, view: MemoryNeed) -> None:
            super().__init__()
            self.view = view

    @property
    @abstractmethod
    def fit(self) -> str:
        """`fits`, `tight`, `no`, or "" where it is not known."""

    @abstractmethod
    def draft_changed(self) -> None:
        """Training options in the draft are others now: show them, and do not store the old ones over them."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Making it fit makes sense only where it does not."""
        return self.fit in TOO_MUCH if action == "fit" else True

    def action_memory(self) -> None:
        """F6: the memory part by part."""
        self.sft.open("memory")

    def action_fit(self) -> None:
        """F7: change the settings, the least loss of quality first, until it fits."""
        self.store()
        self.say(_("working out what fits"))
        self._work_out_fit(copied(self.sft.draft.data))

    @work(thread=True, group="fit", exclusive=True)
    def _work_out_fit(self, data: dict[str, Any]) -> None:
        view = self.sft.services.memory(data, self.sft.draft.answers_path)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Fitted(view))

    @on(Fitted)
    def _has_fitted(self, event: Fitted) -> None:
        changes: Mapping[str, Any] = event.view.fit
        if not changes:
            fits = event.view.need is not None and not event.view.too_much
            self.say(_("It fits.") if fits else nothing_fits(event.view), "" if fits else "warning")
            return
        for key, value in changes.items():
            self.sft.draft.set(f"train.{key}", value)
        self.sft.draft.save()
        self.notice = _("Changed so that it fits: {changes}.").format(changes=changes_text(changes))
        self.draft_changed()
        self.refresh_actions()


def copied(data: dict[str, Any]) -> dict[str, Any]:
    """`data` with mappings of its own, for a thread."""
    return {key: copied(value) if isinstance(value, dict) else value for key, value in data.items()}
