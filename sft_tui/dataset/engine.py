"""The conversion: read, clean, write to a nameless file, choose, and only then give names.

One thread reads and writes in order, workers parse, clean and serialise blocks. Nothing is kept for each row but what
the split and the search for duplicates need, and that is kept on the disk.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sft_tui.dataset import split
from sft_tui.dataset.batch import Batch, Task, Wanted
from sft_tui.dataset.checks import Target, check_request, find_target
from sft_tui.dataset.clean import CODES, Chunk, Cleaner, make_cleaner, written_columns
from sft_tui.dataset.conversations import ASSISTANT, FUNCTION, OBSERVATION, SYSTEM, USER
from sft_tui.dataset.mapping import Mapped, map_columns
from sft_tui.dataset.request import DUPLICATE, FIRST_ROWS, REASONS, Columns, ConvertRequest, ConvertResult, Progress
from sft_tui.dataset.samples import Texts
from sft_tui.dataset.sampling import draw_records
from sft_tui.dataset.source import Source
from sft_tui.dataset.spool import Numbers, Spool, clean_stale, existing_parent, sync_directory, writing
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problem, Refusal, Severity, refuse

if TYPE_CHECKING:
    import numpy as np

HEAD_RECORDS = 50
_PROGRESS_S = 0.1
_MOST_WORKERS = 4
_LONG_LOOK, _SHORT_LOOK = 100_000, 5_000
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": USER,
    "assistant_tag": ASSISTANT,
    "observation_tag": OBSERVATION,
    "function_tag": FUNCTION,
    "system_tag": SYSTEM,
}


@dataclass(slots=True)
class Tally:
    """Counts what was read and dropped."""

    read: int = 0
    kept: int = 0
    left_out: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, chunk: Chunk, numbers: np.ndarray | None) -> None:
        """Count `chunk`, whose records have `numbers` (from 0), or follow those before."""
        if chunk.reasons is not None:
            self._count(chunk.reasons, numbers)
        self.read += chunk.height
        self.kept += chunk.kept
        self.left_out += chunk.left_out

    def _count(self, reasons: np.ndarray, numbers: np.ndarray | None) -> None:
        import numpy as np

        for reason, code in CODES.items():
            places = np.flatnonzero(reasons == code)
            if len(places):
                self.counts[reason] = self.counts.get(reason, 0) + len(places)
                first = places[:FIRST_ROWS]
                found = (first + self.read if numbers is None else numbers[first]) + 1
                self.rows.setdefault(reason, []).extend(found.tolist())
                del self.rows[reason][FIRST_ROWS:]


def plan_mapping(source: Source, request: ConvertRequest) -> tuple[Mapped, Texts]:
    """How the records of `source` become samples."""
    columns = source.columns()
    head = source.head(HEAD_RECORDS)
    asked = request.columns
    if any(column not in columns for column in asked.mapped().values()):
        columns = _search_columns(source, columns, asked)
    mapped = map_columns(columns, head, asked=asked, shape=request.format)
    instruction = (request.instruction or "").strip() or None
    system = (request.system or "").strip() or None
    if mapped.columns.messages:
        instruction = None
    return mapped, Texts(mapped.columns, instruction, system)


def _search_columns(source: Source, columns: list[str], asked: Columns) -> list[str]:
    """The columns with those that turn up later than the head: a name is only refused after a longer look."""
    names = dict.fromkeys(source.columns(most_files=None if source.whole else 20))
    missing = set(asked.mapped().values()) - set(names)
    if missing and any(file.kind == "json" for file in source.files):
        for record in source.head(_LONG_LOOK if source.whole else _SHORT_LOOK):
            if record is not None and not missing.isdisjoint(record):
                names.update(dict.fromkeys(record))
                missing -= set(record)
                if not missing:
                    break
    return columns + [name for name in names if name not in columns]


class Conversion:
    """One conversion, up to the point where everything is written and nothing has a name yet.

    Use as a context manager: what was not committed vanishes at its end.
    """

    def __init__(
        self,
        request: ConvertRequest,
        progress: Callable[[Progress], None] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.request = request
        self._directory = directory or existing_parent(request.out_dir)
        self._progress = progress
        self._shown = 0.0
        self._started = time.perf_counter()
        self._open: list[Spool | Numbers] = []
        self._backups: list[tuple[Path, Spool | None]] = []
        self._made: list[Path] = []
        self.outputs: dict[int, Spool] = {}
        self.result: ConvertResult

    def __enter__(self) -> Conversion:
        try:
            self.result = self._run()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all temporary files."""
        for item in self._open:
            item.close()
        self._open.clear()

    def _spool(self) -> Spool:
        spool = Spool(self._directory)
        self._open.append(spool)
        return spool

    def _numbers(self, dtype: str) -> Numbers:
        numbers = Numbers(self._directory, dtype)
        self._open.append(numbers)
        return numbers

    def _run(self) -> ConvertResult:
        request = self.request
        check_request(request)
        source = Source(request.source, sheet=request.sheet, train_python=request.train_python)
        self.target: Target = find_target(request, source.files)
        with writing(self._directory):
            clean_stale(request.out_dir)
            tally = self._read_all(source)
            self._refuse_drops(tally)
            train_rows, test_rows = self._split(tally)
            for output in self.outputs.values():
                output.sync()
        test = self.target.test if test_rows else None
        self._refuse_existing()
        return ConvertResult(
            written=train_rows + test_rows,
            train_rows=train_rows,
            test_rows=test_rows,
            dropped={reason: tally.counts[reason] for reason in REASONS if reason in tally.counts},
            dropped_rows={reason: tuple(tally.rows.get(reason, ())) for reason in REASONS if reason in tally.counts},
            format=self.mapped.written,
            train=self.target.train,
            test=test,
            seconds=time.perf_counter() - self._started,
            columns=written_columns(self.mapped, self.texts),
            tags=dict(TAGS) if self.mapped.columns.messages else {},
            notes=(*source.notes, *_notes(tally)),
        )

    def _read_all(self, source: Source) -> Tally:
        """Everything cleaned into one file, and what the choice among the rows needs."""
        self._lines = self._spool()
        tally = Tally()
        for chunk, _numbers in self.read_blocks(source, tally):
            self._lines.write(chunk.lines)
        return tally

    def read_blocks(self, source: Source, tally: Tally) -> Iterator[tuple[Chunk, np.ndarray | None]]:
        """The cleaned blocks, counted in `tally`, with the numbers of their records where some are skipped."""
        request = self.request
        self.mapped, self.texts = plan_mapping(source, request)
        self._choosing = bool(request.test_size) or request.dedupe
        if self._choosing:
            self._hashes, self._lengths = self._numbers("u8"), self._numbers("u4")
        if request.dedupe:
            self._row_numbers = self._numbers("i8")
        cleaner, as_records = make_cleaner(self.mapped, self.texts, hashed=self._choosing)
        wanted = Wanted(tuple(dict.fromkeys(self.mapped.columns.mapped().values())), as_records)
        for chunk, numbers in self._chunks(source, wanted, cleaner):
            self._keep(chunk, numbers, tally.read)
            tally.add(chunk, numbers)
            yield chunk, numbers
            self._show(source, tally)
        if self._progress is not None:
            self._progress(Progress(tally.read, source.bytes_read, source.bytes_total))

    def count_duplicates(self, tally: Tally) -> int:
        """How many of the rows that were read repeat an earlier one."""
        import numpy as np

        sides = np.zeros(tally.kept, np.uint8)
        return split.Chooser(self._hashes, self.request.seed, self._directory).duplicates(sides)

    def _show(self, source: Source, tally: Tally) -> None:
        now = time.monotonic()
        if self._progress is not None and now - self._shown >= _PROGRESS_S:
            self._shown = now
            self._progress(Progress(tally.read, source.bytes_read, source.bytes_total))

    def _keep(self, chunk: Chunk, numbers: np.ndarray | None, first: int) -> None:
        import numpy as np

        if not self._choosing or not chunk.kept:
            return
        ends = np.flatnonzero(np.frombuffer(chunk.lines, np.uint8) == 10) + 1
        assert chunk.hashes is not None and len(ends) == chunk.kept == len(chunk.hashes)
        self._lengths.append(np.diff(ends, prepend=0))
        self._hashes.append(chunk.hashes)
        if self.request.dedupe:
            records = np.arange(first, first + chunk.height) if numbers is None else numbers
            self._row_numbers.append(records if chunk.reasons is None else records[chunk.reasons == 0])

    def _chunks(self, source: Source, wanted: Wanted, cleaner: Cleaner) -> Iterator[tuple[Chunk, np.ndarray | None]]:
        """The cleaned blocks in order, with the numbers of their records where some were passed over."""
        request = self.request
        if request.max_samples is None:
            yield from ((chunk, None) for chunk in _in_parallel(source.tasks(wanted), cleaner))
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

    def _refuse_drops(self, tally: Tally) -> None:
        path = self.request.source
        if self.request.strict and tally.counts:
            message = _("{count} of {read} records would be dropped ({reasons}); --strict allows none.").format(
                count=sum(tally.counts.values()), read=tally.read, reasons=_reasons(tally)
            )
            hint = _("Correct these records, or leave --strict away.")
            raise refuse("dropped_rows", message, exit_code=ExitCode.PREFLIGHT, path=path, hint=hint)
        if tally.kept:
            return
        if not tally.read:
            message = _("{source} holds no records.").format(source=path)
            raise refuse("empty_source", message, exit_code=ExitCode.PREFLIGHT, path=path, key="data.source")
        message = _("None of the {read} records can be used ({reasons}).").format(
            read=tally.read, reasons=_reasons(tally)
        )
        hint = _("Look at them with: sft-tui preview {source}").format(source=path)
        raise refuse("no_rows", message, exit_code=ExitCode.PREFLIGHT, path=path, key="data.source", hint=hint)

    def _split(self, tally: Tally) -> tuple[int, int]:
        """The rows for training and testing, each in its file."""
        if not self._choosing:
            self.outputs = {split.TRAIN: self._lines}
            return tally.kept, 0
        import numpy as np

        request = self.request
        sides = np.zeros(tally.kept, np.uint8)
        chooser = split.Chooser(self._hashes, request.seed, self._directory)
        duplicates = chooser.duplicates(sides) if request.dedupe else 0
        if duplicates:
            tally.counts[DUPLICATE] = duplicates
            tally.rows[DUPLICATE] = self._first_duplicates(sides)
        rows = tally.kept - duplicates
        wanted = split.test_rows(request.test_size, rows)
        if wanted >= rows and request.test_size:
            raise _nothing_to_train_on(wanted, rows)
        tested = chooser.draw(sides, wanted, single=request.dedupe) if wanted else 0
        if tested >= rows:
            raise _nothing_to_train_on(tested, rows)
        if not duplicates and not tested:
            self.outputs = {split.TRAIN: self._lines}
            return rows, 0
        self.outputs = {split.TRAIN: self._spool()} | ({split.TEST: self._spool()} if tested else {})
        split.cut(self._lines, self._lengths, sides, self.outputs)
        return rows - tested, tested

    def _first_duplicates(self, sides: np.ndarray) -> list[int]:
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

    def _refuse_existing(self) -> None:
        if self.request.overwrite:
            return
        for side, path in self.target.paths.items():
            output = self.outputs.get(side)
            if output is not None and path.exists() and not output.same_as(path):
                message = _("{path} exists and holds something else.").format(path=path)
                hint = _("Give another --name, or --overwrite to replace it.")
                raise refuse("exists", message, path=str(path), key="data.name", hint=hint)

    def commit(self) -> ConvertResult:
        """Give the files their names. Raises `Refusal` with everything as it was before."""
        directory = self.request.out_dir
        try:
            with writing(directory):
                self._make(directory)
                for side, output in self.outputs.items():
                    path = self.target.paths[side]
                    if not output.same_as(path):
                        self._backups.append((path, _copy(path) if path.exists() else None))
                        output.publish(path)
                sync_directory(directory)
        except BaseException:
            self.rollback()
            raise
        return self.result

    def _make(self, directory: Path) -> None:
        directory = directory.absolute()
        if directory.exists():
            return
        self._make(directory.parent)
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            self._made.append(directory)

    def rollback(self) -> None:
        """Take back what `commit` did."""
        for path, backup in reversed(self._backups):
            with contextlib.suppress(OSError):
                if backup is None:
                    path.unlink(missing_ok=True)
                else:
                    backup.publish(path)
        for directory in reversed(self._made):
            with contextlib.suppress(OSError):
                directory.rmdir()
        self._backups.clear()
        self._made.clear()


