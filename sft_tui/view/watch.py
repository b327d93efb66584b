"""What there is to see of a run, as frozen snapshots: read from its files, whoever wrote them and whenever."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.project.events import Event, parse_event
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState, Status, present_status, read_state
from sft_tui.project.tail import Tail
from sft_tui.view.curves import Curve, Series
from sft_tui.view.outcome import lacked_memory
from sft_tui.view.pace import Pace

if TYPE_CHECKING:
    from sft_tui.factory.trainer_log import Metric, TrainerLog
    from sft_tui.machine.gpus import Gpu, GpuReport

STAGES = ("convert", "train", "export", "verify")
GPU_EVERY_S = 2.0
MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class StageView:
    """How a stage stands. `seconds` is how long it ran or has been running, None before it started."""

    name: str
    status: Status
    attempt: int = 0
    exit_code: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning that the supervisor gave."""

    id: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The last of each figure of the training; None is not known (yet). Seconds, shares from 0 to 100."""

    step: int | None = None
    total_steps: int | None = None
    percent: float | None = None
    epoch: float | None = None
    epochs: float | None = None
    learning_rate: float | None = None
    tokens_per_s: float | None = None
    step_s: float | None = None
    remaining_s: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment. `status` is the true one: `lost` where everything that should run is gone.

    `gpus` are the cards that the run uses, empty for a run on the CPU (`on_cpu`) or where NVML gives none
    (`gpu_reason` says why). `message`, `diagnoses` (JSON of `factory.failures`) and `exit_code` are the state's.
    """

    run: str
    status: Status
    stage: str | None = None
    stages: tuple[StageView, ...] = ()
    figures: Figures = field(default_factory=Figures)
    train_loss: Curve = field(default_factory=Curve)
    eval_loss: Curve = field(default_factory=Curve)
    learning_rate: Curve = field(default_factory=Curve)
    warnings: tuple[Remark, ...] = ()
    diagnoses: tuple[Mapping[str, Any], ...] = ()
    message: str | None = None
    exit_code: int | None = None
    on_cpu: bool = False
    gpus: tuple[Gpu, ...] = ()
    gpu_reason: str | None = None
    model: str = ""
    dataset: str = ""
    created: float = 0.0
    finished: float | None = None
    supervised: bool = True
    eval_strategy: str | None = None
    eval_steps: int | None = None
    problem: str | None = None

    @property
    def alive(self) -> bool:
        """Whether something still happens."""
        return not self.status.final

    @property
    def lacked_memory(self) -> bool:
        """Whether the training was not started because the card's memory seemed too small."""
        return lacked_memory(self.status, self.exit_code, self.stage)

    def why_no_eval(self) -> str:
        """Why there is no evaluation loss yet, in a few words."""
        if self.eval_strategy in (None, "no"):
            return _("off")
        if self.eval_strategy == "epoch":
            return _("after each epoch")
        return _("at step {step}").format(step=self.eval_steps) if self.eval_steps else _("not yet")

    @property
    def failed_stage(self) -> StageView | None:
        """The stage that a failed, stopped or lost run ended in."""
        ended = (Status.FAILED, Status.STOPPED, Status.LOST)
        named = next((s for s in self.stages if s.status in ended), None)
        return named or next((s for s in self.stages if s.name == self.stage), None)


