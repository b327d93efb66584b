"""The life of a run, as its user steers it: start, resume, export again. A supervisor does the rest.

Whoever starts holds `runs/<run>/.start.lock` until the supervisor has taken over: two starts at once come one by one.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sft_tui.factory import commands
from sft_tui.factory.checkpoints import find_checkpoints
from sft_tui.i18n import _
from sft_tui.interrupts import leave_if_told
from sft_tui.plan.change import Change, change, put_in_force, write_plan
from sft_tui.plan.inputs import differing, inputs, made_from
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import open_append, open_lock, read_json, set_aside
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan, plan_from_json
from sft_tui.project.requests import Request, RequestKind, clear_requests, leave_request
from sft_tui.project.state import RunState, StageState, Status, present_status, read_state, write_state
from sft_tui.run.leftovers import leftovers
from sft_tui.run.outcome import where_it_goes_on

_PATIENCE_S = 20.0
ADOPT = "adopt"
"""What a supervisor is told that only takes over what runs, and starts nothing again that failed."""
EXPORT = "export"
"""What one is told that leaves data and training as they are, whatever became of what they were made from."""


def start(plan: Plan, another: Callable[[], Plan] | None = None) -> RunLayout:
    """Write the plan's files and launch the run. Raises `Refusal` (exit 3); then nothing new is on the disk.

    Where another start has just taken the run's name, `another` gives a plan with a free one; without it, and where the
    run is there already, it is started anew with this plan unless it runs.
    """
    while another is not None and not _reserved(RunLayout(Path(plan.project), plan.run)):
        plan = another()
    layout = RunLayout(Path(plan.project), plan.run)
    fresh = not layout.state.exists()
    try:
        with _starting(layout):
            previous = _standing_still(layout)
            write_plan(layout, plan)
            stages = previous.stages if previous else {}
            state = RunState(plan.run, created=time.time(), model=plan.model, dataset=plan.dataset, parent=plan.parent)
            state.stages = {s.name: stages.get(s.name, StageState()) for s in plan.stages}
            write_state(layout, state)
            _launch(layout)
    except BaseException:
        if fresh and not layout.state.exists():
            _give_back(layout)
        raise
    return layout


def resume(
    layout: RunLayout,
    changes: dict[str, Any] | None = None,
    *,
    force: bool = False,
    from_start: bool = False,
    restart_on_crash: int | None = None,
) -> None:
    """Go on with a run at the first stage that is not done; a trainer that still runs is adopted.

    `changes` are training options to set, None to remove one: the run is planned anew with them, and so it is where its
    source has changed. `force` starts it though the GPU memory seems too small. `from_start` trains anew and keeps what
    there is beside; without it a training that cannot go on from its checkpoint is refused. Raises `Refusal`.
    """
    with _starting(layout):
        state, plan = _standing_still(layout), _need_plan(layout)
        if state is None:
            raise refuse("no_such_run", _("There is no run {run}.").format(run=layout.name))
        wanted = _wanted(plan, state, changes or {}, force, restart_on_crash)
        if wanted is not None:
            if present_status(state).active:
                message = _("The trainer of {run} still runs; it cannot be changed now.").format(run=layout.name)
                hint = _("Stop it first: sft-tui stop {run}").format(run=layout.name)
                raise refuse("already_running", message, hint=hint)
            after = change(plan, wanted)
            _refuse_lost_steps(layout, state, after, from_start=from_start)
            put_in_force(plan, after, wanted.reason)
        else:
            _refuse_lost_steps(layout, state, plan, from_start=from_start)
        if from_start:
            _begin_anew(layout, state)
        _launch(layout)


def export_again(
    layout: RunLayout,
    *,
    size_gb: int | None = None,
    device: str | None = None,
    verify: bool = True,
    overwrite: bool = False,
) -> None:
    """Merge the adapter of a trained run again, and verify it; a merged model that is there stays until the new one is.

    Raises `Refusal`.
    """
    with _starting(layout):
        state, plan = _standing_still(layout), _need_plan(layout)
        if state is None:
            raise refuse("no_such_run", _("There is no run {run}.").format(run=layout.name))
        if present_status(state).active:
            raise _already_running(layout.name)
        if not commands.has_weights(layout.save_dir):
            message = _("The run {run} has no adapter in {path} yet.").format(run=layout.name, path=layout.save_dir)
            hint = _("Train first: sft-tui resume {run}").format(run=layout.name)
            raise refuse("no_adapter", message, hint=hint)
        exported = state.stages.get("export", StageState()).status is Status.FINISHED
        if exported and commands.has_weights(layout.model_dir) and not overwrite:
            message = _("There is a merged model in {path} already.").format(path=layout.model_dir)
            raise refuse("model_exists", message, hint=_("`--overwrite` replaces it."))
        given = {"size_gb": size_gb, "device": device}
        export = {"enabled": True, "verify": verify} | {k: v for k, v in given.items() if v is not None}
        after = change(plan, Change(_("Export again"), export=export, overwrite_model=overwrite))
        put_in_force(plan, after, _("Export again"))
        for name in ("export", "verify"):
            state.stages.setdefault(name, StageState()).move_to(Status.PENDING)
        write_state(layout, state)
        _launch(layout, EXPORT)


def ensure_supervised(layout: RunLayout) -> bool:
    """See that somebody looks after what is left of a run whose supervisor was lost; whether a supervisor was started.

    It adopts a stage that still runs, or takes note of how it has ended and does the stages after it; a stage that
    failed is not started again. Raises `Refusal`.
    """
    if not _is_orphan(read_state(layout), layout):
        return False
    with _starting(layout):
        orphan = _is_orphan(read_state(layout), layout)
        if orphan:
            _launch(layout, ADOPT)
        return orphan


def _is_orphan(state: RunState | None, layout: RunLayout) -> bool:
    if state is None or not state.status.active:
        return False
    if state.supervisor is None or state.supervisor.may_live():
        return False
    stage = state.stages.get(state.stage or "", StageState())
    if stage.status is not Status.RUNNING or stage.process is None:
        return False
    if stage.process.alive() or layout.exit_marker(state.stage or "", stage.attempt).is_file():
        return True
    return bool(leftovers(layout.run_dir))  # ranks, whose launcher is gone


def stop(layout: RunLayout, *, now: bool = False) -> str:
    """Ask a run to stop, at the next step with saving or at once; in a sentence, what that means. Raises `Refusal`."""
    state = read_state(layout)
    if state is None or not present_status(state).active:
        raise refuse("not_running", _("The run {run} does not run.").format(run=layout.name))
    ensure_supervised(layout)
    said = what_a_stop_means(layout, now=now)
    leave_request(layout, Request(RequestKind.STOP_NOW if now else RequestKind.STOP))
    return said


def what_a_stop_means(layout: RunLayout, *, now: bool = False) -> str:
    """In a sentence, before it is asked for: what becomes of what was learned if the run is stopped."""
    state, plan = read_state(layout), read_plan(layout)
    train = plan.stage("train") if plan else None
    if state is None or train is None or state.stage not in (None, "train"):
        return _("The stage {stage} is broken off; resuming starts it again.").format(
            stage=state.stage if state else "-"
        )
    if not now and commands.stop_saves(train.argv):
        return _("The training stops after its next step and saves a checkpoint, from which resuming goes on.")
    point = where_it_goes_on(layout)
    if now:
        return point
    return _("The training stops after its next step and saves the adapter, but no checkpoint.") + " " + point


def read_plan(layout: RunLayout) -> Plan | None:
    """The plan of a run, in the project as it lies now; None where there is none that can be read."""
    data = read_json(layout.plan)
    try:
        return plan_from_json(data, layout.project)
    except (TypeError, KeyError, AttributeError):
        return None


def _need_plan(layout: RunLayout) -> Plan:
    plan = read_plan(layout)
    if plan is None:
        message = _("The plan of {run} cannot be read: {path}.").format(run=layout.name, path=layout.plan)
        hint = _("Start it anew: sft-tui --non-interactive {path} --fresh").format(path=layout.answers)
        raise refuse("no_plan", message, hint=hint, path=str(layout.plan), exit_code=ExitCode.PREFLIGHT)
    return plan


def _wanted(
    plan: Plan, state: RunState, changes: dict[str, Any], force: bool, restart_on_crash: int | None
) -> Change | None:
    """What is to be different before the run goes on; None for nothing."""
    asked = _("Asked for when it was resumed")
    if changes:
        return Change(asked, train=changes, again=True, force=force or None, restart_on_crash=restart_on_crash)
    converted = state.stages.get("convert", StageState())
    now = made_from(plan, "convert")
    if converted.made_from and now and converted.made_from != now:
        reason = _("The source of the data has changed")
        return Change(reason, again=True, force=force or None, restart_on_crash=restart_on_crash)
    if force or restart_on_crash is not None:
        return Change(asked, force=force or None, restart_on_crash=restart_on_crash)
    return None


def _refuse_lost_steps(layout: RunLayout, state: RunState, plan: Plan, *, from_start: bool) -> None:
    """Refuse to go on where the steps of a training that is not finished would be lost, or go wrong."""
    train = state.stages.get("train", StageState())
    usable = [point for point in find_checkpoints(layout.save_dir) if point.fault is None]
    if from_start or train.status is Status.FINISHED or not usable:
        return
    what = differing(train.parts, inputs(plan, "train"))
    if not what:
        return
    message = _("The training of {run} has got to step {step}, and cannot go on from there: {what} changed since.")
    hint = _("Train from the start and keep what there is beside: sft-tui resume {run} --from-start")
    raise refuse(
        "other_checkpoint",
        message.format(run=layout.name, step=usable[-1].step, what=", ".join(what)),
        hint=hint.format(run=layout.name),
        path=str(usable[-1].path),
        exit_code=ExitCode.PREFLIGHT,
    )


def _begin_anew(layout: RunLayout, state: RunState) -> None:
    """Put aside what was trained, so that the training starts from its first step."""
    train = state.stages.setdefault("train", StageState())
    train.move_to(Status.PENDING)
    train.parts = {}
    if layout.save_dir.is_dir() and any(layout.save_dir.iterdir()):
        kept = set_aside(layout.save_dir).relative_to(layout.project).as_posix()
        message = _("What was trained before is kept in {path}.").format(path=kept)
        append_event(layout.events, make_event("warning", id="adapter_kept", message=message, hint=None))
    write_state(layout, state)


def _standing_still(layout: RunLayout) -> RunState | None:
    """The state of a run that no supervisor is at work on. Raises `Refusal`."""
    state = read_state(layout)
    if state is not None and state.supervisor is not None and state.supervisor.may_live():
        raise _already_running(layout.name)
    return state


def _already_running(run: str) -> Exception:
    return refuse("already_running", _("The run {run} is running already.").format(run=run), key="run.name")


def _reserved(layout: RunLayout) -> bool:
    """Take the run's name by making its directory, which only one can do; whether it was free."""
    try:
        layout.run_dir.parent.mkdir(parents=True, exist_ok=True)
        layout.run_dir.mkdir()
    except FileExistsError:
        return False
    except OSError:
        return True  # it will be told when the plan is written
    return True


