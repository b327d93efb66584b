"""What the steps of the wizard share: the way on and back, keeping what is typed; on some, what the training costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from sft_tui.i18n import N_, _
from sft_tui.plan.need import TOO_MUCH, MemoryNeed
from sft_tui.tui.jobs import Job
from sft_tui.tui.look.memory import changes_text, nothing_fits
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.steps import STEPS

KEEP_S = 2.0
"""How often what is typed is kept."""


class WizardScreen(BaseScreen):
    """A step of the wizard: Enter stores, saves and goes to the next step, Esc to the one before."""

    def on_mount(self) -> None:
        """Keep what is typed, also if the window or the machine goes away meanwhile."""
        self.set_interval(KEEP_S, self._keep)

    def _keep(self) -> None:
        if self.ready and self.sft.screen is self:  # `is_current` is true also below a screen that is seen through
            self.store()
            if repr(self.sft.draft.data) != self.sft.saved:
                self.sft.save_draft(self.STEP)

    def check(self) -> bool:
        """Whether the user may go on; where not, the problem is shown at its field, which has the focus."""
        return True

    def primary(self) -> None:
        """Store, check, save, next step."""
        self.store()
        if self.check():
            self.sft.go_step(+1)

    def back(self) -> None:
        """Store and go to the step before; the first step stays."""
        self.sft.go_step(-1)

    def next_text(self) -> str:
        """Which step comes next."""
        names = [name for name, _label in STEPS]
        here = names.index(self.STEP)
        return _("Next: {step}").format(step=_(STEPS[here + 1][1])) if here + 1 < len(STEPS) else ""


class CostScreen(WizardScreen):
    """A step of the wizard that shows the memory; subclasses say how it stands and show the draft anew."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "fit", N_("Make it fit")),
        Binding("f6", "memory", N_("Memory")),
    ]

    notice: str = ""
    """What was changed; a screen shows it until the user does something."""

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
        data = deepcopy(self.sft.draft.data)
        self.jobs.start("fit", self.memory_of(data), partial(self._has_fitted, data), alone=True)

    def memory_of(self, data: dict[str, Any]) -> Callable[[Job], MemoryNeed]:
        """The work that finds out what the answers in `data` need; nobody else may change them."""
        services, path = self.sft.services, self.sft.draft.answers_path
        return lambda _job: services.memory(data, path)

    def _has_fitted(self, data: dict[str, Any], view: MemoryNeed) -> None:
        self.store()
        if data != self.sft.draft.data:
            self.action_fit()  # the answers are others by now: so may be what makes them fit
            return
        changes: Mapping[str, Any] = view.fit
        if not changes:
            fits = view.need is not None and not view.too_much
            self.say(_("It fits.") if fits else nothing_fits(view), "" if fits else "warning")
            return
        for key, value in changes.items():
            self.sft.draft.set(f"train.{key}", value)
        self.sft.save_draft()
        self.notice = _("Changed so that it fits: {changes}.").format(changes=changes_text(changes))
        self.draft_changed()
        self.refresh_actions()
