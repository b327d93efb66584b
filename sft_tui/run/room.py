"""Seeing that the GPU memory for a training is there before it starts, and waiting for it where that was asked for."""

from __future__ import annotations

from sft_tui.i18n import _
from sft_tui.machine.gpus import read_gpus
from sft_tui.plan.change import Change, change, put_in_force
from sft_tui.plan.gpu_headroom import cards_of, lacking
from sft_tui.problems import ExitCode
from sft_tui.project.state import Status
from sft_tui.run.desk import Desk
from sft_tui.run.gpu_queue import Waiting, wait_for_room, waiting_text
from sft_tui.run.measure import PeakMeter
from sft_tui.run.outcome import Outcome

_TELL_S = 30.0
"""While a run waits for GPU memory, an event says so this often."""


class Room:
    """The cards of a run. `meter` measures them from when they were found free, `card` is the name of the first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: float | None = None
        self.meter: PeakMeter | None = None
        self.card = ""

    def make(self, *, made_smaller: bool) -> Outcome | None:
        """Wait for the memory if that was asked for; why not to start, or None. What was `made_smaller` is tried."""
        self.meter = None
        if not self._desk.plan.gpus:
            return None
        if self._desk.plan.wait and self._desk.plan.estimate is not None and not made_smaller:
            for waiting in wait_for_room(self._desk.plan):
                if waiting.over:
                    self._move_to(waiting)
                    break
                self._tell(waiting)
                self._desk.heed_requests()
                if self._desk.stop is not None:
                    return Outcome(Status.STOPPED, _("Stopped as asked, while it waited for GPU memory."))
        report = read_gpus()
        cards = cards_of(self._desk.plan, report)
        self.meter, self.card = PeakMeter.start(cards), cards[0].name if cards else ""
        refused = None if made_smaller else lacking(self._desk.plan, report)
        return None if refused is None else Outcome(Status.FAILED, refused, ExitCode.PREFLIGHT)

    def _move_to(self, waiting: Waiting) -> None:
        """Use the cards that were waited for."""
        desk = self._desk
        reason = _("The GPU memory that was waited for is free there")
        after = change(desk.plan, Change(reason, gpus=waiting.gpus))
        put_in_force(desk.plan, after, reason)
        desk.plan, desk.state.message = after, None
        desk.state.move_to(Status.RUNNING)

    def _tell(self, waiting: Waiting) -> None:
        """Into the state at once, into the events now and then."""
        desk = self._desk
        desk.state.message = waiting_text(waiting)
        desk.state.move_to(Status.WAITING)
        desk.save(durable=False)
        if self._told is not None and waiting.waited_s - self._told < _TELL_S:
            return
        self._told = waiting.waited_s
        desk.events.add(
            "progress",
            stage="wait",
            id="waiting",
            waited_s=round(waiting.waited_s, 1),
            needed_bytes=waiting.needed_bytes,
            free_bytes=waiting.best_free_bytes,
            ahead=waiting.ahead,
            message=desk.state.message,
        )