class RunWatch:
    """Reads the files of one run. `poll` looks at what is new and gives a snapshot; use it from one thread.

    `read_gpus` is asked at most every `GPU_EVERY_S` while the run is on. A run that is not there gives a snapshot whose
    `problem` says so.
    """

    def __init__(
        self,
        layout: RunLayout,
        *,
        read_gpus: Callable[[], GpuReport] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.layout = layout
        self._now = now
        self._read_gpus = read_gpus
        self._gpu_report: GpuReport | None = None
        self._gpu_read_at = 0.0
        self._plan: Mapping[str, Any] = {}
        self._plan_mark: tuple[int, ...] = ()
        self._history = History()
        self._trainer_log: TrainerLog | None = None
        self._events = Tail(layout.events)
        self._warnings: deque[Remark] = deque(maxlen=MAX_WARNINGS)
        self._state: RunState | None = None

    def poll(self) -> Snapshot:
        """The run now."""
        state = self._read_state()
        if state is None:
            return Snapshot(self.layout.name, Status.PENDING, problem="no_state")
        self._read_plan()
        self._read_events()
        while new := self._new_metrics():
            self._history.extend(new, self._now())
        return self._snapshot(state)

    def _read_plan(self) -> None:
        """The plan as it is now: a run that waited or ran out of memory has another one than it began with."""
        try:
            status = self.layout.plan.stat()
        except OSError:
            return
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        if mark != self._plan_mark:
            plan = read_json(self.layout.plan)
            self._plan, self._plan_mark = plan if isinstance(plan, dict) else {}, mark

    def _read_events(self) -> None:
        """What the events say beyond the state; most of them are figures, which the trainer log has as well."""
        while lines := self._events.poll():
            for line in lines:
                if b'"warning"' in line or b'_started"' in line:
                    event = parse_event(line)
                    if event is not None:
                        self._take(event)

    def _read_state(self) -> RunState | None:
        """The state; the last good one while it cannot be read, unless the run's directory was removed or renamed."""
        state = read_state(self.layout)
        if state is not None or not self.layout.run_dir.is_dir():
            self._state = state
        return self._state

    def _new_metrics(self) -> list[Metric]:
        if self._trainer_log is None:
            from sft_tui.factory.trainer_log import TrainerLog

            self._trainer_log = TrainerLog(self._trainer_log_path())
        resets, metrics = self._trainer_log.resets, list(self._trainer_log.poll())
        if self._trainer_log.resets != resets:
            self._history = History()
        return metrics

    def _trainer_log_path(self) -> Path:
        from sft_tui.factory.commands import TRAINER_LOG

        output = self._option("output_dir")
        usable = isinstance(output, str) and "\0" not in output
        folder = self.layout.project / output if usable else self.layout.save_dir
        return folder / TRAINER_LOG

    def _option(self, key: str) -> Any:
        options = self._plan.get("train_options")
        return options.get(key) if isinstance(options, dict) else None

    def _take(self, event: Event) -> None:
        if event.get("type") == "run_started":
            self._warnings.clear()
        elif event.get("type") == "warning":
            remark = Remark(str(event.get("id", "")), str(event.get("message", "")), event.get("hint"))
            if remark not in self._warnings:
                self._warnings.append(remark)
        elif event.get("type") == "stage_started" and event.get("stage") == "train":
            self._history.attempt()

    def _snapshot(self, state: RunState) -> Snapshot:
        status = present_status(state)
        gpus = self._plan.get("gpus")
        on_cpu = isinstance(gpus, list) and not gpus
        alive = not status.final
        report = self._gpus() if alive and not on_cpu else None
        chosen = gpus if isinstance(gpus, list) else []
        mine = tuple(g for g in report.gpus if not chosen or g.index in chosen) if report else ()
        return Snapshot(
            run=state.run,
            status=status,
            stage=state.stage,
            stages=tuple(self._stages(state, status)),
            figures=self._figures(state, alive),
            train_loss=self._history.train.curve(),
            eval_loss=self._history.eval.curve(),
            learning_rate=self._history.rate.curve(),
            warnings=tuple(self._warnings),
            diagnoses=tuple(state.diagnoses),
            message=state.message,
            exit_code=state.exit_code,
            on_cpu=on_cpu,
            gpus=mine,
            gpu_reason=report.reason if report else None,
            model=state.model,
            dataset=state.dataset,
            created=state.created,
            finished=state.finished,
            supervised=state.supervisor is not None and state.supervisor.alive(),
            eval_strategy=strategy if isinstance(strategy := self._option("eval_strategy"), str) else None,
            eval_steps=steps if isinstance(steps := self._option("eval_steps"), int) else None,
        )

    def _stages(self, state: RunState, status: Status) -> list[StageView]:
        listed = self._plan.get("stages")
        planned = [str(s.get("name")) for s in listed if isinstance(s, dict)] if isinstance(listed, list) else []
        names = planned or list(state.stages) or list(STAGES)
        return [self._stage(name, state.stages.get(name) or StageState(), status) for name in names]

    def _stage(self, name: str, stage: StageState, status: Status) -> StageView:
        shown = Status.LOST if stage.status is Status.RUNNING and status is Status.LOST else stage.status
        seconds = None
        if stage.started is not None:
            seconds = max(0.0, (stage.finished or self._now()) - stage.started)
        return StageView(name, shown, stage.attempt, stage.exit_code, seconds)

    def _figures(self, state: RunState, alive: bool) -> Figures:
        history, known = self._history, state.metrics
        step = history.step if history.step is not None else _whole(known.get("step"))
        total = history.total_steps or _whole(known.get("total_steps"))
        training = alive and state.stage == "train"
        epochs = self._option("num_train_epochs")
        return Figures(
            step=step,
            total_steps=total,
            percent=step / total * 100 if step is not None and total else None,
            epoch=history.epoch if history.epoch is not None else known.get("epoch"),
            epochs=float(epochs) if isinstance(epochs, int | float) else None,
            learning_rate=history.rate.curve().last,
            tokens_per_s=history.tokens_per_s or known.get("tokens_per_s"),
            step_s=history.step_s(),
            remaining_s=history.remaining_s(self._now()) if training else None,
        )

    def _gpus(self) -> GpuReport | None:
        if self._read_gpus is None:
            return None
        now = self._now()
        if self._gpu_report is None or now - self._gpu_read_at >= GPU_EVERY_S:
            self._gpu_report, self._gpu_read_at = self._read_gpus(), now
        return self._gpu_report


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


class History:
    """The curves of a training and how fast it goes, from the records of LLaMA-Factory's trainer log."""

    def __init__(self) -> None:
        self.train, self.eval, self.rate = Series(), Series(), Series()
        self.step: int | None = None
        self.total_steps: int | None = None
        self.epoch: float | None = None
        self.tokens_per_s: float | None = None
        self._pace = Pace()
        self._updated = 0.0

    def attempt(self) -> None:
        """A new attempt begins: the speed of the one before says nothing about it."""
        self._pace.clear()

    def extend(self, metrics: list[Metric], now: float) -> None:
        """Take in new records; `now` is when they were read."""
        for metric in metrics:
            self._add(metric)
            self._updated = now

    def _add(self, metric: Metric) -> None:
        step = int(metric.step)
        if metric.loss is not None:
            self.train.add(step, metric.loss)
        if metric.eval_loss is not None:
            self.eval.add(step, metric.eval_loss)
        if metric.learning_rate is not None:
            self.rate.add(step, metric.learning_rate)
        self.total_steps = metric.total_steps or self.total_steps
        self.epoch = metric.epoch if metric.epoch is not None else self.epoch
        self.tokens_per_s = metric.throughput or self.tokens_per_s
        self._pace.add(step, metric.elapsed_s)
        self.step = step

    def step_s(self) -> float | None:
        """Seconds a step over the last records of this attempt; None before two of them are a second apart."""
        return self._pace.step_s()

    def remaining_s(self, now: float) -> float | None:
        """Seconds to the last step at that pace, less the time since the last record."""
        pace = self.step_s()
        if pace is None or self.step is None or not self.total_steps:
            return None
        return max(0.0, (self.total_steps - self.step) * pace - max(0.0, now - self._updated))
