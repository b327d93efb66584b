"""Which rows are for testing, and which are duplicates: seeded, exact, in flat memory, whatever the block size.

Rows with the same hash form a group. A group's place in the draw depends on the seed and on the number of its first
row alone, so neither the hash function nor the blocks in which rows arrive have a say.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sft_tui.dataset.output.spool import Numbers, Spool

if TYPE_CHECKING:
    import numpy as np

TRAIN, TEST, DUPLICATE = 0, 1, 2
_BUCKET_ROWS = 1 << 20
_CHUNK_ROWS = 1 << 18
_BINS = 1 << 16
_CUT_ROWS = 1 << 13
_CUTS_AT_ONCE = 3


def draw_keys(numbers: np.ndarray, seed: int) -> np.ndarray:
    """A number for each of `numbers` that looks random and depends on it and the seed alone (splitmix64)."""
    import numpy as np

    with np.errstate(over="ignore"):
        mixed = np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF)
        z = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + mixed
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def test_rows(test_size: int | float, rows: int) -> int:
    """How many of `rows` rows are wanted for testing: a share for a float, which leaves both sides a row."""
    if isinstance(test_size, int):
        return test_size
    wanted = math.floor(test_size * rows + 0.5)
    return min(max(wanted, 1), rows - 1) if rows > 1 else wanted


class _Groups(NamedTuple):
    """The groups of a bucket: `rows` sorted by group, `starts` and `sizes` of the groups in it, `keys` of the draw."""

    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    keys: np.ndarray


@dataclass(slots=True)
class Chooser:
    """Finds groups by the `hashes` of the written rows."""

    hashes: Numbers
    seed: int
    directory: Path
    _only: _Groups | None = None

    def duplicates(self, sides: np.ndarray) -> int:
        """Mark every row but the first of each group in `sides`. Returns how many."""
        count = 0
        for groups in self._all_groups():
            later = groups.rows.copy()
            later[groups.starts] = -1
            later = later[later >= 0]
            sides[later] = DUPLICATE
            count += len(later)
        return count

    def draw(self, sides: np.ndarray, wanted: int, *, single: bool) -> int:
        """Mark about `wanted` rows in `sides` for testing, whole groups only. Returns how many.

        With `single`, only the first row of each group counts (the others are duplicates that go away).
        """
        import numpy as np

        weights = np.zeros(_BINS, np.int64)
        for groups in self._all_groups():
            sizes = np.ones_like(groups.sizes) if single else groups.sizes
            weights += np.bincount(_bin(groups.keys), sizes, _BINS).astype(np.int64)
        total = np.cumsum(weights)
        whole = int(np.searchsorted(total, wanted, side="right"))
        taken = int(total[whole - 1]) if whole else 0
        added, left_out = self._fill(whole, wanted - taken, single)
        marked = 0
        for groups in self._all_groups():
            picked = ((_bin(groups.keys) < whole) & ~np.isin(groups.keys, left_out)) | np.isin(groups.keys, added)
            members = groups.rows[np.repeat(picked, groups.sizes)]
            if single:
                members = members[sides[members] != DUPLICATE]
            sides[members] = TEST
            marked += len(members)
        return marked

    def _fill(self, first_bin: int, room: int, single: bool) -> tuple[np.ndarray, np.ndarray]:
        """The keys of further groups that fill `room` rows, in the order of the draw, and of groups to give back."""
        import numpy as np

        added: list[int] = []
        width = 1
        start = first_bin
        while room > 0 and start < _BINS:
            stop = min(start + width, _BINS)
            keys, sizes = self._between(start, stop, single)
            for at in np.argsort(keys).tolist():
                if sizes[at] <= room:
                    added.append(int(keys[at]))
                    room -= int(sizes[at])
                if not room:
                    break
            start, width = stop, width * 16
        left_out: list[int] = []
        if room > 0:
            added, left_out = self._exchange(first_bin, room, single, added)
        return np.array(added, np.uint64), np.array(left_out, np.uint64)

    def _exchange(self, first_bin: int, room: int, single: bool, added: list[int]) -> tuple[list[int], list[int]]:
        """Where all that is left is too large for `room`: take the smallest of it and give single rows back for it."""
        import numpy as np

        keys, sizes = self._between(0, _BINS, single)
        chosen = (_bin(keys) < first_bin) | np.isin(keys, np.array(added, np.uint64))
        order = np.lexsort((keys, sizes))
        rest = order[~chosen[order]]
        singles = np.sort(keys[chosen & (sizes == 1)])[::-1]
        for at in rest.tolist():
            surplus = int(sizes[at]) - room
            nothing_yet = not chosen.any() and int(sizes[at]) < self.hashes.count
            if surplus <= len(singles) or nothing_yet:
                back = set(singles[: max(surplus, 0)].tolist()) if not nothing_yet else set()
                return [key for key in added if key not in back] + [int(keys[at])], sorted(back - set(added))
        return added, []

    def _between(self, start: int, stop: int, single: bool) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        keys: list[np.ndarray] = []
        sizes: list[np.ndarray] = []
        for groups in self._all_groups():
            bins = _bin(groups.keys)
            inside = (bins >= start) & (bins < stop)
            keys.append(groups.keys[inside])
            sizes.append(np.ones(int(inside.sum()), np.int64) if single else groups.sizes[inside])
        return np.concatenate(keys), np.concatenate(sizes)

    def _all_groups(self) -> Iterator[_Groups]:
        """The groups, a bucket of hashes at a time."""
        import numpy as np

        if self.hashes.count <= _BUCKET_ROWS:
            if self._only is None:
                hashes = np.concatenate([np.empty(0, np.uint64), *self.hashes.chunks()])
                self._only = self._grouped(hashes, np.arange(len(hashes)))
            yield self._only
            return
        buckets = 1 << (self.hashes.count // _BUCKET_ROWS).bit_length()
        parts = [Spool(self.directory) for _bucket in range(buckets)]
        try:
            self._scatter(parts)
            for part in parts:
                pairs = np.frombuffer(part.read(0, part.size), np.uint64).reshape(-1, 2)
                yield self._grouped(pairs[:, 0], pairs[:, 1].astype(np.int64))
        finally:
            for part in parts:
                part.close()

    def _scatter(self, parts: list[Spool]) -> None:
        """Spread (hash, row) pairs over `parts` by the hash."""
        import numpy as np

        first = 0
        for hashes in self.hashes.chunks(_CHUNK_ROWS):
            bucket = (hashes % np.uint64(len(parts))).astype(np.int64)
            order = np.argsort(bucket, kind="stable")
            pairs = np.column_stack([hashes[order], (order + first).astype(np.uint64)])
            bounds = np.searchsorted(bucket[order], np.arange(len(parts) + 1))
            for place, part in enumerate(parts):
                part.write(pairs[bounds[place] : bounds[place + 1]].tobytes())
            first += len(hashes)

    def _grouped(self, hashes: np.ndarray, rows: np.ndarray) -> _Groups:
        import numpy as np

        order = np.argsort(hashes, kind="stable")
        ranked = hashes[order]
        new = np.ones(len(ranked), bool)
        new[1:] = ranked[1:] != ranked[:-1]
        starts = np.flatnonzero(new)
        sizes = np.diff(np.append(starts, len(ranked)))
        sorted_rows = rows[order]
        return _Groups(sorted_rows, starts, sizes, draw_keys(sorted_rows[starts], self.seed))


def _bin(keys: np.ndarray) -> np.ndarray:
    import numpy as np

    return (keys >> np.uint64(48)).astype(np.int64)


def cut(lines: Spool, lengths: Numbers, sides: np.ndarray, outputs: dict[int, Spool], pool: Executor) -> None:
    """Copy each line of `lines` to the output of its side, in order, a few pieces at a time in `pool`."""
    import numpy as np

    waiting: deque[Future[None]] = deque()
    offset = row = 0
    for sizes in lengths.chunks(_CUT_ROWS):
        side = sides[row : row + len(sizes)]
        places = {kind: output.reserve(int(sizes[side == kind].sum())) for kind, output in outputs.items()}
        waiting.append(pool.submit(_cut_piece, lines, offset, sizes, side, outputs, places))
        if len(waiting) > _CUTS_AT_ONCE:
            waiting.popleft().result()
        offset += int(sizes.sum(dtype=np.int64))
        row += len(sizes)
    while waiting:
        waiting.popleft().result()


def _cut_piece(
    lines: Spool, offset: int, sizes: np.ndarray, side: np.ndarray, outputs: dict[int, Spool], places: dict[int, int]
) -> None:
    """Copy the lines of `sizes` bytes from `offset` on to the `places` of `outputs`, by their `side`."""
    import numpy as np

    ends = np.cumsum(sizes, dtype=np.int64)
    part = memoryview(lines.read(offset, int(ends[-1])))
    turns = np.flatnonzero(side[1:] != side[:-1])
    stops = np.append(ends[turns], ends[-1]).tolist()
    kinds = np.append(side[turns], side[-1]).tolist()
    pieces: dict[int, list[memoryview]] = {kind: [] for kind in outputs}
    start = 0
    for stop, kind in zip(stops, kinds, strict=True):
        if kind in pieces:
            pieces[kind].append(part[start:stop])
        start = stop
    for kind, found in pieces.items():
        if found:
            outputs[kind].write_at(places[kind], found)
            outputs[kind].start_sync(places[kind], sum(map(len, found)))