class Rows:
    """The rows that a request would write, a block at a time, without writing them. For statistics."""

    def __init__(self, request: ConvertRequest, progress: Callable[[Progress], None] | None = None) -> None:
        self._conversion = Conversion(request, progress, directory=Path(tempfile.gettempdir()))
        self.tally = Tally()

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_error: object) -> None:
        self._conversion.close()

    def __iter__(self) -> Iterator[tuple[bytes, np.ndarray]]:
        """The written lines of each block, and the numbers (from 0) of the records that they come from."""
        import numpy as np

        source = Source(
            self._conversion.request.source,
            sheet=self._conversion.request.sheet,
            train_python=self._conversion.request.train_python,
        )
        for chunk, numbers in self._conversion.read_blocks(source, self.tally):
            records = np.arange(self.tally.read - chunk.height, self.tally.read) if numbers is None else numbers
            yield chunk.lines, records if chunk.reasons is None else records[chunk.reasons == 0]

    def duplicates(self) -> int:
        """How many of the rows repeat an earlier one. After all were read."""
        return self._conversion.count_duplicates(self.tally)


def _copy(path: Path) -> Spool:
    """A nameless copy of `path`, to be put back if something fails."""
    copy = Spool(path.parent)
    with path.open("rb") as stream:
        while part := stream.read(1 << 22):
            copy.write(part)
    return copy


