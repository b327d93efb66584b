"""Live alarms: what goes wrong in a training that still runs, from its metrics and the machine's state.

Each alarm is raised once, and again only after it has cleared. Nothing here reads files or asks a device: the
supervisor gives metrics to `observe` and, every few seconds, the machine's figures to `tick`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from sft_tui.factory.trainer_log import Metric
from sft_tui.i18n import _

ALARM_IDS = (
    "loss_nan",
    "loss_zero",
    "loss_rising",
    "grad_norm",
    "stalled",
    "throughput",
    "eval_rising",
    "host_memory",
    "disk",
)
_RECENT = 5
_HISTORY = 40
_RISE = 1.5
_GRAD_FACTOR = 20.0
_GRAD_LEAST = 10.0
_STALL_FACTOR = 10.0
_STALL_UNKNOWN_S = 900.0
_STALL_BUSY_S = 1800.0
"""Ranks that wait for one another keep their GPUs busy, as a long evaluation does."""
_GPU_IDLE_PERCENT = 5.0
_EVALS_RISING = 3
_LITTLE_MEMORY_BYTES = 1 * 1024**3
_LITTLE_DISK_BYTES = 2 * 1024**3
_CLEAR = 1.5
_SLOW_STEP_S = 0.5
"""Steps quicker than this are never called slow: their times are mostly noise."""
_TRAINER_CLOCK_S = 5.0
"""The trainer's own clock shows whole seconds: from here on it is exact enough to tell a pace."""
_LATE_S = 2.0
"""A line that was read so much later than it was written tells nothing by the time of the reading."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that needs a look: a stable `id` (one of `ALARM_IDS`), what is seen, what to do; translated."""

    id: str
    message: str
    hint: str


