"""How long a training will take, as a range, from the model's arithmetic and the card's speed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sft_tui.factory.length import is_packed, optimizer_steps, packed_sequences
from sft_tui.memory.architecture import Architecture, read_architecture
from sft_tui.memory.options import flag, number, read_setup
from sft_tui.memory.weights import count_active_parameters

CARD_TFLOPS = {
    "B200": 2250.0, "H200": 989.0, "H100": 989.0, "H800": 989.0, "H20": 148.0, "A100": 312.0, "A800": 312.0,
    "L40S": 362.0, "L40": 181.0, "L20": 119.0, "L4": 121.0, "A40": 150.0, "A30": 165.0, "A10": 125.0, "A6000": 155.0,
    "6000 Ada": 364.0, "RTX 5090": 210.0, "RTX 5080": 113.0, "RTX 4090": 165.0, "RTX 4080": 97.0, "RTX 4070": 58.0,
    "RTX 4060": 30.0, "RTX 3090": 71.0, "RTX 3080": 60.0, "RTX 3060": 26.0, "V100": 112.0, "T4": 65.0,
}  # fmt: skip
"""Dense 16-bit matrix throughput with fp32 accumulation, from the makers' data sheets."""
BEST_SHARE, WORST_SHARE = 0.5, 0.2
"""Between these shares of the peak were the measured runs whose micro-batches were large enough to fill an H100."""
LAUNCH_S = 0.0115
"""Seconds a layer that launching the kernels of a LoRA micro-batch takes whatever it holds, with checkpointing (0.27 s
for 24 layers, 0.36-0.38 s for 28, measured on a 16-core host); slower processors take up to twice that."""
CORE_GFLOPS = (8.0, 60.0)
"""What a processor's core does of a training's arithmetic in float32: a busy or old one, and an idle new one. Measured
on two cores with AVX-512: 23-55 with models of 0.1-0.5B parameters."""
CORE_LAYER_S = (0.002, 0.01)
"""Seconds that a layer of a micro-batch takes on a processor whatever it holds (measured: 0.007 with two layers)."""


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """The training loop's time in seconds as a range. `tokens` are those of all epochs, padding not counted.

    `seconds_low` and `seconds_high` are None where the card's speed is unknown.
    """

    seconds_low: float | None
    seconds_high: float | None
    steps: int
    tokens: int


def card_tflops(name: str | None) -> float | None:
    """The peak of the card called `name` (NVML's name), or None where it is not in the table."""
    if not name:
        return None
    found = [key for key in CARD_TFLOPS if key.lower().replace(" ", "") in name.lower().replace(" ", "")]
    return CARD_TFLOPS[max(found, key=len)] if found else None


def count_steps(options: Mapping[str, Any], samples: int, mean_tokens: float, *, gpus: int = 1) -> tuple[int, int]:
    """Optimizer steps of the run, and micro-batches of one card."""
    sequences = packed_sequences(options, samples, [math.ceil(mean_tokens)]) if is_packed(options) else samples
    steps = optimizer_steps(options, sequences, gpus) or 1
    return steps, steps * max(1, number(options, "gradient_accumulation_steps", 1))


def estimate_time(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    samples: int,
    mean_tokens: float,
    gpu_name: str | None = None,
    gpus: int = 1,
    cpus: int = 0,
    seconds_per_step: float | None = None,
) -> TimeEstimate:
    """The time to train on `samples` of `mean_tokens` each, on cards or on so many cores of the processor.

    A measured `seconds_per_step` replaces the arithmetic.
    """
    shape = read_architecture(config)
    steps, micro_batches = count_steps(options, samples, mean_tokens, gpus=gpus)
    kept = min(mean_tokens, number(options, "cutoff_len", 2048))
    accumulated = micro_batches * max(1, number(options, "per_device_train_batch_size", 8)) * gpus
    rows_tokens = kept
    if is_packed(options):
        rows_tokens = float(number(options, "cutoff_len", 2048))
    tokens = int(accumulated * rows_tokens)
    if seconds_per_step is not None:
        return TimeEstimate(seconds_per_step * steps * 0.95, seconds_per_step * steps * 1.1, steps, tokens)
    if cpus:
        work = tokens * flops_per_token(shape, options, rows_tokens) / (cpus * 1e9)
        slow, fast = (work / speed for speed in CORE_GFLOPS)
        quick, long = (micro_batches * shape.layers * seconds for seconds in CORE_LAYER_S)
        return TimeEstimate(max(fast, quick), slow + long, steps, tokens)
    peak = card_tflops(gpu_name)
    if peak is None:
        return TimeEstimate(None, None, steps, tokens)
    work = tokens / max(1, gpus) * flops_per_token(shape, options, rows_tokens) / (peak * 1e12)
    launch = micro_batches * shape.layers * LAUNCH_S * (1.0 if _lora(options) else 0.7)
    if flag(options, "disable_gradient_checkpointing"):
        launch *= 0.7
    return TimeEstimate(max(work / BEST_SHARE, launch * 0.8), max(work / WORST_SHARE, launch * 2), steps, tokens)


def flops_per_token(shape: Architecture, options: Mapping[str, Any], length: float) -> float:
    """Floating-point operations to train on one token: two a parameter forwards, two more for the gradient of its
    input, two for its own where it is trained, two for running it again with checkpointing; and the attention's pairs.
    """
    setup = read_setup(options, shape)
    passes = 2 + (0 if _lora(options) else 1) + (1 if setup.checkpointing else 0)
    pairs = 2 * shape.layers * shape.query * length
    return 2.0 * passes * count_active_parameters(shape) + pairs * (passes + 0.5)


def _lora(options: Mapping[str, Any]) -> bool:
    return str(options.get("finetuning_type") or "lora") not in ("full", "freeze")