def _nothing_to_train_on(wanted: int, rows: int) -> Refusal:
    message = _("--test-size would take {wanted} of {rows} rows: nothing would be left to train on.")
    hint = _("Give a smaller --test-size.")
    return refuse("bad_test_size", message.format(wanted=wanted, rows=rows), key="data.test_size", hint=hint)


def _reasons(tally: Tally) -> str:
    parts = []
    for reason in REASONS:
        if reason in tally.counts:
            rows = tally.rows[reason]
            shown = ", ".join(map(str, rows)) + (", ..." if tally.counts[reason] > len(rows) else "")
            parts.append(
                _("{reason} {count}: rows {rows}").format(reason=reason, count=tally.counts[reason], rows=shown)
            )
    return "; ".join(parts)


def _notes(tally: Tally) -> list[Problem]:
    if not tally.left_out:
        return []
    message = _("{count} conversations have text beside a tool call; LLaMA-Factory trains on the call alone.")
    return [Problem("text_beside_call", message.format(count=tally.left_out), Severity.WARNING)]


def _in_parallel(tasks: Iterable[Task], cleaner: Cleaner) -> Iterator[Chunk]:
    """The cleaned blocks in order, a few of them in work at a time."""

    def work(task: Task) -> Chunk:
        return cleaner(task())

    workers = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    waiting: deque[Future[Chunk]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="convert")
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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


def convert(request: ConvertRequest, progress: Callable[[Progress], None] | None = None) -> ConvertResult:
    """Convert, and give the files their names. Raises `Refusal` with nothing changed."""
    with Conversion(request, progress) as conversion:
        return conversion.commit()
