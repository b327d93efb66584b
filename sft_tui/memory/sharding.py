"""Several cards: what each holds of weights, gradients and optimizer states, by DeepSpeed's ZeRO stages or without.

From the ZeRO paper (Rajbhandari et al., 2020) and DeepSpeed's documentation: with 16-bit training each trained weight
has 2 bytes, its gradient 2, and the optimizer an fp32 copy and two fp32 states, 12 bytes. Stage 1 divides the 12,
stage 2 also the gradients, stage 3 also the weights. Not measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sft_tui.memory.layer import Setup
from sft_tui.memory.run_model import Outcome

NCCL_BYTES = 500 << 20
"""Channels and buffers of NCCL beside the context."""
BUCKET_ELEMENTS = 500_000_000
"""DeepSpeed's default `reduce_bucket_size` and `allgather_bucket_size`."""
LIVE_ELEMENTS = 1_000_000_000
"""DeepSpeed's default `stage3_max_live_parameters`."""


@dataclass(frozen=True, slots=True)
class Sharding:
    """ZeRO `stage` (0: none) over `cards`; whether states and weights are offloaded to the main memory."""

    stage: int
    cards: int
    offload_optimizer: bool = False
    offload_parameters: bool = False


def read_sharding(options: Mapping[str, Any], gpus: int) -> Sharding:
    """The sharding that `options` ask for: a DeepSpeed config, or the name of a file that tells its stage."""
    value = options.get("deepspeed")
    if not value:
        return Sharding(0, max(1, gpus))
    if not isinstance(value, Mapping):
        name = Path(str(value)).name.lower()
        stage = next((n for n in (3, 2, 1) if f"z{n}" in name or f"zero{n}" in name), 2)
        offload = "offload" in name
        return Sharding(stage, max(1, gpus), offload, offload and stage == 3)
    zero = value.get("zero_optimization")
    zero = zero if isinstance(zero, Mapping) else {}
    number = zero.get("stage")

    def offloads(key: str) -> bool:
        where = zero.get(key)
        return isinstance(where, Mapping) and where.get("device", "none") != "none"

    offload = offloads("offload_optimizer")
    return Sharding(number if isinstance(number, int) else 0, max(1, gpus), offload, offloads("offload_param"))


def sharded_setup(setup: Setup) -> Setup:
    """DeepSpeed trains the weights in 16 bits; the fp32 copies are the optimizer's."""
    return replace(setup, trainable_width=2)


def apply_sharding(parts: dict[str, int], sharding: Sharding, outcome: Outcome) -> None:
    """Change `parts` to what one card holds."""
    cards = sharding.cards
    if not sharding.stage:
        if cards > 1:
            parts["parallel"] = outcome.gradients + NCCL_BYTES
        return
    trained = outcome.gradients // 2
    bucket = min(trained, BUCKET_ELEMENTS) * 2
    parts["optimizer"] = 0 if sharding.offload_optimizer else trained * 12 // cards
    if sharding.stage >= 2:
        parts["gradients"] = parts.get("gradients", 0) // cards
    parts["parallel"] = bucket * 2 + (NCCL_BYTES if cards > 1 else 0)
    if sharding.stage == 3:
        whole = parts["weights"]
        live = min(whole, LIVE_ELEMENTS * 2)
        parts["weights"] = live if sharding.offload_parameters else min(whole, whole // cards + live)
    for name in [name for name, size in parts.items() if not size]:
        del parts[name]
