"""How many rows LLaMA-Factory trains on and how many optimizer steps that takes: the one formula.

Read in LLaMA-Factory 0.9.5 (`data/loader.py`, `data/data_utils.py`, `data/processor/supervised.py`) and transformers
5.6 (`Trainer.set_initial_training_values`). Options that are absent have their defaults there.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

_BATCH, _ACCUMULATION, _EPOCHS, _CUTOFF = 8.0, 1.0, 3.0, 2048.0
_PACKED_TOGETHER = 1000
"""`preprocessing_batch_size`: so many rows of a process are packed together."""
_DRAWN_TOGETHER, _MOST_DRAWN = 1000, 20_000_000


def held_out_rows(options: Mapping[str, Any], rows: int) -> int:
    """How many of `rows` `val_size` keeps for the evaluation: a share below 1 rounds up, from 1 it is a number."""
    size = _number(options, "val_size", 0.0) or 0.0
    if size <= 1e-6 or options.get("streaming") is True:
        return 0
    return int(size) if size >= 1 else math.ceil(size * rows)


def trained_rows(options: Mapping[str, Any], *rows: int) -> int:
    """Rows that are trained on, of so many `rows` in each dataset; 0 where nothing is left, which LLaMA-Factory
    refuses.
    """
    mixed = mixed_rows(options, rows)
    return max(mixed - held_out_rows(options, mixed), 0)


def mixed_rows(options: Mapping[str, Any], rows: Sequence[int]) -> int:
    """Rows of the mix of datasets with so many `rows` each, of which `max_samples` bounds each.

    As `datasets.interleave_datasets` draws them, with the same seed (`_interleave_map_style_datasets`, version 3 and
    4): until one (`interleave_under`) or each of them (`interleave_over`) was read to its end.
    """
    limit = options.get("max_samples")
    bounded = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
    counts = [min(count, limit) if bounded and limit else count for count in rows]
    strategy = options.get("mix_strategy") or "concat"
    if len(counts) < 2 or strategy not in ("interleave_under", "interleave_over") or not all(counts):
        return sum(counts)
    whole = strategy == "interleave_over"
    shares = _shares(options.get("interleave_probs"), len(counts))
    if not shares:
        return (max if whole else min)(counts) * len(counts)
    return _drawn(counts, shares, int(_number(options, "seed", 42.0) or 0), whole=whole)


def _shares(value: Any, count: int) -> list[float]:
    """The probabilities of `count` datasets; none where they are not given, or not as they must be."""
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    try:
        found = [float(word) for word in words]
    except (TypeError, ValueError):
        return []
    return found if len(found) == count and all(share > 0 for share in found) and abs(sum(found) - 1) < 1e-6 else []


def _drawn(counts: Sequence[int], shares: Sequence[float], seed: int, *, whole: bool) -> int:
    """How many samples are drawn until one dataset was read to its end, or, with `whole`, each of them."""
    import numpy as np

    expected = max(count / share for count, share in zip(counts, shares, strict=True))
    if whole and expected > _MOST_DRAWN:
        return round(expected)
    random = np.random.default_rng(seed)
    ends: list[int] = []
    left, drawn = list(counts), 0
    while len(ends) < (len(counts) if whole else 1):
        draws = random.choice(len(counts), size=_DRAWN_TOGETHER, p=shares)
        for at, more in enumerate(left):
            places = np.flatnonzero(draws == at)
            if 0 < more <= len(places):
                ends.append(drawn + int(places[more - 1]) + 1)
            left[at] -= len(places)
        drawn += _DRAWN_TOGETHER
    return max(ends) if whole else min(ends)


def is_packed(options: Mapping[str, Any]) -> bool:
    """Whether several samples go into one sequence."""
    return options.get("packing") is True or options.get("neat_packing") is True


def packed_sequences(options: Mapping[str, Any], rows: int, lengths: Sequence[int]) -> int:
    """About how many sequences `rows` rows are packed into, of which some have these `lengths` in tokens.

    Each process packs its rows a thousand at a time, the longest that fits first.
    """
    capacity = max(int(_number(options, "cutoff_len", _CUTOFF) or _CUTOFF) - 1, 1)
    each = -(-rows // max(int(_number(options, "preprocessing_num_workers", 1.0) or 1), 1))
    chunk = max(min(each, int(_number(options, "preprocessing_batch_size", _PACKED_TOGETHER) or 1)), 1)
    pick = max(len(lengths) / chunk, 1.0)  # spread over all of them where there are more than rows
    sample = [lengths[int(number * pick) % len(lengths)] for number in range(chunk)]
    return max(math.ceil(_knapsacks([min(length, capacity) for length in sample], capacity) * rows / chunk), 1)


def _knapsacks(lengths: list[int], capacity: int) -> int:
    lengths.sort()
    count = 0
    while lengths:
        count += 1
        room = capacity
        while at := bisect.bisect(lengths, room):
            room -= lengths.pop(at - 1)
    return count


def optimizer_steps(options: Mapping[str, Any], sequences: int | None, processes: int = 1) -> int | None:
    """Optimizer steps of a training on `sequences` (rows, or what they are packed into) by so many processes.

    None where they are not known and `max_steps` does not say, and for values that no training takes.
    """
    most = _number(options, "max_steps", -1.0)
    if most is not None and most > 0:
        return int(most)
    batch = _number(options, "per_device_train_batch_size", _BATCH)
    accumulation = _number(options, "gradient_accumulation_steps", _ACCUMULATION)
    epochs = _number(options, "num_train_epochs", _EPOCHS)
    if sequences is None or batch is None or accumulation is None or epochs is None:
        return None
    if batch < 1 or accumulation < 1 or epochs <= 0:
        return None
    together = int(batch) * max(processes, 1)
    drops = options.get("dataloader_drop_last") is True
    micro_batches = sequences // together if drops else -(-sequences // together)
    return math.ceil(epochs * max(-(-micro_batches // int(accumulation)), 1))


def every_steps(options: Mapping[str, Any], key: str, default: int, steps: int) -> int:
    """The steps between two times of `key` (`save_steps`, ...): a value below 1 is a share of all `steps`."""
    value = _number(options, key, float(default)) or float(default)
    return max(math.ceil(value * steps) if value < 1 else int(value), 1)


def _number(options: Mapping[str, Any], key: str, default: float) -> float | None:
    """A number, as YAML 1.1 or OmegaConf reads it (`1e-4`); None for what is none."""
    value = options.get(key)
    if value is None:
        return default
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
