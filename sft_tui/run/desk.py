"""What a supervisor works with: the run's files, wherever they are moved to, and what it was asked to do."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sft_tui.i18n import _
from sft_tui.project.events import EventLog
from sft_tui.project.files import write_atomically
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.project.rebuild import rebuilt_state
from sft_tui.project.requests import RequestKind, take_requests
from sft_tui.project.state import RunState, StageState, Status, write_state
from sft_tui.project.whereabouts import Anchor
from sft_tui.run.monitor import Monitor
from sft_tui.run.notify import Notifier

POLL_S = 0.5
_RESERVE_BYTES = 256 << 10
"""Room that is kept on the disk for the run's last words."""


class Desk:
    """A run's plan, state and events as its supervisor has them.

    `stop` is what it was asked for last, or what it decided itself for `stop_reason`, a sentence. `gone`: the run's
    directory is not there any more.
    """

    def __init__(self, layout: RunLayout, plan: Plan, state: RunState) -> None:
        self.layout = layout
        self.plan = plan
        self.state = state
        self.events = event_log(layout, plan)
        self.stop: RequestKind | None = None
        self.stop_reason: str | None = None
        self.gone = False
        self._anchor = Anchor(layout)

    def begin(self) -> None:
        """Write down that somebody is at work on the run."""
        self.state.supervisor = ProcessRef.of(os.getpid())
        self.state.move_to(Status.RUNNING)
        self.state.message = self.state.exit_code = self.state.finished = None
        self.state.diagnoses = []
        rebuilt = self.state.rebuilt
        self.save()
        with contextlib.suppress(OSError):
            write_atomically(self.layout.reserve, bytes(_RESERVE_BYTES), follow=False, durable=False)
        place = asdict(self.state.place) if self.state.place is not None else None
        who = {"run": self.plan.run, "supervisor": asdict(self.state.supervisor), "place": place}
        self.events.add("run_started", **who, **({"parent": self.plan.parent} if self.plan.parent else {}))
        if rebuilt:
            self.events.add("state_rebuilt", message=_("state.json was put together again from plan and events."))
        self._tell_what_was_not()

    def _tell_what_was_not(self) -> None:
        """Put into the events what an earlier supervisor could not: on a full disk, or because it was killed."""
        told = (rebuilt_state(self.layout) or {}).get("stages", {})
        for name, stage in self.state.stages.items():
            of_stage = told.get(name, {})
            stage.lines_read = min(stage.lines_read, of_stage.get("lines_read", 0))
            if not stage.status.final or of_stage.get("status") == stage.status:
                continue
            if name == "train":
                self.tell_what_was_logged(stage)
            self.tell_end_of_stage(name, stage)

    def tell_what_was_logged(self, train: StageState) -> None:
        """Put into the events what a training that is over has logged and nobody has told."""
        Monitor(self.layout, self.state, train, self.events, None).look()

    def tell_end_of_stage(self, name: str, stage: StageState) -> None:
        """Put into the events how a stage has ended."""
        seconds = round((stage.finished or 0.0) - (stage.started or stage.finished or 0.0), 1)
        fields = {"status": stage.status.value, "exit_code": stage.exit_code, "seconds": seconds}
        self.events.add("stage_finished", stage=name, **fields)

    def warn(self, problem: str, message: str, hint: str | None = None) -> None:
        """Put a warning into the events."""
        self.events.add("warning", id=problem, message=message, hint=hint)

    def follow(self) -> bool:
        """Go where the run's project has been moved to; whether it has been. A run whose directory is gone stops."""
        layout = self._anchor.layout()
        if layout is None:
            self.gone, self.stop = True, RequestKind.STOP_NOW
        if layout is None or layout == self.layout:
            return False
        self.layout, self.plan = layout, replace(self.plan, project=str(layout.project))
        self.events = event_log(layout, self.plan)
        text = _("The project was moved to {path}; the run goes on there.")
        self.warn("project_moved", text.format(path=layout.project))
        return True

    def heed_requests(self) -> None:
        """Follow, and take note of what is asked for while no stage is at work."""
        self.follow()
        for request in take_requests(self.layout):
            self.stop = request.kind

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass unless a stop is asked for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.stop is None:
            self.heed_requests()
            time.sleep(min(POLL_S, seconds))

    def save(self, *, durable: bool = True) -> None:
        """Write the state. Figures need not outlive a power failure: the disk is asked to wait only for a status."""
        with contextlib.suppress(OSError):  # a full disk must not end the run that could still finish
            write_state(self.layout, self.state, durable=durable)

    def free_reserve(self) -> None:
        """Give back the room that was kept for saying how the run ended, should the disk be full then."""
        with contextlib.suppress(OSError):
            self.layout.reserve.unlink(missing_ok=True)

    def end(self, status: Status, exit_code: int, message: str | None, **fields: Any) -> None:
        """Write down how the run has ended."""
        self.state.move_to(status)
        self.state.message, self.state.exit_code, self.state.finished = message, exit_code, time.time()
        self.free_reserve()
        self.save()
        self.events.add("run_finished", status=status.value, exit_code=exit_code, message=message, **fields)


def event_log(layout: RunLayout, plan: Plan) -> EventLog:
    """The run's events, told to the program that the answers name."""
    project = Path(plan.project)
    return EventLog(layout.events, Notifier(plan.notify, project, run=plan.run, project=str(project)).tell)
