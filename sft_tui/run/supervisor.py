"""The owner of a run: `python -m sft_tui.run.supervisor RUN_DIR`, in a session of its own, until the run has ended.

It starts the stages, writes state.json and events.jsonl, and answers requests. No terminal and no front end is needed.
If it is killed, the trainer goes on, kept by its keeper, and the next supervisor adopts it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

from sft_tui.factory import commands
from sft_tui.i18n import _
from sft_tui.machine.gpus import read_gpus
from sft_tui.plan.change import Change, change, put_in_force
from sft_tui.plan.gpu_headroom import cards_of, lacking
from sft_tui.plan.inputs import digest, inputs
from sft_tui.problems import ExitCode
from sft_tui.project.events import EventLog
from sft_tui.project.files import NotAPlainFile, open_append, open_lock, write_atomically
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import STAGES, Plan, PlannedStage
from sft_tui.project.rebuild import rebuilt_state
from sft_tui.project.requests import RequestKind, take_requests
from sft_tui.project.state import RunState, StageState, Status, read_state, write_state
from sft_tui.project.whereabouts import Anchor
from sft_tui.run.attempt import prepare_attempt, settle_export
from sft_tui.run.gpu_queue import Waiting, wait_for_room, waiting_text
from sft_tui.run.leftovers import Mark, in_the_way
from sft_tui.run.lifecycle import ADOPT, EXPORT, read_plan
from sft_tui.run.measure import PeakMeter
from sft_tui.run.monitor import Monitor
from sft_tui.run.notify import Notifier
from sft_tui.run.outcome import Outcome, explain_failure, judge_stage, stage_is_done, where_it_goes_on
from sft_tui.run.processes import StageProcess
from sft_tui.run.retries import crash_may_pass, smaller_plan, waits_between

_POLL_S = 0.5
_TELL_S = 30.0
"""While a run waits for GPU memory, an event says so this often."""
_RESERVE_BYTES = 256 << 10
"""Room that is kept on the disk for the run's last words."""
_QUICK_S = 2.0
"""How long a trainer has that is to end at once, before it is killed: too short for it to begin a checkpoint."""
_SAVE_S = float(os.environ.get("SFT_TUI_STOP_PATIENCE_S", "600"))
"""How long a training that was asked to stop has for its step and its checkpoint, before it is ended without them."""
_FAILED_STAGE_EXIT = {
    "convert": ExitCode.PREFLIGHT,
    "train": ExitCode.TRAIN,
    "export": ExitCode.EXPORT,
    "verify": ExitCode.VERIFY,
}


