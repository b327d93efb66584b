"""Estimates against what real runs took on an H100, beside LLaMA-Factory's own table for the same runs."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Iterable

from benchmarks.measuring import say, verdict
from benchmarks.memory.rows import CALIBRATION, MEASURED, Row, read_rows
from sft_tui.memory import estimate
from sft_tui.memory.architecture import read_architecture
from sft_tui.memory.estimate import _run
from sft_tui.memory.weights import count_parameters

MEAN_PERCENT, MOST_PERCENT = 3.0, 10.0
"""Bounds on the calibration rows."""
CALL_MS = 50.0


def main(argv: list[str]) -> bool:
    """Print the table and the figures; whether they hold."""
    calibration, further = list(read_rows(CALIBRATION)), list(read_rows(MEASURED))
    errors = table("Calibration runs", calibration, show="--quick" not in argv)
    table("Further runs (small models traced, presets on a capped card)", further, show="--quick" not in argv)
    sizes = [100 * (readme_bytes(row) / row.peak_nvml - 1) for row in calibration]
    say(f"  LLaMA-Factory's README: mean {mean(sizes):.1f} %, {min(sizes):+.0f} to {max(sizes):+.0f} %")
    beside_vramcalc(calibration)
    return all(
        [
            verdict("mean error on the calibration runs", mean(errors), MEAN_PERCENT, " %"),
            verdict("largest error on the calibration runs", max(map(abs, errors)), MOST_PERCENT, " %"),
            verdict("a call, median", call_ms(calibration), CALL_MS, " ms"),
        ]
    )


def mean(errors: Iterable[float]) -> float:
    """Mean of the absolute values."""
    return statistics.fmean(abs(error) for error in errors)


def table(title: str, rows: list[Row], *, show: bool) -> list[float]:
    """Print estimate and measurement of each row; the errors in percent."""
    say(title)
    errors = []
    for row in rows:
        found = estimate(row.config, row.options).peak_bytes
        errors.append(100 * (found / row.peak_nvml - 1))
        if show:
            say(f"  {found / 2**30:6.2f} GiB  measured {row.peak_nvml / 2**30:6.2f}  {errors[-1]:+5.1f} %  {row.name}")
    say(f"  {len(rows)} rows: mean {mean(errors):.2f} %, {min(errors):+.1f} to {max(errors):+.1f} %")
    return errors


def readme_bytes(row: Row) -> float:
    """What LLaMA-Factory's README says: so many GB for each billion parameters, whatever batch and length."""
    billions = count_parameters(read_architecture(row.config)) / 1e9
    bits, method = int(row.options.get("quantization_bit", 16)), row.options.get("finetuning_type", "lora")
    if method == "full":
        return billions * (8 if row.options.get("pure_bf16") else 18) * 1e9
    return billions * {4: 0.5, 8: 1.0}.get(bits, 2.0) * 1e9


def beside_vramcalc(rows: list[Row]) -> None:
    """The same rows by vramcalc, where it is installed; it answers only some of them."""
    try:
        vramcalc = importlib.import_module("vramcalc")
    except ImportError:
        say("  vramcalc is not installed here (pip install vramcalc==0.1.2)")
        say("  it answers 20 of the rows, mean 5.0 %, -24 to +11 %")
        return
    errors, ours = [], []
    for row in rows:
        options = row.options
        if any(options.get(key) for key in ("quantization_bit", "enable_liger_kernel", "freeze_trainable_layers")):
            continue
        whole = options.get("finetuning_type") == "full"
        try:
            found = vramcalc.estimate(
                row.config,
                mode="train",
                batch=options["per_device_train_batch_size"],
                seq_len=options["cutoff_len"],
                lora_rank=None if whole else options["lora_rank"],
                grad_checkpoint=not options.get("disable_gradient_checkpointing"),
                precision="amp" if whole and not options.get("pure_bf16") else "pure",
            )
        except ValueError:
            continue
        errors.append(100 * ((found.total + found.overhead) / row.peak_nvml - 1))
        ours.append(100 * (estimate(row.config, options).peak_bytes / row.peak_nvml - 1))
    say(
        f"  vramcalc: {len(errors)} rows, mean {mean(errors):.1f} %, {min(errors):+.0f} to {max(errors):+.0f} %; "
        f"ours on these: {mean(ours):.2f} %"
    )


def call_ms(rows: list[Row]) -> float:
    """Median time of an estimate that was not made before."""
    times = []
    for row in rows:
        rounds = []
        for _round in range(3):
            _run.cache_clear()
            started = time.perf_counter()
            estimate(row.config, row.options)
            rounds.append((time.perf_counter() - started) * 1000)
        times.append(min(rounds))
    return statistics.median(times)
