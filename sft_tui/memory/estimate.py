"""What a training run will need on its card, from `config.json` and LLaMA-Factory's options alone. Pure; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sft_tui.i18n import _
from sft_tui.memory.allocator import MIB
from sft_tui.memory.architecture import Architecture, read_architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.optimizer import Optimizer, read_optimizer
from sft_tui.memory.options import flag, number, read_setup
from sft_tui.memory.run_model import Outcome, Run

GIB = 2**30
CONTEXT_BYTES = 1247 * MIB
"""What NVML shows on an H100 (driver 580, CUDA 13) besides the allocator: the idle driver's 480 MiB and CUDA's context
with the kernels that a training run loads. Measured the same in 55 of 59 runs; smaller cards take less."""
INT8_CONTEXT_BYTES = 64 * MIB
"""More of it with 8-bit quantization (cuBLASLt's integer kernels), measured."""
KNOWN_MARGIN = 0.04
"""Relative error to be expected for architectures that are laid out here, from the calibration (`make bench`)."""
GENERIC_MARGIN = 0.15
"""The same for an architecture that is taken to be like Llama."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The need of one card. `peak_bytes` is what NVML will show; `parts` add up to it.

    `margin` is the relative error to be expected. `known` says whether the architecture's layers are known here.
    `notes` are sentences for the user about what is not known or surprising.
    """

    peak_bytes: int
    parts: dict[str, int]
    margin: float
    known: bool
    architecture: Architecture
    allocated_bytes: int
    notes: tuple[str, ...] = field(default=())

    @property
    def upper_bytes(self) -> int:
        """The peak with the margin on top: what must be free to say that it fits."""
        return int(self.peak_bytes * (1 + self.margin))

    @property
    def lower_bytes(self) -> int:
        """The least that it can need."""
        return int(self.peak_bytes * (1 - self.margin))


class Fit(StrEnum):
    """Whether a run fits. `TIGHT`: within the error of the estimate, or only just."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "no"
    UNKNOWN = "unknown"


def judge(estimate: Estimate | None, memory_bytes: int | None) -> Fit:
    """Whether `estimate` fits in `memory_bytes`: a card's total, or what is free of it plus what the driver itself holds.

    `FITS` is said only where the peak with its margin is within.
    """
    if estimate is None or not memory_bytes:
        return Fit.UNKNOWN
    if estimate.upper_bytes <= memory_bytes:
        return Fit.FITS
    return Fit.TIGHT if estimate.lower_bytes <= memory_bytes else Fit.NO


def estimate(
    config: Mapping[str, Any], options: Mapping[str, Any], *, gpus: int = 1, longest: int | None = None
) -> Estimate:
    """The need of each of `gpus` cards for a run of `options` on the model of `config`.

    `longest` is the longest sample in tokens, where it is known: shorter data needs less than `cutoff_len` allows.
    Raises `Refusal` where `config` is not that of a decoder-only language model.
    """
    shape = read_architecture(config)
    setup = read_setup(options, shape, longest=longest)
    accumulation = number(options, "gradient_accumulation_steps", 1)
    outcome = _simulate(shape, setup, read_optimizer(options), min(2, accumulation))
    context = CONTEXT_BYTES + (INT8_CONTEXT_BYTES if setup.quantization_bit == 8 else 0)
    parts = _parts(outcome, context)
    return Estimate(
        peak_bytes=outcome.reserved + context,
        parts=parts,
        margin=KNOWN_MARGIN if shape.known else GENERIC_MARGIN,
        known=shape.known,
        architecture=shape,
        allocated_bytes=outcome.peak_allocated + context,
        notes=_notes(shape),
    )


@lru_cache(maxsize=512)
def _simulate(shape: Architecture, setup: Setup, optimizer: Optimizer, accumulation: int) -> Outcome:
    return Run(shape, setup, optimizer, accumulation).simulate()


def _parts(outcome: Outcome, context: int) -> dict[str, int]:
    """Where the memory goes. What is not live at the peak (gradients beside the loss) counts as activations."""
    rest = outcome.peak_allocated - outcome.weights - outcome.adapter - outcome.optimizer
    gradients = min(outcome.gradients, max(0, rest - outcome.loss))
    loss = min(outcome.loss, max(0, rest - gradients))
    parts = {
        "weights": outcome.weights,
        "adapter": outcome.adapter,
        "gradients": gradients,
        "optimizer": outcome.optimizer,
        "logits": loss,
        "activations": rest - gradients - loss,
        "allocator": outcome.reserved - outcome.peak_allocated,
        "context": context,
    }
    return {name: size for name, size in parts.items() if size > 0}


def _notes(shape: Architecture) -> tuple[str, ...]:
    if shape.known:
        return ()
    text = _("{name} is not known here: it is taken to be built like Llama, so the estimate is rougher.")
    return (text.format(name=shape.model_type),)


__all__ = ["CONTEXT_BYTES", "GIB", "Estimate", "Fit", "estimate", "flag", "judge", "number"]
