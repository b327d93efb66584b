"""How many columns LLM.int8() takes out of a product: what its memory depends on beyond the shapes.

bitsandbytes computes the columns of an input that hold a value above 6 in 16 bits. Behind a norm there are hardly any;
in front of `down_proj` the product of gate and up has heavy tails. With weights of the usual spread (0.02) both are
normal with 0.02 * sqrt(hidden), which tells how likely a value above 6 is. How many tokens differ enough to count was
measured on one 28-layer run (a half, growing with depth); real text and trained weights vary, so the margin is wider.
"""

from __future__ import annotations

import math
from functools import lru_cache

SPREAD = 0.02
THRESHOLD = 6.0
DISTINCT = 0.5
FIRST_LAYER = 0.22


@lru_cache(maxsize=64)
def chance_of_outlier(hidden: int) -> float:
    """The chance that `silu(gate) * up` exceeds the threshold, for a model of this width."""
    spread = SPREAD * math.sqrt(hidden)
    total, steps = 0.0, 240
    for step in range(steps):
        z = -6 + 12 * (step + 0.5) / steps
        gate = abs(z * spread / (1 + math.exp(-z * spread)))
        if gate > 1e-9:
            density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * 12 / steps
            total += density * math.erfc(THRESHOLD / (gate * spread * math.sqrt(2)))
    return total


def _share(hidden: int, tokens: float) -> float:
    return -math.expm1(tokens * DISTINCT * math.log1p(-chance_of_outlier(hidden)))


def outlier_columns(hidden: int, inputs: int, tokens: int) -> float:
    """Columns with an outlier in the last layer."""
    return inputs * _share(hidden, tokens)


def share_of_outliers(index: int, layers: int, hidden: int, tokens: int) -> float:
    """The columns of layer `index` as a part of the last layer's."""
    depth = FIRST_LAYER + (1 - FIRST_LAYER) * math.sqrt(index / max(1, layers - 1))
    return _share(hidden, tokens * depth) / max(1e-12, _share(hidden, tokens))