class Supervisor:
    """Carries out one plan."""

    def __init__(self, layout: RunLayout, plan: Plan, state: RunState, how: str = "") -> None:
        self._layout = layout
        self._how = how
        self._plan = plan
        self._state = state
        self._events = event_log(layout, plan)
        self._anchor = Anchor(layout)
        self._gone = False
        self._stop: RequestKind | None = None
        self._stop_reason: str | None = None
        self._saving_since: float | None = None
        self._shrunk = 0
        self._crash_waits = waits_between(plan.restart_on_crash)
        self._meter: PeakMeter | None = None
        self._card = ""
        self._told: float | None = None

    def run(self) -> ExitCode:
        """Do every stage that is not done yet. Returns what the run ends with."""
        began = time.time()
        self._begin()
        outcome = Outcome(Status.FINISHED)
        for name in STAGES[STAGES.index(EXPORT) if self._how == EXPORT else 0 :]:
            outcome = self._until_it_ends(name)
            if outcome.status is not Status.FINISHED:
                break
        code = outcome.exit_code or self._exit_code(outcome.status)
        if outcome.status is Status.FINISHED:
            outcome = self._as_trained()
        self._state.move_to(outcome.status)
        self._state.message, self._state.exit_code, self._state.finished = outcome.message, int(code), time.time()
        self._free_reserve()
        self._save()
        seconds = round(time.time() - began, 1)
        fields = {"status": outcome.status.value, "exit_code": int(code), "message": outcome.message}
        self._events.add("run_finished", **fields, seconds=seconds)
        return code

    def _begin(self) -> None:
        self._state.supervisor = ProcessRef.of(os.getpid())
        self._state.move_to(Status.RUNNING)
        self._state.message = self._state.exit_code = self._state.finished = None
        self._state.diagnoses = []
        rebuilt = self._state.rebuilt
        self._save()
        with contextlib.suppress(OSError):
            write_atomically(self._layout.reserve, bytes(_RESERVE_BYTES), follow=False, durable=False)
        place = asdict(self._state.place) if self._state.place is not None else None
        who = {"run": self._plan.run, "supervisor": asdict(self._state.supervisor), "place": place}
        self._events.add("run_started", **who, **({"parent": self._plan.parent} if self._plan.parent else {}))
        if rebuilt:
            self._events.add("state_rebuilt", message=_("state.json was put together again from plan and events."))
        self._tell_what_was_not()

    def _tell_what_was_not(self) -> None:
        """Put into the events what an earlier supervisor could not: on a full disk, or because it was killed."""
        told = (rebuilt_state(self._layout) or {}).get("stages", {})
        for name, stage in self._state.stages.items():
            of_stage = told.get(name, {})
            stage.lines_read = min(stage.lines_read, of_stage.get("lines_read", 0))
            if not stage.status.final or of_stage.get("status") == stage.status:
                continue
            if name == "train":
                self._monitor_of(stage).look()
            seconds = round((stage.finished or 0.0) - (stage.started or 0.0), 1)
            fields = {"status": stage.status.value, "exit_code": stage.exit_code, "seconds": seconds}
            self._events.add("stage_finished", stage=name, **fields)

    def _follow(self) -> bool:
        """Go where the run's project has been moved to; whether it has been. A run whose directory is gone stops."""
        layout = self._anchor.layout()
        if layout is None:
            self._gone, self._stop = True, RequestKind.STOP_NOW
        if layout is None or layout == self._layout:
            return False
        self._layout, self._plan = layout, replace(self._plan, project=str(layout.project))
        self._events = event_log(layout, self._plan)
        message = _("The project was moved to {path}; the run goes on there.").format(path=layout.project)
        self._events.add("warning", id="project_moved", message=message, hint=None)
        return True

    def _as_trained(self) -> Outcome:
        """How a run has ended whose stages have: an adapter that was exported may be that of half a training."""
        train = self._state.stages.get("train", StageState())
        if train.status is Status.FINISHED:
            return Outcome(Status.FINISHED)
        status = train.status if train.status is Status.FAILED else Status.STOPPED
        return Outcome(status, _("Exported, though the training has not finished. ") + where_it_goes_on(self._layout))

    def _free_reserve(self) -> None:
        """Give back the room that was kept for saying how the run ended, should the disk be full then."""
        with contextlib.suppress(OSError):
            self._layout.reserve.unlink(missing_ok=True)

    def _exit_code(self, status: Status) -> ExitCode:
        if status is Status.FINISHED:
            return ExitCode.DONE
        return ExitCode.INTERRUPTED if status is Status.STOPPED else _FAILED_STAGE_EXIT[self._state.stage or "train"]

    def _until_it_ends(self, name: str) -> Outcome:
        """Do a stage of the plan, again where that is allowed and may help."""
        while True:
            planned = self._plan.stage(name)
            if planned is None:
                return Outcome(Status.FINISHED)
            self._follow()
            if self._stop is not None:
                return Outcome(Status.STOPPED, _("Stopped as asked, before {stage}.").format(stage=name))
            outcome = self._stage(planned)
            if outcome.status is not Status.FAILED or name != "train":
                return outcome
            if not self._shrink() and not self._sit_out_crash():
                return outcome

    def _shrink(self) -> bool:
        """Make the settings smaller after a GPU ran out of memory, if that was allowed; whether to try again."""
        smaller = smaller_plan(self._layout, self._plan, self._state, self._shrunk)
        if smaller is None:
            return False
        self._plan, said = smaller
        self._shrunk += 1
        self._state.metrics.pop("gpu_peak_bytes", None)
        self._state.diagnoses = []
        message = _("The GPU memory did not suffice; trying again with {change}.").format(change=said)
        self._events.add("warning", id="oom_retry", message=message, hint=None)
        return True

    def _sit_out_crash(self) -> bool:
        """Wait a while after a crash that may pass by itself, if that was allowed; whether to try again."""
        if not self._crash_waits or not crash_may_pass(self._state):
            return False
        wait_s = self._crash_waits.pop(0)
        text = _("The training crashed; it is started again in {seconds} s. Starts left after that: {count}.")
        message = text.format(seconds=round(wait_s), count=len(self._crash_waits))
        self._state.message, self._state.diagnoses = message, []
        self._save()
        self._events.add("warning", id="crash_retry", message=message, hint=None)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline and self._stop is None:
            self._answer_requests_while_waiting()
            time.sleep(min(_POLL_S, wait_s))
        self._state.message = None
        return True

    def _stage(self, planned: PlannedStage) -> Outcome:
        stage = self._state.stages.setdefault(planned.name, StageState())
        if stage_is_done(self._plan, planned, stage):
            return Outcome(Status.FINISHED)
        self._state.stage = planned.name
        if stage.status is Status.RUNNING and stage.process is not None:
            outcome = self._take_over(planned, stage)
            if outcome is not None:
                return outcome
        else:
            stage.move_to(Status.PENDING)
        obstacle = in_the_way(self._layout, self._state)
        if obstacle is not None:
            return self._finish(planned, stage, Outcome(Status.FAILED, obstacle, ExitCode.PREFLIGHT), diagnose=False)
        if planned.name == "train":
            held_up = self._make_room()
            if held_up is not None:
                return self._finish(planned, stage, held_up, diagnose=False)
            planned = self._plan.stage("train") or planned
        try:
            process = self._start(planned, stage)
        except NotAPlainFile as error:
            text = _("{path} cannot be written: {reason}.")
            outcome = Outcome(Status.FAILED, text.format(path=error.filename, reason=error.strerror))
            return self._finish(planned, stage, outcome, diagnose=False)
        except OSError as error:
            text = _("{program} cannot be started: {reason}")
            outcome = Outcome(Status.FAILED, text.format(program=planned.argv[0], reason=error.strerror or error))
            return self._finish(planned, stage, outcome)
        outcome = self._see_through(planned, stage, process)
        if planned.name == "train" and outcome.status is Status.FINISHED:
            self._keep_peak()
        return outcome

    def _take_over(self, planned: PlannedStage, stage: StageState) -> Outcome | None:
        """Go on with what an earlier supervisor left: its process, or what that has done since. None: nothing whole."""
        assert stage.process is not None
        process = StageProcess.adopt(stage.process, self._layout.exit_marker(planned.name, stage.attempt))
        if not process.poll():
            if planned.name == "train":
                self._meter = PeakMeter.start(cards_of(self._plan, read_gpus()), own=process.pids())
            return self._see_through(planned, stage, process)
        stage.exit_code = process.exit_code
        outcome = judge_stage(self._layout, self._plan, planned, stage, stopped=False)
        self._look_once_more(stage)
        if outcome.status is not Status.FINISHED:
            return self._finish(planned, stage, outcome) if self._how == ADOPT else None
        self._finish(planned, stage, outcome)
        return outcome if stage_is_done(self._plan, planned, stage) else None

    def _see_through(self, planned: PlannedStage, stage: StageState, process: StageProcess) -> Outcome:
        self._attend(planned, stage, process)
        stage.exit_code = process.exit_code
        outcome = judge_stage(self._layout, self._plan, planned, stage, stopped=self._stop is not None)
        if outcome.status is Status.STOPPED and self._stop_reason is not None:
            outcome = replace(outcome, message=f"{self._stop_reason} {where_it_goes_on(self._layout)}")
        return self._finish(planned, stage, outcome)

    def _keep_peak(self) -> None:
        """What the training needed, for the estimates to come. Another process knows the estimator."""
        if not self._plan.gpus or not self._state.metrics.get("gpu_peak_bytes"):
            return
        argv = [sys.executable, "-m", "sft_tui.plan.peaks", self._plan.project, self._plan.run, self._card]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=60, check=False)

    def _make_room(self) -> Outcome | None:
        """See that the GPU memory for the training is there, and wait for it if that was asked; why not to start."""
        self._meter = None
        if not self._plan.gpus:
            return None
        if self._plan.wait and self._plan.estimate is not None and not self._shrunk:
            for waiting in wait_for_room(self._plan):
                if waiting.over:
                    self._move_to(waiting)
                    break
                self._tell_waiting(waiting)
                self._answer_requests_while_waiting()
                if self._stop is not None:
                    return Outcome(Status.STOPPED, _("Stopped as asked, while it waited for GPU memory."))
        report = read_gpus()
        cards = cards_of(self._plan, report)
        self._meter, self._card = PeakMeter.start(cards), cards[0].name if cards else ""
        refused = None if self._shrunk else lacking(self._plan, report)
        return None if refused is None else Outcome(Status.FAILED, refused, ExitCode.PREFLIGHT)

    def _move_to(self, waiting: Waiting) -> None:
        """Use the cards that were waited for."""
        reason = _("The GPU memory that was waited for is free there")
        after = change(self._plan, Change(reason, gpus=waiting.gpus))
        put_in_force(self._plan, after, reason)
        self._plan, self._state.message = after, None
        self._state.move_to(Status.RUNNING)

    def _tell_waiting(self, waiting: Waiting) -> None:
        """Into the state at once, into the events now and then."""
        self._state.message = waiting_text(waiting)
        self._state.move_to(Status.WAITING)
        self._save(durable=False)
        if self._told is not None and waiting.waited_s - self._told < _TELL_S:
            return
        self._told = waiting.waited_s
        self._events.add(
            "progress",
            stage="wait",
            id="waiting",
            waited_s=round(waiting.waited_s, 1),
            needed_bytes=waiting.needed_bytes,
            free_bytes=waiting.best_free_bytes,
            ahead=waiting.ahead,
            message=self._state.message,
        )

    def _answer_requests_while_waiting(self) -> None:
        self._follow()
        for request in take_requests(self._layout):
            self._stop = request.kind

    def _start(self, planned: PlannedStage, stage: StageState) -> StageProcess:
        parts = inputs(self._plan, planned.name)
        attempt = prepare_attempt(self._layout, self._plan, planned, self._state, parts)
        for note, message in attempt.notes:
            self._events.add("warning", id=note, message=message, hint=None)
        for later in STAGES[STAGES.index(planned.name) + 1 :]:  # whatever they made, they made of something else
            if later in self._state.stages:
                self._state.stages[later].move_to(Status.PENDING)
        log = self._layout.project / planned.log
        with open_append(log, fresh=True) as stream:
            stream.write(f"$ {planned.shown or ' '.join(attempt.argv)}\n".encode("utf-8", "replace"))
        stage.attempt += 1
        stage.started, stage.finished, stage.exit_code = time.time(), None, None
        stage.parts, stage.made_from = parts, digest(parts)
        env = planned.env | {"PATH": commands.search_path(self._plan.environment.get("python"))}
        mark = Mark(self._layout.run_dir, planned.name, stage.attempt)
        process = StageProcess.start(attempt.argv, self._layout.project, env, log, mark)
        stage.move_to(Status.RUNNING)
        stage.process = process.reference
        self._save()
        fields = {"attempt": stage.attempt, "argv": list(attempt.argv), "log": planned.log}
        made = {"process": asdict(process.reference), "made_from": stage.made_from, "parts": parts}
        self._events.add("stage_started", stage=planned.name, **fields, from_step=attempt.from_step, **made)
        return process

    def _attend(self, planned: PlannedStage, stage: StageState, process: StageProcess) -> None:
        """Watch a stage until it has ended."""
        monitor = self._monitor(planned, stage)
        while not process.poll():
            if self._follow():
                process.moved_to(self._layout.run_dir)
                monitor = self._monitor(planned, stage)
            if self._gone:
                process.end()
                return
            self._answer_requests(planned, process)
            if monitor is not None and monitor.look():
                self._save(durable=False)
            if monitor is not None and monitor.must_stop is not None and self._stop is None:
                self._stop, self._stop_reason = RequestKind.STOP, monitor.must_stop
                self._state.message = monitor.must_stop
                self._stop_and_save(planned, process)
            self._end_what_does_not_stop(process)
            if process.has_left_nobody(commands.is_worker):
                process.end()  # as its keeper would have done
            time.sleep(_POLL_S)
        if monitor is not None and monitor.look():
            self._save()

    def _monitor(self, planned: PlannedStage, stage: StageState) -> Monitor | None:
        if planned.name != "train":
            return None
        return Monitor(self._layout, self._state, stage, self._events, self._meter, self._plan)

    def _look_once_more(self, stage: StageState) -> None:
        """Tell what a training has logged since its supervisor was lost."""
        if self._state.stage == "train":
            self._monitor_of(stage).look()

    def _monitor_of(self, stage: StageState) -> Monitor:
        """Of a training that is over."""
        return Monitor(self._layout, self._state, stage, self._events, None)

    def _answer_requests(self, planned: PlannedStage, process: StageProcess) -> None:
        for request in take_requests(self._layout):
            graceful = request.kind is RequestKind.STOP and planned.name == "train" and self._training_has_begun()
            if graceful and self._stop is None:
                self._stop_and_save(planned, process)
            elif not graceful:
                self._end(process, _QUICK_S if planned.name == "train" else 10.0)
            self._stop = request.kind

    def _stop_and_save(self, planned: PlannedStage, process: StageProcess) -> None:
        process.signal(commands.stop_signal(planned.argv), commands.is_worker)
        self._state.move_to(Status.STOPPING)
        self._save()
        self._saving_since = time.monotonic()
        message = _("Stopping at the next step and saving; what has not ended in {minutes} minutes is ended without.")
        text = message.format(minutes=f"{_SAVE_S / 60:.3g}")
        self._events.add("warning", id="stopping", message=text, hint=_("At once: sft-tui stop --now"))

    def _end_what_does_not_stop(self, process: StageProcess) -> None:
        """A training that hangs does not come to the end of its step."""
        if self._saving_since is None or time.monotonic() - self._saving_since < _SAVE_S:
            return
        self._saving_since = None
        message = _("The training did not stop by itself; it is ended, and what is saved are its checkpoints.")
        self._events.add("warning", id="stop_hangs", message=message, hint=None)
        self._end(process, _QUICK_S)

    def _end(self, process: StageProcess, patience_s: float) -> None:
        ending = process.end(patience_s)
        if ending.killed:
            text = _("Processes that had not ended {seconds} s after they were asked to were killed: {count}.")
            message = text.format(seconds=f"{patience_s:g}", count=ending.killed)
            self._events.add("warning", id="killed", message=message, hint=None)

    def _training_has_begun(self) -> bool:
        return commands.training_has_begun(_end_of(self._layout.stage_log("train"), 1 << 18))

    def _finish(self, planned: PlannedStage, stage: StageState, outcome: Outcome, *, diagnose: bool = True) -> Outcome:
        if planned.name == "export":
            started, finished = stage.status is Status.RUNNING, outcome.status is Status.FINISHED
            settle_export(self._layout, self._plan, started=started, finished=finished)
        stage.move_to(outcome.status)
        stage.finished = time.time()
        seconds = round(stage.finished - (stage.started or stage.finished), 1)
        if outcome.status is Status.FAILED:
            self._free_reserve()
        if outcome.status is Status.FAILED and diagnose:
            for diagnosis in explain_failure(self._layout, planned, stage):
                self._state.diagnoses.append(diagnosis)
                self._events.add("diagnosis", stage=planned.name, **diagnosis)
        fields = {"status": outcome.status.value, "exit_code": stage.exit_code, "seconds": seconds}
        self._events.add("stage_finished", stage=planned.name, **fields)
        self._save()  # after the event: who is killed in between says it twice, and not never
        return outcome

    def _save(self, *, durable: bool = True) -> None:
        """Write the state. Figures need not outlive a power failure: the disk is asked to wait only for a status."""
        with contextlib.suppress(OSError):  # a full disk must not end the run that could still finish
            write_state(self._layout, self._state, durable=durable)