class Alarms:
    """Watches one training. Times are seconds of any one clock; memory and disk are bytes.

    `stall_least_s`: a silence below it is never an alarm (saving a checkpoint leaves the GPU idle, too). `on_gpu` says
    whether the training uses a GPU at all.
    """

    def __init__(self, stall_least_s: float = 60.0, *, on_gpu: bool = True) -> None:
        self._stall_least_s = stall_least_s
        self._on_gpu = on_gpu
        self._active: set[str] = set()
        self._step: int | None = None
        self._step_at: float | None = None
        self._paced: tuple[int, float, float | None] | None = None
        self._step_seconds: deque[float] = deque(maxlen=_HISTORY)
        self._intervals: deque[float] = deque(maxlen=_HISTORY)
        self._losses: deque[float] = deque(maxlen=_HISTORY)
        self._grad_norms: deque[float] = deque(maxlen=_HISTORY)
        self._evals: list[float] = []
        self._rates: deque[float] = deque(maxlen=_HISTORY)

    @property
    def active(self) -> frozenset[str]:
        """The ids of the alarms that were raised and have not cleared."""
        return frozenset(self._active)

    def observe(self, metric: Metric, now: float) -> list[Alarm]:
        """Take in one log step that was read at `now`; the alarms that it raises."""
        if self._step is not None and metric.step < self._step:
            self._begin_again()
        seconds = self._seconds_since_pace(metric, now)
        alarms = [
            self._loss_is_no_number(metric),
            self._loss_is_zero(metric),
            self._loss_rises(metric),
            self._eval_rises(metric),
            self._slows_down(metric, seconds),
        ]
        if metric.grad_norm is not None:
            alarms += self.observe_grad_norm(metric.grad_norm)
        self._take_step(metric, now, seconds)
        return [alarm for alarm in alarms if alarm is not None]

    def observe_grad_norm(self, norm: float) -> list[Alarm]:
        """Take in one gradient norm (before clipping)."""
        usual = median(self._grad_norms) if len(self._grad_norms) >= _RECENT else None
        exploding = usual is not None and (
            not math.isfinite(norm) or (norm > _GRAD_FACTOR * usual and norm > _GRAD_LEAST)
        )
        if math.isfinite(norm) and not exploding:
            self._grad_norms.append(norm)
        alarm = self._switch(
            "grad_norm",
            exploding,
            _("The gradient norm jumped to {value} (usually about {usual}).").format(
                value=f"{norm:.4g}", usual=f"{usual or 0:.3g}"
            ),
            _("Lower learning_rate or max_grad_norm, and look for broken samples."),
        )
        return [] if alarm is None else [alarm]

    def tick(
        self,
        now: float,
        gpu_utilisation: float | None = None,
        host_memory_free: int | None = None,
        disk_free: int | None = None,
    ) -> list[Alarm]:
        """Look at the clock and the machine (None: unknown): percent of the busiest GPU, free memory and disk."""
        alarms = [self._stands_still(now, gpu_utilisation)]
        if host_memory_free is not None:
            alarms.append(self._memory_ends(host_memory_free))
        if disk_free is not None:
            alarms.append(self._disk_ends(disk_free))
        return [alarm for alarm in alarms if alarm is not None]

    def _switch(self, name: str, on: bool, message: str, hint: str) -> Alarm | None:
        """Raise the alarm where it is new; clear it where it is off."""
        if not on:
            self._active.discard(name)
            return None
        if name in self._active:
            return None
        self._active.add(name)
        return Alarm(name, message, hint)

    def _begin_again(self) -> None:
        """Steps went back: the training was resumed or restarted, and what was usual need not be so now."""
        self._step, self._step_at, self._paced = None, None, None
        for series in (self._step_seconds, self._intervals, self._losses, self._grad_norms, self._rates):
            series.clear()
        self._evals.clear()
        self._active -= {"stalled", "throughput", "loss_rising", "eval_rising", "grad_norm"}

    def _take_step(self, metric: Metric, now: float, seconds: float | None) -> None:
        if self._paced is not None and seconds is not None and metric.step > self._paced[0]:
            self._intervals.append(seconds)
            self._step_seconds.append(seconds / (metric.step - self._paced[0]))
        if self._paced is None or seconds is not None:
            self._paced = metric.step, now, metric.elapsed_s
        self._step, self._step_at = metric.step, now
        self._active.discard("stalled")

    def _seconds_since_pace(self, metric: Metric, now: float) -> float | None:
        """Seconds since the last log step whose time is known; None where that of this one is not.

        The trainer's own clock tells it where it can; lines that were read together, or long after they were written
        (as when a supervisor takes over), have no time of their own.
        """
        if self._paced is None:
            return None
        _step, at, elapsed = self._paced
        theirs = None if elapsed is None or metric.elapsed_s is None else metric.elapsed_s - elapsed
        if theirs is not None and theirs >= _TRAINER_CLOCK_S:
            return theirs
        ours = now - at
        late = theirs is not None and ours > max(theirs, 0.0) + _LATE_S
        return None if ours <= 0 or late else ours

    def _loss_is_no_number(self, metric: Metric) -> Alarm | None:
        values = [value for value in (metric.loss, metric.eval_loss) if value is not None]
        if not values:
            return None
        bad = any(not math.isfinite(value) for value in values)
        return self._switch(
            "loss_nan",
            bad,
            _("The loss is {value} at step {step}: the training is lost from here on.").format(
                value=next((str(v) for v in values if not math.isfinite(v)), ""), step=metric.step
            ),
            _("Stop it. Train in bf16 instead of fp16, with a lower learning_rate; check labels and versions."),
        )

    def _loss_is_zero(self, metric: Metric) -> Alarm | None:
        if metric.loss is None:
            return None
        return self._switch(
            "loss_zero",
            metric.loss == 0.0,
            _("The loss is exactly 0 at step {step}: no token is learned from.").format(step=metric.step),
            _("Stop it. Look at the labels in the preview, at the template and at cutoff_len; use bf16, not fp16."),
        )

    def _loss_rises(self, metric: Metric) -> Alarm | None:
        if metric.loss is None or not math.isfinite(metric.loss):
            return None
        self._losses.append(metric.loss)
        losses = list(self._losses)
        if len(losses) < 2 * _RECENT:
            return None
        middles = [median(losses[i : i + _RECENT]) for i in range(len(losses) - _RECENT + 1)]
        lowest, now = min(middles), middles[-1]
        return self._switch(
            "loss_rising",
            now > lowest * _RISE and now > lowest + 0.1,
            _("The loss rises: about {now} now, {lowest} before.").format(now=f"{now:.3f}", lowest=f"{lowest:.3f}"),
            _("Lower learning_rate (by a factor of 3 to 10) or add warmup; resume from an earlier checkpoint."),
        )

    def _eval_rises(self, metric: Metric) -> Alarm | None:
        if metric.eval_loss is None or not math.isfinite(metric.eval_loss):
            return None
        self._evals = [*self._evals[-_EVALS_RISING:], metric.eval_loss]
        last = self._evals[-(_EVALS_RISING + 1) :]
        rising = len(last) > _EVALS_RISING and all(a < b for a, b in pairwise(last))
        return self._switch(
            "eval_rising",
            rising,
            _("The evaluation loss rose {count} times in a row, to {value}: it begins to learn by heart.").format(
                count=_EVALS_RISING, value=f"{metric.eval_loss:.3f}"
            ),
            _("Stop here and take the checkpoint with the lowest evaluation loss, or train fewer epochs."),
        )

    def _slows_down(self, metric: Metric, seconds: float | None) -> Alarm | None:
        """The rate between two log steps."""
        rate = self._rate(metric, seconds)
        if rate is None:
            return None
        self._rates.append(rate)
        if len(self._rates) < 2 * _RECENT:
            return None
        usual = median(list(self._rates)[:-_RECENT])
        recent = median(list(self._rates)[-_RECENT:])
        return self._switch(
            "throughput",
            recent < usual / 2 and recent < 1 / _SLOW_STEP_S,
            _("The training runs at less than half its speed: {now} s a step now, {usual} s before.").format(
                now=f"{1 / recent:.2f}" if recent else "-", usual=f"{1 / usual:.2f}" if usual else "-"
            ),
            _("Look for other processes on the GPU, for its temperature, and for a slow disk.")
            if self._on_gpu
            else _("Look for other programs that use the processor, and for a slow disk."),
        )

    def _rate(self, metric: Metric, seconds: float | None) -> float | None:
        """Steps per second since the last log step; evaluations in between are left out."""
        if metric.loss is None or self._paced is None or not seconds or metric.step <= self._paced[0]:
            return None
        return (metric.step - self._paced[0]) / seconds

    def _stands_still(self, now: float, gpu_utilisation: float | None) -> Alarm | None:
        """No new log step for one usual interval and ten usual steps.

        It takes longer without a GPU's figure, and longest where the GPU is busy.
        """
        if self._step_at is None or not self._step_seconds:
            return None
        usual, interval = median(self._step_seconds), median(self._intervals)
        silent = now - self._step_at
        limit = max(self._stall_least_s, interval + (_STALL_FACTOR - 1) * usual)
        busy = gpu_utilisation is not None and gpu_utilisation >= _GPU_IDLE_PERCENT
        if gpu_utilisation is None or busy:
            limit = max(limit, _STALL_BUSY_S if busy else _STALL_UNKNOWN_S, _STALL_FACTOR * interval)
        hint = _("Look at the log; a rank may have died or wait for the disk. Stop it and resume from the checkpoint.")
        if gpu_utilisation is None:
            text = _("No step for {seconds} s (usually {usual} s a step).")
        elif busy:
            text = _("No step for {seconds} s though the GPU is busy (usually {usual} s a step).")
            hint = _("It may evaluate for long, or ranks wait for one that hangs: look at the log before you stop it.")
        else:
            text = _("No step for {seconds} s, and the GPU is idle (usually {usual} s a step).")
        return self._switch("stalled", silent > limit, text.format(seconds=round(silent), usual=f"{usual:.2f}"), hint)

    def _memory_ends(self, free: int) -> Alarm | None:
        limit = _LITTLE_MEMORY_BYTES * (_CLEAR if "host_memory" in self._active else 1.0)
        return self._switch(
            "host_memory",
            free < limit,
            _("Only {free} GiB of main memory are left; the kernel may kill the training.").format(
                free=f"{free / 1024**3:.1f}"
            ),
            _("End other programs; use fewer preprocessing_num_workers and dataloader_num_workers."),
        )

    def _disk_ends(self, free: int) -> Alarm | None:
        limit = _LITTLE_DISK_BYTES * (_CLEAR if "disk" in self._active else 1.0)
        return self._switch(
            "disk",
            free < limit,
            _("Only {free} GiB of disk are left; the next checkpoint may not fit.").format(
                free=f"{free / 1024**3:.1f}"
            ),
            _("Free space now; the training goes on meanwhile. Set save_total_limit next time."),
        )
