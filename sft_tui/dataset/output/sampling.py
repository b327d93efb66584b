"""A seeded random sample of record numbers, drawn without holding them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft_tui.dataset.output.split import draw_keys

if TYPE_CHECKING:
    import numpy as np

_CHUNK = 1 << 20


def draw_records(total: int, count: int, seed: int) -> np.ndarray:
    """`count` of the record numbers 0 to `total` - 1, rising; all of them if there are no more."""
    import numpy as np

    if count >= total:
        return np.arange(total)
    numbers = np.empty(0, np.int64)
    keys = np.empty(0, np.uint64)
    for start in range(0, total, _CHUNK):
        more = np.arange(start, min(start + _CHUNK, total))
        numbers = np.concatenate([numbers, more])
        keys = np.concatenate([keys, draw_keys(more, seed ^ 0x5A17)])
        if len(keys) > count:
            best = np.argpartition(keys, count - 1)[:count]
            numbers, keys = numbers[best], keys[best]
    return np.sort(numbers)
