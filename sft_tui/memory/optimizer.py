"""What the optimizers keep for each weight that is trained, and what a step of theirs takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sft_tui.memory.options import flag, number

BLOCK = 256
"""bitsandbytes quantizes states in blocks of so many."""
SMALLEST_8BIT = 4096
"""Tensors with fewer elements keep 32-bit states in bitsandbytes' 8-bit optimizers."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """`states(count, width, ...)` are the sizes of a weight's states, `scratch` what a step takes for the weight."""

    kind: str
    rank: int = 0

    def states(self, count: int, width: float, *, embedding: bool = False) -> list[int]:
        """Bytes of each state of a weight of `count` elements of `width` bytes."""
        match self.kind:
            case "none":
                return []
            case "one":
                return [int(count * width)]
            case "adafactor":
                return []
            case "8bit" if count >= SMALLEST_8BIT and not embedding:
                return [count, count, -(-count // BLOCK) * 4, -(-count // BLOCK) * 4]
            case "8bit":
                return [count * 4, count * 4]
            case _:
                return [int(count * width), int(count * width)]

    def scratch(self, count: int, width: float) -> list[int]:
        """Bytes of what a step holds at once for such a weight: Adafactor squares the gradient in fp32."""
        if self.kind == "adafactor":
            return [count * 4] * (2 if width == 4 else 4)
        return []


def read_optimizer(options: Mapping[str, Any]) -> Optimizer:
    """The optimizer that `options` choose (transformers' names; LLaMA-Factory's GaLore, APOLLO and BAdam switches)."""
    name = str(options.get("optim") or "adamw_torch")
    if flag(options, "use_galore") or flag(options, "use_apollo") or "galore" in name or "apollo" in name:
        return Optimizer("low_rank", number(options, "galore_rank", 16))
    if "8bit" in name:
        return Optimizer("8bit")
    if name == "adafactor":
        return Optimizer("adafactor")
    if name.startswith(("lion", "paged_lion", "adagrad", "rmsprop")):
        return Optimizer("one")
    if name == "sgd":
        return Optimizer("none")
    return Optimizer("adam")
