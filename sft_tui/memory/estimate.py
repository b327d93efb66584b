"""What a training run will need on its card, from `config.json` and LLaMA-Factory's options alone. Pure; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sft_tui.machine.gpus import DRIVER_BYTES
from sft_tui.memory.allocator import MIB
from sft_tui.memory.architecture import Architecture, read_architecture
from sft_tui.memory.errors import expected_error, remarks
from sft_tui.memory.layer import Setup
from sft_tui.memory.optimizer import Optimizer, read_optimizer
from sft_tui.memory.options import number, read_evaluation, read_setup, require_estimable
from sft_tui.memory.run_model import Outcome, Run
from sft_tui.memory.sharding import apply_sharding, read_sharding, sharded_setup
from sft_tui.memory.varying import held_in_the_end

CONTEXT_BYTES = 1247 * MIB
"""What NVML shows on an H100 (driver 580, CUDA 13) besides the allocator: the idle driver's 480 MiB and CUDA's context
with the kernels that a training run loads. Measured the same in 55 of 59 runs; smaller cards take less."""
INT8_CONTEXT_BYTES = 64 * MIB
"""More of it with 8-bit quantization (cuBLASLt's integer kernels), measured."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The need of one card. `peak_bytes` is what NVML will show; `parts` add up to it.

    `margin` is the relative error to be expected. `known` says whether the architecture's layers are known here.
    `notes` are sentences for the user about what is not known or surprising. `held_bytes`, where the samples' lengths
    are known, is what NVML will show in the end: PyTorch keeps the blocks of shorter batches until memory runs short.
    """

    peak_bytes: int
    parts: dict[str, int]
    margin: float
    known: bool
    architecture: Architecture
    allocated_bytes: int
    notes: tuple[str, ...] = field(default=())
    held_bytes: int | None = None

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


def judge(estimate: Estimate | None, memory_bytes: int | None, *, free: bool = False) -> Fit:
    """Whether `estimate` fits in `memory_bytes`: a card's total, or with `free` what is free of it now.

    `FITS` is said only where the peak with its margin is within.
    """
    if estimate is None or not memory_bytes:
        return Fit.UNKNOWN
    room = memory_bytes + (DRIVER_BYTES if free else 0)
    if estimate.upper_bytes <= room:
        return Fit.FITS
    return Fit.TIGHT if estimate.lower_bytes <= room else Fit.NO


def estimate(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    gpus: int = 1,
    longest: int | None = None,
    lengths: Sequence[int] | None = None,
    where: str = "",
) -> Estimate:
    """The need of each of `gpus` cards for a run of `options` on the model of `config`.

    `longest` is the longest sample in tokens, where it is known: shorter data needs less than `cutoff_len` allows.
    `lengths` are those of all samples, or of enough of them; they give `held_bytes` too, and take longer to evaluate.
    Raises `Refusal` where `config` is not that of a decoder-only language model, and for values that no run could have,
    with their keys behind `where` (`train.`). Any other exception is a bug.
    """
    require_estimable(options, where)
    shape = read_architecture(config)
    setup = read_setup(options, shape, longest=max(lengths) if lengths else longest)
    sharding = read_sharding(options, gpus)
    optimizer = read_optimizer(options)
    accumulation = min(2, number(options, "gradient_accumulation_steps", 1)) if setup.method != "lora" else 1
    evaluation = read_evaluation(options, setup)
    if sharding.stage:
        setup, optimizer = sharded_setup(setup), Optimizer("none")
    outcome = _simulate(shape, setup, optimizer, accumulation, evaluation)
    context = CONTEXT_BYTES + (INT8_CONTEXT_BYTES if setup.quantization_bit == 8 else 0)
    parts = _parts(outcome, context)
    apply_sharding(parts, sharding, outcome)
    peak = sum(parts.values())
    held = None
    if lengths and not setup.masked and not setup.packed and len(set(lengths)) > 1:
        grown = held_in_the_end(shape, setup, optimizer, lengths) + context
        held = max(peak, grown) if not sharding.stage else None
    return Estimate(
        peak_bytes=peak,
        parts=parts,
        margin=expected_error(shape, setup, options, gpus),
        known=shape.known,
        architecture=shape,
        allocated_bytes=peak - parts.get("allocator", 0),
        notes=remarks(shape, setup, options, gpus),
        held_bytes=held,
    )


def _simulate(
    shape: Architecture, setup: Setup, optimizer: Optimizer, accumulation: int, evaluation: Setup | None
) -> Outcome:
    """The run's outcome, such that a larger adapter never needs less.

    Larger matrices happen to lie better in the allocator's segments at times; then the smaller adapter's figure is
    taken. Ranks that are no power of two lie between their neighbours.
    """

    def at(rank: int) -> Outcome:
        outcome = _run(shape, replace(setup, rank=rank), optimizer, accumulation, evaluation)
        if rank <= _SMALL_RANK:
            return outcome
        return replace(outcome, reserved=max(outcome.reserved, at(rank // 2).reserved))

    power = 1 << (setup.rank - 1).bit_length()
    if setup.method != "lora" or setup.rank <= _SMALL_RANK:
        return _run(shape, setup, optimizer, accumulation, evaluation)
    upper = at(power)
    if power == setup.rank:
        return upper
    lower, share = at(power // 2), 2 * setup.rank / power - 1
    return Outcome(*(int(low + (high - low) * share) for low, high in zip(astuple(lower), astuple(upper), strict=True)))


_SMALL_RANK = 8
"""Up to this rank an adapter's matrices are too small to matter to the large segments."""


@lru_cache(maxsize=512)
def _run(
    shape: Architecture, setup: Setup, optimizer: Optimizer, accumulation: int, evaluation: Setup | None
) -> Outcome:
    return Run(shape, setup, optimizer, accumulation, evaluation).simulate()


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