def _give_back(layout: RunLayout) -> None:
    """Remove what a start that was refused has made."""
    with contextlib.suppress(OSError):
        (layout.run_dir / ".start.lock").unlink(missing_ok=True)
        layout.run_dir.rmdir()
        layout.run_dir.parent.rmdir()


@contextlib.contextmanager
def _starting(layout: RunLayout) -> Iterator[None]:
    """Hold the right to start the run. Waits for who has it. Raises `KeyboardInterrupt` where one was told to leave."""
    leave_if_told()
    try:
        layout.run_dir.mkdir(parents=True, exist_ok=True)
        lock = open_lock(layout.run_dir / ".start.lock")
    except OSError:
        yield  # a project that cannot be written: told when the plan is
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _launch(layout: RunLayout, *how: str) -> None:
    """Start a supervisor (with `ADOPT` or `EXPORT`) in a session of its own; wait till it has taken over (a second)."""
    if ADOPT not in how:  # who adopts goes on with what the lost supervisor was asked for
        clear_requests(layout)
    earlier = read_state(layout)
    before = earlier.updated if earlier else 0.0
    with _supervisor_log(layout) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sft_tui.run.supervisor", str(layout.run_dir), *how],
            cwd=layout.project,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        state = read_state(layout)
        if state is not None and state.supervisor is not None and state.updated > before:
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    message = _("The supervisor of {run} did not start; see {path}.").format(
        run=layout.name, path=layout.supervisor_log
    )
    raise refuse("supervisor_failed", message, path=str(layout.supervisor_log), exit_code=ExitCode.PREFLIGHT)


def _supervisor_log(layout: RunLayout) -> io.FileIO:
    try:
        return open_append(layout.supervisor_log)
    except OSError as error:
        message = _("{path} cannot be written: {reason}.")
        text = message.format(path=layout.supervisor_log, reason=error.strerror or error)
        raise refuse(
            "project_not_writable", text, path=str(layout.supervisor_log), exit_code=ExitCode.PREFLIGHT
        ) from error
