"""Watching one stage until it has ended, and stopping it when that is asked for."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sft_tui.factory import commands
from sft_tui.i18n import _
from sft_tui.project.plan_record import PlannedStage
from sft_tui.project.requests import RequestKind, take_requests
from sft_tui.project.state import StageState, Status
from sft_tui.run.desk import POLL_S, Desk
from sft_tui.run.measure import PeakMeter
from sft_tui.run.monitor import Monitor
from sft_tui.run.processes import StageProcess

_QUICK_S = 2.0
"""How long a trainer has that is to end at once, before it is killed: too short for it to begin a checkpoint."""
_OTHERS_S = 10.0
_SAVE_S = float(os.environ.get("SFT_TUI_STOP_PATIENCE_S", "600"))
"""How long a training that was asked to stop has for its step and its checkpoint, before it is ended without them."""


class Attendance:
    """One stage at work. `meter` measures the memory that a training takes on its cards."""

    def __init__(
        self, desk: Desk, planned: PlannedStage, stage: StageState, process: StageProcess, meter: PeakMeter | None
    ) -> None:
        self._desk = desk
        self._planned = planned
        self._stage = stage
        self._process = process
        self._meter = meter
        self._saving_since: float | None = None

    def to_the_end(self) -> None:
        """Return when nothing of the stage lives any more."""
        desk, process = self._desk, self._process
        monitor = self._monitor()
        while not process.poll():
            if desk.follow():
                process.moved_to(desk.layout.run_dir)
                monitor = self._monitor()
            if desk.gone:
                process.end()
                return
            self._answer_requests()
            if monitor is not None and monitor.look():
                desk.save(durable=False)
            if monitor is not None and monitor.must_stop is not None and desk.stop is None:
                desk.stop, desk.stop_reason = RequestKind.STOP, monitor.must_stop
                desk.state.message = monitor.must_stop
                self._stop_and_save()
            self._end_what_does_not_stop()
            if process.has_left_nobody(commands.is_worker):
                process.end()  # as its keeper would have done
            time.sleep(POLL_S)
        if monitor is not None and monitor.look():
            desk.save()

    def _monitor(self) -> Monitor | None:
        desk = self._desk
        if self._planned.name != "train":
            return None
        return Monitor(desk.layout, desk.state, self._stage, desk.events, self._meter, desk.plan)

    def _answer_requests(self) -> None:
        training = self._planned.name == "train"
        for request in take_requests(self._desk.layout):
            graceful = request.kind is RequestKind.STOP and training and self._has_begun()
            if graceful and self._desk.stop is None:
                self._stop_and_save()
            elif not graceful:
                self._end(_QUICK_S if training else _OTHERS_S)
            self._desk.stop = request.kind

    def _has_begun(self) -> bool:
        return commands.training_has_begun(_end_of(self._desk.layout.stage_log("train"), 1 << 18))

    def _stop_and_save(self) -> None:
        self._process.signal(commands.stop_signal(self._planned.argv), commands.is_worker)
        self._desk.state.move_to(Status.STOPPING)
        self._desk.save()
        self._saving_since = time.monotonic()
        message = _("Stopping at the next step and saving; what has not ended in {minutes} minutes is ended without.")
        self._desk.warn("stopping", message.format(minutes=f"{_SAVE_S / 60:.3g}"), _("At once: sft-tui stop --now"))

    def _end_what_does_not_stop(self) -> None:
        """A training that hangs does not come to the end of its step."""
        if self._saving_since is None or time.monotonic() - self._saving_since < _SAVE_S:
            return
        self._saving_since = None
        message = _("The training did not stop by itself; it is ended, and what is saved are its checkpoints.")
        self._desk.warn("stop_hangs", message)
        self._end(_QUICK_S)

    def _end(self, patience_s: float) -> None:
        ending = self._process.end(patience_s)
        if ending.killed:
            text = _("Processes that had not ended {seconds} s after they were asked to were killed: {count}.")
            self._desk.warn("killed", text.format(seconds=f"{patience_s:g}", count=ending.killed))


def _end_of(path: Path, size: int) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - size, 0))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
