"""Whether the disk still has room for what a training will save, told while there is room to stop with saving."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sft_tui.factory.checkpoints import checkpoint_directories
from sft_tui.factory.length import every_steps

_RESERVE_BYTES = 32 << 20
"""For logs, events and the state."""
_RESERVE_SHARE = 0.02
_EVERY_S = 5.0
_WEIGHTS = (".safetensors", ".bin")
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state")


class DiskGuard:
    """Watches the room for the checkpoints and the result of one training with `options`, saved into `save_dir`.

    `planned` holds the bytes of one `checkpoint` and of the `result`, as far as they are known before the first
    checkpoint is there to be measured.
    """

    def __init__(self, save_dir: Path, options: Mapping[str, Any], planned: Mapping[str, int]) -> None:
        self._save_dir = save_dir
        self._options = options
        self._checkpoint = planned.get("checkpoint", 0)
        self._result = planned.get("result", 0)
        self._names: list[str] = []
        self._measured_at = 0.0

    def lacking(self, free: int, step: int, total_steps: int) -> int | None:
        """The free bytes that it takes to go on, where there are only `free` and it must stop; None where it may go on.

        It may go on while there is room for all that is still to be saved, or else for the next checkpoint and, after
        that, for one more and the result, which a stop saves.
        """
        count = self._measure()
        left = self._checkpoints_left(step, total_steps)
        limit = self._limit()
        back = self._checkpoint if 0 < limit < count else 0  # a new one is complete before the oldest goes
        need = min(self._peak(left, count), self._peak(2, count))
        need += _RESERVE_BYTES + int(_RESERVE_SHARE * self._checkpoint)
        return need if free + back < need else None

    def _peak(self, new: int, count: int) -> int:
        """The most bytes that `new` checkpoints beside the `count` there are, and then the result, take at a time."""
        used = peak = 0
        limit = self._limit()
        for _checkpoint in range(min(new, limit + 1) if limit else new):
            used += self._checkpoint
            peak = max(peak, used)
            count += 1
            if limit and count > limit:
                used -= self._checkpoint
        return max(peak, used + self._result)

    def _checkpoints_left(self, step: int, total: int) -> int:
        strategy = str(self._options.get("save_strategy") or "steps")
        if strategy == "no":
            return 0
        epochs = float(self._options.get("num_train_epochs") or 3)
        by_epoch = max(1, round(total / max(epochs, 1)))
        every = by_epoch if strategy == "epoch" else every_steps(self._options, "save_steps", 500, total)
        return max(0, math.ceil(total / every) - step // every)

    def _limit(self) -> int:
        """How many checkpoints are kept; 0: all."""
        return int(self._options.get("save_total_limit") or 0)

    def _measure(self) -> int:
        """How many checkpoints there are; the larger of the last two, one of which may be half, is like the next."""
        found = checkpoint_directories(self._save_dir)
        names, now = [path.name for path in found], time.monotonic()
        if names and (names != self._names or now - self._measured_at > _EVERY_S):
            self._names, self._measured_at = names, now
            sizes = max((_sizes(path) for path in found[-2:]), key=lambda sizes: sum(sizes.values()))
            self._checkpoint = sum(sizes.values())
            self._result = sum(size for name, size in sizes.items() if _is_weights(name))
        return len(found)


def _is_weights(name: str) -> bool:
    return name.endswith(_WEIGHTS) and not name.startswith(_NO_WEIGHTS)


def _sizes(directory: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for path in directory.rglob("*"):
        try:
            sizes[path.relative_to(directory).as_posix()] = path.lstat().st_size
        except OSError:  # it goes just now
            continue
    return sizes