def event_log(layout: RunLayout, plan: Plan) -> EventLog:
    """The run's events, told to the program that the answers name."""
    project = Path(plan.project)
    return EventLog(layout.events, Notifier(plan.notify, project, run=plan.run, project=str(project)).tell)


def _end_of(path: Path, size: int) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - size, 0))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def main(run_dir: str, how: str = "") -> int:
    """Carry out the plan in `run_dir` unless another supervisor does; the exit code is the run's.

    `how` is one of the ways of `run.lifecycle`, or empty: do all that is not done.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    layout = RunLayout.of_run_dir(Path(run_dir))
    try:
        open_append(layout.events).close()
        lock = open_lock(layout.lock)
    except NotAPlainFile as error:
        text = _("{path} cannot be written: {reason}.").format(path=error.filename, reason=error.strerror)
        sys.stderr.write(text + "\n")
        return int(ExitCode.PREFLIGHT)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stderr.write(f"{layout.name}: another supervisor is at work\n")
            return int(ExitCode.DONE)
        plan = read_plan(layout)
        if plan is None:
            sys.stderr.write(f"{layout.name}: its plan cannot be read\n")
            return int(ExitCode.USAGE)
        state = read_state(layout) or RunState(plan.run, created=time.time())
        try:
            return int(Supervisor(layout, plan, state, how).run())
        except Exception as error:  # noqa: BLE001 - the last line of defence: a run must never end without a word
            return _give_up(layout, plan, error)


def _give_up(layout: RunLayout, plan: Plan, error: Exception) -> int:
    """An error that nobody expected: its traceback into the supervisor's log, the rest into state and events."""
    traceback.print_exception(error)
    code = ExitCode.TRAIN
    text = _("sft-tui itself failed ({kind}: {error}); see {path}. Go on with: sft-tui resume {run}")
    message = text.format(kind=type(error).__name__, error=error, path=layout.supervisor_log, run=layout.name)
    state = read_state(layout)
    if state is not None:
        state.move_to(Status.FAILED)
        state.message, state.exit_code, state.finished = message, int(code), time.time()
        with contextlib.suppress(OSError):  # the end is told all the same
            write_state(layout, state)
    event_log(layout, plan).add("run_finished", status="failed", exit_code=int(code), message=message)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
