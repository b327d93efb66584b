"""The owner of a run: `python -m sft_tui.run.supervisor RUN_DIR`, in a session of its own, until the run has ended.

It starts the stages, writes state.json and events.jsonl, and answers requests. No terminal and no front end is needed.
If it is killed, the trainer goes on, kept by its keeper, and the next supervisor adopts it.
"""

from __future__ import annotations

import contextlib
import fcntl
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
from sft_tui.plan.gpu_headroom import cards_of
from sft_tui.plan.inputs import digest, inputs
from sft_tui.problems import ExitCode
from sft_tui.project.files import NotAPlainFile, open_append, open_lock
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import STAGES, Plan, PlannedStage
from sft_tui.project.state import RunState, StageState, Status, read_state, write_state
from sft_tui.run.attempt import prepare_attempt, settle_export
from sft_tui.run.attendance import Attendance
from sft_tui.run.desk import Desk, event_log
from sft_tui.run.leftovers import Mark, in_the_way
from sft_tui.run.lifecycle import ADOPT, EXPORT, read_plan
from sft_tui.run.measure import PeakMeter
from sft_tui.run.outcome import Outcome, explain_failure, judge_stage, stage_is_done, where_it_goes_on
from sft_tui.run.processes import StageProcess
from sft_tui.run.retries import crash_may_pass, smaller_plan, waits_between
from sft_tui.run.room import Room

_FAILED_STAGE_EXIT = {
    "convert": ExitCode.PREFLIGHT,
    "train": ExitCode.TRAIN,
    "export": ExitCode.EXPORT,
    "verify": ExitCode.VERIFY,
}


