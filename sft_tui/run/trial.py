"""A short trial run on the longest samples, which tells a training's true need before the long one starts."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.machine.gpus import Gpu, GpuReport, read_gpus, visible_environment
from sft_tui.problems import refuse
from sft_tui.run.measure import PeakMeter
from sft_tui.run.processes import StageProcess
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.plan.context import Situation
    from sft_tui.project.plan_record import Plan

TRIAL_STEPS = 3
_LEFT_OUT = ("LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR", "TENSORBOARD_LOGGING_DIR", "CUDA_VISIBLE_DEVICES")


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


def measure(situation: Situation, plan: Plan, folder: Path) -> tuple[Trial, int | None]:
    """Convert the data into `folder`, train on its longest rows there; the trial and PyTorch's peak in bytes."""
    from sft_tui.factory import commands
    from sft_tui.factory.train_config import render_train_config
    from sft_tui.factory.trainer_log import read_metrics
    from sft_tui.plan.gpu_headroom import cards_of

    _longest_data(plan, situation, folder)
    options = trial_options(plan.train_options, "longest", folder, folder / "out")
    if situation.model.directory is not None:
        options["model_name_or_path"] = str(situation.model.directory)
    if options.get("deepspeed"):
        options["deepspeed"] = _deepspeed_here(plan, options["deepspeed"], folder)
    config = folder / commands.TRAIN_CONFIG
    config.write_text(render_train_config(options, "measure"), encoding="utf-8")
    stage = plan.stage("train")
    env = {key: value for key, value in (stage.env if stage else {}).items() if key not in _LEFT_OUT}
    env["PATH"] = commands.search_path(plan.environment["python"])
    gpus = cards_of(plan, read_gpus())
    cli = tuple(plan.environment["cli"])
    trial = run_trial(commands.train_argv(cli, str(config)), folder, gpus, folder / "log", env=env)
    metrics = read_metrics(folder / "out" / commands.TRAINER_LOG)
    reserved = max((m.vram_reserved for m in metrics if m.vram_reserved), default=None)
    return trial, int(reserved * GIB) if reserved else None


def _deepspeed_here(plan: Plan, value: object, folder: Path) -> object:
    """`value` of `deepspeed` so that it is found from `folder`: the plan's own file is not written yet."""
    own = next((file for file in plan.files if file.path == value), None)
    if own is None:
        given = Path(plan.project) / str(value)
        return str(given) if isinstance(value, str) and given.is_file() else value
    path = folder / Path(own.path).name
    path.write_text(own.content, encoding="utf-8")
    return str(path)


def _longest_data(plan: Plan, situation: Situation, folder: Path) -> None:
    """The dataset `longest` in `folder`: the longest samples, as many as the steps take, repeated if need be."""
    from sft_tui.factory.dataset_info import entries_for, register
    from sft_tui.plan.conversion import convert_and_register, requests_of

    results = [
        convert_and_register(replace(request, out_dir=folder, name=f"all{number}", test_size=0, before=()))
        for number, request in enumerate(requests_of(plan))
        if request.side == "train"
    ]
    wanted = trial_rows(plan.train_options) * max(1, len(plan.gpus))
    result = max(results, key=lambda made: max((length for length, _line in _lengths(made.train)), default=0))
    rows = longest(_lengths(result.train), wanted)
    if not rows:
        raise refuse("source_empty", _("The data has no row to measure with."), key="data.source")
    rows = (rows * (wanted // len(rows) + 1))[:wanted]
    train = folder / "longest_train.jsonl"
    train.write_bytes(b"".join(row.rstrip(b"\n") + b"\n" for row in rows))
    entries = entries_for("longest", replace(result, train=train, test=None, test_rows=0))
    register(folder, {name.removesuffix("_train"): entry for name, entry in entries.items()})


def _lengths(path: Path) -> Iterator[tuple[int, bytes]]:
    """Length in bytes and text of each line; lines of Chinese and of English need about as many tokens a byte."""
    with path.open("rb") as stream:
        for line in stream:
            yield len(line), line
