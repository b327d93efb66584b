"""Measuring a run's true peak on the card, and a short trial run that tells it before the long one starts."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.machine.gpus import Gpu, GpuReport, read_gpus, visible_environment
from sft_tui.run.processes import StageProcess

TRIAL_STEPS = 3


@dataclass(slots=True)
class PeakMeter:
    """The largest memory that a run's cards have shown, in bytes, less what others held on them when it began.

    `peak_bytes` counts the driver's own share as the estimate does. None until a card was read.
    """

    uuids: tuple[str, ...]
    others_bytes: dict[str, int]
    peak_bytes: int | None = None

    @classmethod
    def start(cls, gpus: Sequence[Gpu], own: Collection[int] = ()) -> PeakMeter:
        """A meter for `gpus`, which the run does not use yet, or only by its processes `own`."""
        others = {
            gpu.uuid: sum(process.memory_bytes or 0 for process in gpu.processes if process.pid not in own)
            for gpu in gpus
        }
        return cls(tuple(gpu.uuid for gpu in gpus), others)

    def look(self, report: GpuReport) -> int | None:
        """Take a reading; the peak so far."""
        for gpu in report.gpus:
            if gpu.uuid in self.uuids:
                own = max(0, gpu.used_bytes - self.others_bytes.get(gpu.uuid, 0))
                self.peak_bytes = max(self.peak_bytes or 0, own)
        return self.peak_bytes


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial run's outcome. `peak_bytes` is None where no card could be read; `log` holds what the program said.

    `memory_bytes` is the most main memory that its processes had together, None where that cannot be read.
    `too_slow` says that it was ended because the time was over.
    """

    peak_bytes: int | None
    exit_code: int | None
    seconds: float
    log: Path
    memory_bytes: int | None = None
    too_slow: bool = False


def longest(rows: Iterable[tuple[int, bytes]], count: int) -> list[bytes]:
    """The `count` rows with the largest length, of pairs of length and row; in flat memory."""
    return [row for _length, _number, row in heapq.nlargest(count, _numbered(rows))]


def _numbered(rows: Iterable[tuple[int, bytes]]) -> Iterable[tuple[int, int, bytes]]:
    for number, (length, row) in enumerate(rows):
        yield length, -number, row


def trial_rows(options: Mapping[str, Any]) -> int:
    """How many samples a trial needs: all of its steps full of the longest."""
    batch = int(options.get("per_device_train_batch_size") or 1)
    return TRIAL_STEPS * batch * int(options.get("gradient_accumulation_steps") or 1)


def trial_options(options: Mapping[str, Any], dataset: str, dataset_dir: Path, output_dir: Path) -> dict[str, Any]:
    """`options` for three steps on `dataset` that write nothing worth keeping; where they evaluate, it does so once."""
    kept = {key: value for key, value in options.items() if key not in _NOT_IN_A_TRIAL}
    if str(options.get("eval_strategy") or "no") != "no":
        kept |= {"eval_dataset": dataset, "eval_strategy": "steps", "eval_steps": TRIAL_STEPS}
    return kept | {
        "dataset": dataset,
        "dataset_dir": str(dataset_dir),
        "output_dir": str(output_dir),
        "max_steps": TRIAL_STEPS,
        "max_samples": None,
        "logging_steps": 1,
        "save_strategy": "no",
        "plot_loss": False,
        "report_to": "none",
        "overwrite_output_dir": True,
    }


_NOT_IN_A_TRIAL = frozenset(
    {
        *("num_train_epochs", "val_size", "eval_dataset", "eval_strategy", "eval_steps", "eval_on_each_dataset"),
        *("resume_from_checkpoint", "load_best_model_at_end", "early_stopping_steps", "predict_with_generate"),
        *("push_to_hub", "hub_model_id", "save_steps"),
    }
)


def run_trial(
    argv: Sequence[str],
    cwd: Path,
    gpus: Sequence[Gpu],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    limit_s: float = 900.0,
    read: Callable[[], GpuReport] = read_gpus,
    every_s: float = 0.2,
) -> Trial:
    """Run `argv` on `gpus` and watch their memory until it ends or `limit_s` is over (then it is ended).

    Without `gpus` it sees none, and only the main memory is watched.
    """
    meter = PeakMeter.start(gpus)
    started = time.monotonic()
    process = StageProcess.start(argv, cwd, {**visible_environment(gpus), **(env or {})}, log)
    memory: int | None = None
    too_slow = False
    try:
        while not process.poll():
            if gpus:
                meter.look(read())
            memory = max(process.memory_bytes(), memory or 0) or None
            too_slow = time.monotonic() - started > limit_s
            if too_slow:
                break
            time.sleep(every_s)
    finally:
        process.end()
    return Trial(meter.peak_bytes, process.exit_code, time.monotonic() - started, log, memory, too_slow)