class Supervisor:
    """Carries out one plan."""

    def __init__(self, layout: RunLayout, plan: Plan, state: RunState, how: str = "") -> None:
        self._desk = Desk(layout, plan, state)
        self._state = state
        self._how = how
        self._room = Room(self._desk)
        self._shrunk = 0
        self._crash_waits = waits_between(plan.restart_on_crash)

    def run(self) -> ExitCode:
        """Do every stage that is not done yet. Returns what the run ends with."""
        began = time.time()
        self._desk.begin()
        outcome = Outcome(Status.FINISHED)
        for name in STAGES[STAGES.index(EXPORT) if self._how == EXPORT else 0 :]:
            outcome = self._until_it_ends(name)
            if outcome.status is not Status.FINISHED:
                break
        code = outcome.exit_code or self._exit_code(outcome.status)
        if outcome.status is Status.FINISHED:
            outcome = self._as_trained()
        self._desk.end(outcome.status, int(code), outcome.message, seconds=round(time.time() - began, 1))
        return code

    def _as_trained(self) -> Outcome:
        """How a run has ended whose stages have: an adapter that was exported may be that of half a training."""
        train = self._state.stages.get("train", StageState())
        if train.status is Status.FINISHED:
            return Outcome(Status.FINISHED)
        status = train.status if train.status is Status.FAILED else Status.STOPPED
        half = _("Exported, though the training has not finished. ")
        return Outcome(status, half + where_it_goes_on(self._desk.layout))

    def _exit_code(self, status: Status) -> ExitCode:
        if status is Status.FINISHED:
            return ExitCode.DONE
        return ExitCode.INTERRUPTED if status is Status.STOPPED else _FAILED_STAGE_EXIT[self._state.stage or "train"]

    def _until_it_ends(self, name: str) -> Outcome:
        """Do a stage of the plan, again where that is allowed and may help."""
        while True:
            planned = self._desk.plan.stage(name)
            if planned is None:
                return Outcome(Status.FINISHED)
            self._desk.follow()
            if self._desk.stop is not None:
                return Outcome(Status.STOPPED, _("Stopped as asked, before {stage}.").format(stage=name))
            outcome = self._stage(planned)
            if outcome.status is not Status.FAILED or name != "train":
                return outcome
            if not self._shrink() and not self._sit_out_crash():
                return outcome

    def _shrink(self) -> bool:
        """Make the settings smaller after a GPU ran out of memory, if that was allowed; whether to try again."""
        smaller = smaller_plan(self._desk.layout, self._desk.plan, self._state, self._shrunk)
        if smaller is None:
            return False
        self._desk.plan, said = smaller
        self._shrunk += 1
        self._state.metrics.pop("gpu_peak_bytes", None)
        self._state.diagnoses = []
        message = _("The GPU memory did not suffice; trying again with {change}.").format(change=said)
        self._desk.warn("oom_retry", message)
        return True

    def _sit_out_crash(self) -> bool:
        """Wait a while after a crash that may pass by itself, if that was allowed; whether to try again."""
        if not self._crash_waits or not crash_may_pass(self._state):
            return False
        wait_s = self._crash_waits.pop(0)
        text = _("The training crashed; it is started again in {seconds} s. Starts left after that: {count}.")
        message = text.format(seconds=round(wait_s), count=len(self._crash_waits))
        self._state.message, self._state.diagnoses = message, []
        self._desk.save()
        self._desk.warn("crash_retry", message)
        self._desk.wait(wait_s)
        self._state.message = None
        return True

    def _stage(self, planned: PlannedStage) -> Outcome:
        stage = self._state.stages.setdefault(planned.name, StageState())
        if stage_is_done(self._desk.plan, planned, stage):
            return Outcome(Status.FINISHED)
        self._state.stage = planned.name
        if stage.status is Status.RUNNING and stage.process is not None:
            outcome = self._take_over(planned, stage)
            if outcome is not None:
                return outcome
        else:
            stage.move_to(Status.PENDING)
        obstacle = in_the_way(self._desk.layout, self._state)
        if obstacle is not None:
            return self._finish(planned, stage, Outcome(Status.FAILED, obstacle, ExitCode.PREFLIGHT), diagnose=False)
        if planned.name == "train":
            held_up = self._room.make(made_smaller=bool(self._shrunk))
            if held_up is not None:
                return self._finish(planned, stage, held_up, diagnose=False)
            planned = self._desk.plan.stage("train") or planned
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
        plan, layout = self._desk.plan, self._desk.layout
        process = StageProcess.adopt(stage.process, layout.exit_marker(planned.name, stage.attempt))
        if not process.poll():
            if planned.name == "train":
                self._room.meter = PeakMeter.start(cards_of(plan, read_gpus()), own=process.pids())
            return self._see_through(planned, stage, process)
        stage.exit_code = process.exit_code
        outcome = judge_stage(layout, plan, planned, stage, stopped=False)
        if planned.name == "train":
            self._desk.tell_what_was_logged(stage)
        if outcome.status is not Status.FINISHED:
            return self._finish(planned, stage, outcome) if self._how == ADOPT else None
        self._finish(planned, stage, outcome)
        return outcome if stage_is_done(plan, planned, stage) else None

    def _see_through(self, planned: PlannedStage, stage: StageState, process: StageProcess) -> Outcome:
        desk = self._desk
        Attendance(desk, planned, stage, process, self._room.meter).to_the_end()
        stage.exit_code = process.exit_code
        outcome = judge_stage(desk.layout, desk.plan, planned, stage, stopped=desk.stop is not None)
        if outcome.status is Status.STOPPED and desk.stop_reason is not None:
            outcome = replace(outcome, message=f"{desk.stop_reason} {where_it_goes_on(desk.layout)}")
        return self._finish(planned, stage, outcome)

    def _keep_peak(self) -> None:
        """What the training needed, for the estimates to come. Another process knows the estimator."""
        plan = self._desk.plan
        if not plan.gpus or not self._state.metrics.get("gpu_peak_bytes"):
            return
        argv = [sys.executable, "-m", "sft_tui.plan.peaks", plan.project, plan.run, self._room.card]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=60, check=False)

    def _start(self, planned: PlannedStage, stage: StageState) -> StageProcess:
        layout, plan = self._desk.layout, self._desk.plan
        parts = inputs(plan, planned.name)
        attempt = prepare_attempt(layout, plan, planned, self._state, parts)
        for note, message in attempt.notes:
            self._desk.warn(note, message)
        for later in STAGES[STAGES.index(planned.name) + 1 :]:  # whatever they made, they made of something else
            if later in self._state.stages:
                self._state.stages[later].move_to(Status.PENDING)
        log = layout.project / planned.log
        with open_append(log, fresh=True) as stream:
            stream.write(f"$ {planned.shown or ' '.join(attempt.argv)}\n".encode("utf-8", "replace"))
        stage.attempt += 1
        stage.started, stage.finished, stage.exit_code = time.time(), None, None
        stage.parts, stage.made_from = parts, digest(parts)
        env = planned.env | {"PATH": commands.search_path(plan.environment.get("python"))}
        mark = Mark(layout.run_dir, planned.name, stage.attempt)
        process = StageProcess.start(attempt.argv, layout.project, env, log, mark)
        stage.move_to(Status.RUNNING)
        stage.process = process.reference
        self._desk.save()
        fields = {"attempt": stage.attempt, "argv": list(attempt.argv), "log": planned.log}
        made = {"process": asdict(process.reference), "made_from": stage.made_from, "parts": parts}
        self._desk.events.add("stage_started", stage=planned.name, **fields, from_step=attempt.from_step, **made)
        return process

    def _finish(self, planned: PlannedStage, stage: StageState, outcome: Outcome, *, diagnose: bool = True) -> Outcome:
        desk = self._desk
        if planned.name == "export":
            started, finished = stage.status is Status.RUNNING, outcome.status is Status.FINISHED
            settle_export(desk.layout, desk.plan, started=started, finished=finished)
        stage.move_to(outcome.status)
        stage.finished = time.time()
        if outcome.status is Status.FAILED:
            desk.free_reserve()
        if outcome.status is Status.FAILED and diagnose:
            for diagnosis in explain_failure(desk.layout, planned, stage):
                self._state.diagnoses.append(diagnosis)
                desk.events.add("diagnosis", stage=planned.name, **diagnosis)
        desk.tell_end_of_stage(planned.name, stage)
        desk.save()  # after the event: who is killed in between says it twice, and not never
        return outcome


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
