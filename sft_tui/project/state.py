"""`state.json`: where a run stands. The supervisor writes it, everyone may read it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sft_tui.i18n import _
from sft_tui.project.files import read_json, write_json
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.rebuild import rebuilt_state
from sft_tui.project.whereabouts import Whereabouts


class Status(StrEnum):
    """How a run or a stage stands."""

    PENDING = "pending"
    WAITING = "waiting"  # for GPU memory, or for its turn
    RUNNING = "running"
    STOPPING = "stopping"  # asked to: at the next step it will be
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"  # asked to by the user; what was trained is saved
    LOST = "lost"  # never written: shown for a run whose supervisor and trainer are both gone

    @property
    def active(self) -> bool:
        """Whether somebody is at work on it."""
        return self in (Status.WAITING, Status.RUNNING, Status.STOPPING)

    @property
    def final(self) -> bool:
        """Whether it stays so until somebody starts it again."""
        return self in (Status.FINISHED, Status.FAILED, Status.STOPPED, Status.LOST)


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.WAITING, Status.RUNNING, Status.STOPPED, Status.FAILED}),
    Status.WAITING: frozenset({Status.PENDING, Status.RUNNING, Status.STOPPING, Status.STOPPED, Status.FAILED}),
    Status.RUNNING: frozenset(
        {Status.PENDING, Status.WAITING, Status.STOPPING, Status.STOPPED, Status.FAILED, Status.FINISHED}
    ),
    Status.STOPPING: frozenset({Status.RUNNING, Status.STOPPED, Status.FAILED, Status.FINISHED}),
    Status.STOPPED: frozenset({Status.PENDING, Status.RUNNING, Status.WAITING, Status.FAILED}),
    Status.FAILED: frozenset({Status.PENDING, Status.RUNNING, Status.WAITING, Status.STOPPED}),
    Status.FINISHED: frozenset({Status.PENDING, Status.RUNNING, Status.FAILED}),
    Status.LOST: frozenset(),
}
"""From each status to those that may follow it, for runs and for stages. A run that was lost still says on the disk
what it was doing; who takes it over goes on from there. What has ended only changes by being started again, or by being
told at once why it cannot be."""


class IllegalTransition(Exception):
    """A status was set that cannot follow the one before: a mistake in this program."""


def _moved(before: Status, after: Status) -> Status:
    if after is not before and after not in TRANSITIONS[before]:
        raise IllegalTransition(f"{before} -> {after}")
    return after


@dataclass(slots=True)
class StageState:
    """How one stage stands. Times are epoch seconds; `attempt` counts from 1 once it was started.

    `lines_read` counts the lines of the trainer's log that are in the events already. `made_from` is the hash of what
    the last attempt was made from and `parts` the hash of each part (`plan.inputs`); empty where nobody recorded it.
    """

    status: Status = Status.PENDING
    attempt: int = 0
    process: ProcessRef | None = None
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    lines_read: int = 0
    made_from: str = ""
    parts: dict[str, str] = field(default_factory=dict)

    def move_to(self, status: Status) -> None:
        """Set the status. Raises `IllegalTransition`."""
        self.status = _moved(self.status, status)


@dataclass(slots=True)
class RunState:
    """How a run stands.

    `metrics` is the last of each figure: step, total_steps, loss, first_loss, eval_loss, learning_rate, epoch, percent,
    remaining_s, elapsed_s, tokens_per_s. `exit_code` is what a front end that waited for the run ends with.
    `message` says in a sentence why a run failed or stopped; `diagnoses` are those of `factory.failures`, as JSON.
    `parent` is the run whose adapter this one trains further, "" for none. `place` is the directory that it was written
    in. `rebuilt`: the file could not be read, this is what events tell.
    """

    run: str
    status: Status = Status.PENDING
    stage: str | None = None
    stages: dict[str, StageState] = field(default_factory=dict)
    supervisor: ProcessRef | None = None
    created: float = 0.0
    updated: float = 0.0
    finished: float | None = None
    exit_code: int | None = None
    message: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    diagnoses: list[dict[str, Any]] = field(default_factory=list)
    model: str = ""
    dataset: str = ""
    parent: str = ""
    place: Whereabouts | None = None
    rebuilt: bool = False

    def move_to(self, status: Status) -> None:
        """Set the status. Raises `IllegalTransition`."""
        self.status = _moved(self.status, status)

    def as_json(self) -> dict[str, Any]:
        """The content of state.json."""
        return asdict(self)


def state_from_json(data: dict[str, Any]) -> RunState:
    """The inverse of `RunState.as_json`; unknown keys of later versions are passed over."""
    known = {k: v for k, v in data.items() if k in RunState.__slots__}
    known["status"] = Status(known.get("status", "pending"))
    known["supervisor"] = ProcessRef.from_json(known.get("supervisor"))
    known["place"] = Whereabouts.from_json(known.get("place"))
    stages: dict[str, StageState] = {}
    for name, stage in known.get("stages", {}).items():
        fields = {k: v for k, v in stage.items() if k in StageState.__slots__}
        fields["status"] = Status(fields.get("status", "pending"))
        fields["process"] = ProcessRef.from_json(fields.get("process"))
        stages[name] = StageState(**fields)
    known["stages"] = stages
    return RunState(**known)


def read_state(layout: RunLayout) -> RunState | None:
    """The state of a run, or None where there is no run.

    Where its file cannot be read it is put together from plan and events (`rebuilt`). Of a copy of a run's directory it
    is what was copied, and nothing runs there: what the processes of the original do is none of its business.
    """
    state = _parsed(read_json(layout.state))
    if state is None:
        data = rebuilt_state(layout)
        if data is None:
            return None
        state = _parsed(data) or RunState(layout.name, rebuilt=True)
        state.message = state.message or _("state.json could not be read; this is what plan and events tell.")
    if state.place is not None and not state.place.is_here(layout.run_dir):
        _let_go(state, state.place)
    return state


def _parsed(data: Any) -> RunState | None:
    if not isinstance(data, dict) or not data.get("run"):
        return None
    try:
        state = state_from_json(data)
        return state if _sound(state) else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None  # of a later version, or edited by hand


def _let_go(state: RunState, origin: Whereabouts) -> None:
    """Make `state` that of a copy of the run in `origin`."""
    state.supervisor = state.place = None
    for stage in state.stages.values():
        stage.process = None
        if stage.status.active:
            stage.status = Status.STOPPED
    if state.status.active:
        state.status = Status.STOPPED
        state.message = _("This is a copy of the run in {path}; it does not run here.").format(path=origin.path)


def _sound(state: RunState) -> bool:
    """Whether every field has a value that its readers can work with."""
    stages = state.stages.values()
    return (
        all(isinstance(text, str) for text in (state.run, state.model, state.dataset, state.parent))
        and all(text is None or isinstance(text, str) for text in (state.stage, state.message))
        and None not in (state.created, state.updated)
        and _times(state.created, state.updated, state.finished)
        and _whole(state.exit_code)
        and all(_times(s.started, s.finished) and _whole(s.exit_code) for s in stages)
        and all(isinstance(s.attempt, int) and _whole(s.attempt) for s in stages)
        and all(isinstance(s.made_from, str) and isinstance(s.parts, dict) for s in stages)
        and isinstance(state.metrics, dict)
        and all(
            isinstance(value, float) or (isinstance(value, int) and _whole(value)) for value in state.metrics.values()
        )
        and isinstance(state.diagnoses, list)
        and all(isinstance(diagnosis, dict) for diagnosis in state.diagnoses)
    )


def _times(*values: Any) -> bool:
    return all(value is None or (isinstance(value, int | float) and 0 <= value < 1e11) for value in values)


def _whole(value: Any) -> bool:
    return value is None or (isinstance(value, int) and abs(value) < 1 << 53)


def write_state(layout: RunLayout, state: RunState, *, durable: bool = True) -> None:
    """Replace state.json; `durable` waits for the disk.

    Raises `OSError`, also where the directory that the state was written in is gone: it is not made again.
    """
    if state.place is not None and not state.place.is_here(layout.run_dir):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(layout.run_dir))
    layout.run_dir.mkdir(parents=True, exist_ok=True)
    state.updated = time.time()
    state.place = Whereabouts.of(layout.run_dir)
    state.rebuilt = False
    write_json(layout.state, state.as_json(), follow=False, durable=durable)


def present_status(state: RunState) -> Status:
    """The status as it is now: a run that claims to be running and whose processes are surely dead is `lost`.

    What runs on another computer cannot be seen from here: such a run is what its file says.
    """
    if state.status.final:
        return state.status
    if state.supervisor is not None and state.supervisor.may_live():
        return state.status
    stage = state.stages.get(state.stage or "")
    if stage is not None and stage.process is not None and stage.process.may_live():
        return Status.RUNNING
    return Status.LOST if state.supervisor is not None else Status.PENDING
