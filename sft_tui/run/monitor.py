"""Watching a training by the file that LLaMA-Factory writes: metrics into the state and the events."""

from __future__ import annotations

import contextlib
import time

from sft_tui.factory.commands import TRAINER_LOG
from sft_tui.factory.trainer_log import GradNorms, Metric, TrainerLog
from sft_tui.i18n import _
from sft_tui.machine.gpus import read_gpus
from sft_tui.project.events import EventLog
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.project.state import RunState, StageState
from sft_tui.run.alarms import Alarm, Alarms
from sft_tui.run.disk_guard import DiskGuard
from sft_tui.run.measure import PeakMeter
from sft_tui.units import size_text

_FIGURES = {
    "step": "step",
    "total_steps": "total_steps",
    "loss": "loss",
    "eval_loss": "eval_loss",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "percent": "percent",
    "elapsed_s": "elapsed_s",
    "remaining_s": "remaining_s",
    "throughput": "tokens_per_s",
    "total_tokens": "total_tokens",
    "vram_reserved": "vram_reserved_gib",
}
_TICK_S = 5.0
_READING_S = 1.0


class Monitor:
    """Turns new lines of trainer_log.jsonl into events and the state's figures, and raises alarms.

    `must_stop` says in a sentence why the training has to be stopped with saving before it fails; None: it need not.
    """

    def __init__(
        self,
        layout: RunLayout,
        state: RunState,
        stage: StageState,
        events: EventLog,
        meter: PeakMeter | None,
        plan: Plan | None = None,
    ) -> None:
        self._layout = layout
        self._state = state
        self._stage = stage
        self._skip = stage.lines_read
        self._events = events
        self._meter = meter
        self._log = TrainerLog(layout.save_dir / TRAINER_LOG)
        self._norms = GradNorms(layout.stage_log("train"))
        self._alarms = Alarms(on_gpu=plan is None or bool(plan.gpus))
        self._guard = None if plan is None else DiskGuard(layout.save_dir, plan.train_options, plan.disk)
        self.must_stop: str | None = None
        self._last_tick = self._last_reading = time.monotonic()
        self._loads: list[float] = []

    def look(self) -> bool:
        """Read what is new; whether there was anything."""
        resets = self._log.resets
        new = self._log.poll()
        if self._log.resets != resets:  # the trainer began a new file: nothing of it is known
            self._skip = self._stage.lines_read = 0
        known = min(self._skip, len(new))
        self._skip -= known
        now = time.monotonic()  # of all that was read together
        for metric in new[known:]:
            self._record(metric, now)
        self._stage.lines_read += len(new) - known
        for norm in self._norms.poll():
            self._raise(self._alarms.observe_grad_norm(norm))
        if self._meter is not None and now - self._last_reading >= _READING_S:
            self._last_reading = now
            self._read_cards(self._meter)
        if now - self._last_tick >= _TICK_S:
            self._last_tick = now
            with contextlib.suppress(OSError):  # a disk that does not answer now will be asked again
                self._raise(self._alarms.tick(now, *self._machine()))
        self._look_at_disk()
        return len(new) > known

    def _record(self, metric: Metric, now: float) -> None:
        figures = {
            name: value for field, name in _FIGURES.items() if (value := getattr(metric, field, None)) is not None
        }
        self._state.metrics.update(figures)
        if metric.loss is not None:
            self._state.metrics.setdefault("first_loss", metric.loss)
        if metric.eval_loss is not None:
            self._state.metrics.setdefault("first_eval_loss", metric.eval_loss)
        progress = {k: figures[k] for k in ("step", "total_steps", "percent", "epoch", "remaining_s") if k in figures}
        self._events.add("progress", stage="train", **progress)
        if metric.loss is not None or metric.eval_loss is not None:
            self._events.add("metric", **{k: v for k, v in figures.items() if k not in ("percent", "remaining_s")})
        self._raise(self._alarms.observe(metric, now))

    def _read_cards(self, meter: PeakMeter) -> None:
        """The peak so far into the state, and how busy the cards are."""
        report = read_gpus()
        peak = meter.look(report)
        if peak is not None:
            known = self._state.metrics.get("gpu_peak_bytes", 0)
            self._state.metrics["gpu_peak_bytes"] = max(known, peak)
        cards = [gpu for gpu in report.gpus if gpu.uuid in meter.uuids]
        self._loads = [gpu.utilisation for gpu in cards if gpu.utilisation is not None]

    def _machine(self) -> tuple[float | None, int, int]:
        """Load of the busiest of the run's GPUs in percent (None: unknown), free memory and free disk in bytes."""
        import shutil

        import psutil

        free_disk = shutil.disk_usage(self._layout.project).free
        return max(self._loads, default=None), psutil.virtual_memory().available, free_disk

    def _look_at_disk(self) -> None:
        """Whether what is still to be saved has room."""
        import shutil

        step, total = self._state.metrics.get("step"), self._state.metrics.get("total_steps")
        if self._guard is None or self.must_stop is not None or step is None or total is None:
            return
        try:
            free = shutil.disk_usage(self._layout.project).free
            need = self._guard.lacking(free, int(step), int(total))
        except OSError:  # a disk that does not answer now will be asked again
            return
        if need is None:
            return
        text = _(
            "The disk has {free} free, and what is still to be saved takes {need}: stopping while it can be saved."
        )
        self.must_stop = text.format(free=size_text(free), need=size_text(need))
        hint = _("Free space, then go on with: sft-tui resume {run}").format(run=self._layout.name)
        self._events.add("warning", id="disk_stop", message=self.must_stop, hint=hint)

    def _raise(self, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            self._events.add("warning", id=alarm.id, message=alarm.message, hint=alarm.hint)
