"""What PyTorch holds in the end where samples have different lengths.

A micro-batch is as long as its longest sample, and the blocks of a shorter one cannot be used for a longer one. So each
micro-batch that is longer than all before takes new segments, and the old ones stay in the cache. Only these records
matter (a whole epoch simulated gives the same). When memory runs short PyTorch gives the cache back: this is what NVML
will show, not what is needed.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import replace

from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.optimizer import Optimizer
from sft_tui.memory.run_model import Run

SHUFFLES = 3


def held_in_the_end(shape: Architecture, setup: Setup, optimizer: Optimizer, lengths: Sequence[int]) -> int:
    """Bytes reserved after an epoch over samples of `lengths` tokens in random order: the median of some shuffles."""
    outcomes = []
    for seed in range(SHUFFLES):
        outcomes.append(_held(shape, setup, optimizer, records(lengths, setup.batch, setup.length, seed)))
    return int(statistics.median(outcomes))


def records(lengths: Sequence[int], batch: int, cutoff: int, seed: int) -> list[int]:
    """The lengths of the micro-batches that are longer than all before, in one random order of the samples."""
    order = list(lengths)
    random.Random(seed).shuffle(order)
    found = [0]
    for start in range(0, len(order), batch):
        longest = min(cutoff, -(-max(order[start : start + batch]) // 8) * 8)
        if longest > found[-1]:
            found.append(longest)
    return found[1:]


def _held(shape: Architecture, setup: Setup, optimizer: Optimizer, ladder: list[int]) -> int:
    """One epoch: a micro-batch of each length in `ladder`. Samples of one batch differ, so a mask is passed."""
    run: Run | None = None
    for length in ladder:
        now = replace(setup, length=length, windowed=setup.windowed or setup.batch > 1)
        other = Run(shape, now, optimizer)
        first = run is None
        if run is None:
            run = other
            run.load()
        else:
            run.become(other)
        run.micro_batch(first=first)
        if first:
            run.make_states()
        run.optimize()
    return 0 if run is None else run.reserved_bytes()
