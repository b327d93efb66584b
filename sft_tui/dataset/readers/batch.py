"""What readers hand on: batches of records, either as a table of texts or as Python records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sft_tui.dataset.readers.source_file import SourceFile
from sft_tui.dataset.rows.text import to_text
from sft_tui.dataset.rows.texts import indices, of_buffer, table_of
from sft_tui.problems import Problem

Record = dict[str, Any]
BLOCK_BYTES = 4 << 20
SMALL_BLOCK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is needed of each record: `columns` (None for all), as Python values or as texts.

    Columns that are not among the `known` are told of (None: nobody asks); the set grows while it is read.
    """

    columns: tuple[str, ...] | None
    as_records: bool
    block_bytes: int = BLOCK_BYTES
    known: set[str] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Successive records: `table` is an Arrow batch of text columns (null or "" for missing), or `records` the values.

    `bad` holds the places (from 0) of records that could not be read; their cells mean nothing (None in `records`).
    `late` holds columns that were not known, each with a value.
    """

    height: int
    table: Any
    records: list[Record | None] | None
    bad: tuple[int, ...] = ()
    late: Record | None = None

    def pick(self, places: Sequence[int]) -> Batch:
        """The records at `places` (rising)."""
        import numpy as np

        chosen = {place: new for new, place in enumerate(places)}
        bad = tuple(chosen[place] for place in self.bad if place in chosen)
        table = self.table.take(indices(np.array(places, np.int64))) if self.table is not None else None
        records = [self.records[place] for place in places] if self.records is not None else None
        return Batch(len(chosen), table, records, bad, self.late)

    def as_records(self) -> list[Record | None]:
        """One dict a record, None for a bad one."""
        if self.records is not None:
            return self.records
        assert self.table is not None
        bad = frozenset(self.bad)
        return [None if place in bad else row for place, row in enumerate(self.table.to_pylist())]


Task = Callable[[], Batch]
"""Parses one block; may run in another thread."""


class Reader(Protocol):
    """One file that is read record by record."""

    @property
    def file(self) -> SourceFile:
        """What is read."""

    @property
    def notes(self) -> list[Problem]:
        """What was noticed while reading."""

    @property
    def position(self) -> int:
        """Bytes of the file that were taken so far."""

    def columns(self) -> list[str]:
        """The columns that the head shows."""

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The records from the first, a block a task, in order."""


def text_table(rows: Sequence[Sequence[str | None]], columns: Sequence[str]) -> Any:
    """An Arrow batch of texts out of `rows` that have a cell for each of `columns`."""
    import pyarrow as pa

    kind = pa.large_string()
    return table_of({name: pa.array([row[place] for row in rows], kind) for place, name in enumerate(columns)})


def batch_of(records: list[Record | None], wanted: Wanted) -> Batch:
    """`records` as they are wanted: as they are, or as texts. None stands for one that could not be read."""
    late = late_columns(records, wanted.known)
    if not wanted.as_records and wanted.columns is not None:
        return replace(texts_of(records, wanted.columns), late=late)
    bad = tuple(place for place, record in enumerate(records) if record is None)
    return Batch(len(records), None, records, bad, late)


def late_columns(records: Sequence[Record | None], known: set[str] | None) -> Record | None:
    """The columns of `records` that are not `known`, with the first value of each; None where there are none."""
    found: Record = {}
    for record in records:
        if known is not None and record and not known.issuperset(record):
            found = {name: value for name, value in record.items() if name not in known} | {
                name: value for name, value in found.items() if value is not None
            }
    return found or None


def texts_of(records: Sequence[Record | None], columns: Sequence[str], bad: Sequence[int] = ()) -> Batch:
    """`records` as a batch of texts; what is no record, or holds text that no file can hold, is bad."""
    rows: list[list[str | None]] = []
    spoilt = set(bad)
    empty: list[str | None] = [None] * len(columns)
    for place, record in enumerate(records):
        cells = empty
        if record is None:
            spoilt.add(place)
        else:
            try:
                cells = [_writable(to_text(record.get(column))) for column in columns]
            except UnicodeError:
                spoilt.add(place)
        rows.append(cells)
    return Batch(len(rows), text_table(rows, columns), None, tuple(sorted(spoilt)))


def _writable(text: str | None) -> str | None:
    if text is not None and not text.isascii():
        text.encode("utf-8")
    return text


def valid_utf8(block: bytes) -> bool:
    """Whether all of `block` is UTF-8, checked at memory speed."""
    if block.isascii():
        return True
    import numpy as np
    import pyarrow as pa

    try:
        of_buffer(np.array([0, len(block)], np.int64), block).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
