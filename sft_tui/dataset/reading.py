"""The records of a request, cleaned, a block at a time: parsed in workers, handed on in order.

Nothing is kept for each row but what the split and the search for duplicates need, and that is kept on the disk.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sft_tui.dataset.libraries import load_libraries
from sft_tui.dataset.output import split
from sft_tui.dataset.output.sampling import draw_records
from sft_tui.dataset.output.spool import Numbers, Spool
from sft_tui.dataset.planning import map_request, plan_mapping
from sft_tui.dataset.readers.batch import Batch, Record, Task, Wanted
from sft_tui.dataset.readers.source import Source
from sft_tui.dataset.request import FIRST_ROWS, ConvertRequest, Progress
from sft_tui.dataset.rows.clean import Chunk, Cleaner, make_cleaner
from sft_tui.dataset.rows.unused import unused_columns
from sft_tui.dataset.tally import Tally, split_notes

if TYPE_CHECKING:
    import numpy as np

Result = TypeVar("Result")
_PROGRESS_S = 0.1
_MOST_COLUMNS = 10_000
_MOST_WORKERS = 4


class LateColumns(Exception):
    """Columns beyond the head of the source have a part to play: the reading must begin again with them."""

    def __init__(self, columns: Record) -> None:
        super().__init__(", ".join(columns))
        self.columns = columns


def with_late_columns(work: Callable[[Record | None], Result]) -> Result:
    """What `work` returns, which is given the columns that it found too late, as often as it finds some."""
    late: Record | None = None
    while True:
        try:
            return work(late)
        except LateColumns as found:
            late = found.columns


class Reading:
    """One pass over what a request asks for. A context manager: its temporary files vanish at the end."""

    def __init__(
        self,
        request: ConvertRequest,
        directory: Path,
        progress: Callable[[Progress], None] | None = None,
        late: Record | None = None,
    ) -> None:
        self.request = request
        self.tally = Tally()
        self._late = late
        self._directory = directory
        self._progress = progress
        self._shown = 0.0
        self._open: list[Numbers] = []
        self._workers = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        load_libraries()
        self.pool = ThreadPoolExecutor(self._workers, thread_name_prefix="convert")
        self.choosing = bool(request.test_size) or request.dedupe
        self.source = Source(request.source, sheet=request.sheet, train_python=request.train_python)

    def plan(self) -> None:
        """Map the columns. Raises `Refusal` where they stay unclear."""
        self._planned = plan_mapping(self.source, self.request, self._late)
        self.mapped, self.texts = self._planned.mapped, self._planned.texts
        self.unused = list(self._planned.unused)
        self.notes = list(self._planned.notes)
        self._known = set(self._planned.columns)
        self._found: deque[Record] = deque()
        self.tests: Numbers | None = None
        if self.mapped.columns.split:
            self.choosing, self.tests = True, self._numbers("u1")
        if self.choosing:
            load_libraries("polars")
            self.hashes, self.lengths = self._numbers("u8"), self._numbers("u4")
        if self.request.dedupe:
            self._row_numbers = self._numbers("i8")

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers and let go of the temporary files."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        for numbers in self._open:
            numbers.close()
        self._open.clear()

    def _numbers(self, dtype: str) -> Numbers:
        numbers = Numbers(self._directory, dtype)
        self._open.append(numbers)
        return numbers

    def blocks(self) -> Iterator[tuple[Chunk, np.ndarray | None]]:
        """The cleaned blocks, counted in `tally`, with the numbers of their records where some are passed over."""
        cleaner, as_records = make_cleaner(self.mapped, self.texts, hashed=self.choosing)
        columns = tuple(dict.fromkeys(self.mapped.columns.mapped().values()))
        wanted = Wanted(columns, as_records, known=self._known)
        for chunk, numbers in self._chunks(wanted, self._watched(cleaner)):
            self._learn()
            self._remember(chunk, numbers)
            self.tally.add(chunk, numbers)
            yield chunk, numbers
            self._show()
        self._show(last=True)

    def _watched(self, cleaner: Cleaner) -> Cleaner:
        """`cleaner`, with an eye on columns that were not there before."""

        def watch(batch: Batch) -> Chunk:
            if batch.late:
                self._found.append(batch.late)
            return cleaner(batch)

        return watch

    def _learn(self) -> None:
        """Take in columns that turned up late. Raises `LateColumns` where one of them has a part to play."""
        if self.source.late:
            self._found.append(dict(self.source.late))
            self.source.late.clear()
        while self._found:
            late = {name: value for name, value in self._found.popleft().items() if name not in self._known}
            if late and len(self._known) < _MOST_COLUMNS:
                self._known.update(late)
                head = [*self._planned.head, late]
                if map_request([*self._planned.columns, *late], head, self.request) != self.mapped:
                    raise LateColumns((self._late or {}) | late)
                self.unused += unused_columns(list(late), (), [late])

    def write_to(self, spool: Spool) -> None:
        """Write the lines of all blocks to `spool`, several writes at a time."""
        writes: deque[Future[None]] = deque()
        for chunk, _numbers in self.blocks():
            offset = spool.reserve(int(chunk.lengths.sum()))
            writes.append(self.pool.submit(self._write, spool, offset, chunk.parts))
            if len(writes) > self._workers:
                writes.popleft().result()
        while writes:
            writes.popleft().result()

    def _write(self, spool: Spool, offset: int, parts: Sequence[bytes | memoryview]) -> None:
        spool.write_at(offset, parts)
        if not self.choosing:
            spool.start_sync(offset, sum(map(len, parts)))

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._progress is not None and (last or now - self._shown >= _PROGRESS_S):
            self._shown = now
            self._progress(Progress(self.tally.read, self.source.bytes_read, self.source.bytes_total))

    def _remember(self, chunk: Chunk, numbers: np.ndarray | None) -> None:
        """Keep what the choice among the rows needs."""
        if not self.choosing or not chunk.kept:
            return
        import numpy as np

        assert chunk.hashes is not None and chunk.kept == len(chunk.hashes)
        self.lengths.append(chunk.lengths)
        self.hashes.append(chunk.hashes)
        if self.tests is not None:
            self.tests.append(np.zeros(chunk.kept, bool) if chunk.tests is None else chunk.tests)
        if self.request.dedupe:
            records = self.record_numbers(chunk, numbers, self.tally.read)
            self._row_numbers.append(records)

    @staticmethod
    def record_numbers(chunk: Chunk, numbers: np.ndarray | None, first: int) -> np.ndarray:
        """The numbers (from 0) of the records that the lines of `chunk` come from; `first` is that of the block."""
        import numpy as np

        records = np.arange(first, first + chunk.height) if numbers is None else numbers
        return records if chunk.reasons is None else records[chunk.reasons == 0]

    def _chunks(self, wanted: Wanted, cleaner: Cleaner) -> Iterator[tuple[Chunk, np.ndarray | None]]:
        request, source = self.request, self.source
        if request.max_samples is None:
            yield from ((chunk, None) for chunk in self._in_parallel(source.tasks(wanted), cleaner))
        elif request.sample == "first":
            left = request.max_samples
            for task in source.tasks(wanted):
                batch = task()
                if batch.height > left:
                    batch = batch.pick(range(left))
                left -= batch.height
                yield cleaner(batch), None
                if not left:
                    break
        else:
            total = sum(task().height for task in source.tasks(Wanted((), as_records=False)))
            yield from _sampled(source.tasks(wanted), cleaner, draw_records(total, request.max_samples, request.seed))

    def _in_parallel(self, tasks: Iterable[Task], cleaner: Cleaner) -> Iterator[Chunk]:
        """The cleaned blocks in order, a few of them in work at a time."""

        def work(task: Task) -> Chunk:
            return cleaner(task())

        waiting: deque[Future[Chunk]] = deque()
        for task in tasks:
            waiting.append(self.pool.submit(work, task))
            if len(waiting) > self._workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def mark_tests(self, sides: np.ndarray) -> int:
        """Mark in `sides` the rows that the data itself keeps for testing. Returns how many; says what follows."""
        import numpy as np

        marked = start = 0
        twice: list[np.ndarray] = []
        for chunk, hashes in zip(self.tests.chunks(), self.hashes.chunks(), strict=True) if self.tests else ():
            side = sides[start : start + len(chunk)]
            places = (chunk != 0) & (side == split.TRAIN)
            side[places] = split.TEST
            twice.append(hashes[places])
            marked += int(places.sum())
            start += len(chunk)
        if not marked:
            return 0
        tested = np.unique(np.concatenate(twice))
        start = shared = 0
        for hashes in self.hashes.chunks():
            shared += int(np.isin(hashes[sides[start : start + len(hashes)] == split.TRAIN], tested).sum())
            start += len(hashes)
        self.notes += split_notes(marked, shared, sized=bool(self.request.test_size))
        return marked

    def keep_only(self, kept: np.ndarray) -> None:
        """Forget all rows but those that are `kept`."""
        self.tally.kept = int(kept.sum())
        self.hashes, self.lengths = self._only(self.hashes, kept), self._only(self.lengths, kept)
        self._row_numbers = self._only(self._row_numbers, kept)
        if self.tests is not None:
            self.tests = self._only(self.tests, kept)

    def _only(self, numbers: Numbers, kept: np.ndarray) -> Numbers:
        left, start = self._numbers(numbers.dtype.str), 0
        for chunk in numbers.chunks():
            left.append(chunk[kept[start : start + len(chunk)]])
            start += len(chunk)
        return left

    def first_duplicates(self, sides: np.ndarray) -> list[int]:
        """The numbers (from 1) of the first records that `sides` marks as duplicates."""
        import numpy as np

        found: list[int] = []
        start = 0
        for numbers in self._row_numbers.chunks():
            places = np.flatnonzero(sides[start : start + len(numbers)] == split.DUPLICATE)
            found += (numbers[places[: FIRST_ROWS - len(found)]] + 1).tolist()
            start += len(numbers)
            if len(found) >= FIRST_ROWS:
                break
        return found


def _sampled(tasks: Iterable[Task], cleaner: Cleaner, chosen: np.ndarray) -> Iterator[tuple[Chunk, np.ndarray | None]]:
    """The blocks with only the `chosen` records (numbers from 0, rising)."""
    import numpy as np

    first = 0
    for task in tasks:
        batch: Batch = task()
        bounds = np.searchsorted(chosen, [first, first + batch.height])
        numbers = chosen[bounds[0] : bounds[1]]
        if len(numbers):
            yield cleaner(batch.pick((numbers - first).tolist())), numbers
        first += batch.height
        if bounds[1] == len(chosen):
            break
