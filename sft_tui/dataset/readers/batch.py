"""What readers hand on: batches of records, either as a table of texts or as Python records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sft_tui.dataset.readers.files import SourceFile
from sft_tui.dataset.rows.text import to_text
from sft_tui.problems import Problem

if TYPE_CHECKING:
    import polars as pl

Record = dict[str, Any]
BLOCK_BYTES = 4 << 20
SMALL_BLOCK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is needed of each record: `columns` (None for all), as Python values or as texts."""

    columns: tuple[str, ...] | None
    as_records: bool
    block_bytes: int = BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Batch:
    """Successive records: `table` holds a text column each (null or "" for missing), or `records` the values.

    `bad` holds the places (from 0) of records that could not be read; their cells mean nothing (None in `records`).
    """

    height: int
    table: pl.DataFrame | None
    records: list[Record | None] | None
    bad: tuple[int, ...] = ()

    def pick(self, places: Sequence[int]) -> Batch:
        """The records at `places` (rising)."""
        chosen = {place: new for new, place in enumerate(places)}
        bad = tuple(chosen[place] for place in self.bad if place in chosen)
        table = self.table[list(places)] if self.table is not None else None
        records = [self.records[place] for place in places] if self.records is not None else None
        return Batch(len(chosen), table, records, bad)

    def as_records(self) -> list[Record | None]:
        """One dict a record, None for a bad one."""
        if self.records is not None:
            return self.records
        assert self.table is not None
        bad = frozenset(self.bad)
        return [None if place in bad else row for place, row in enumerate(self.table.iter_rows(named=True))]


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


def text_table(rows: Sequence[Sequence[str | None]], columns: Sequence[str]) -> pl.DataFrame:
    """A table of texts out of `rows` that have a cell for each of `columns`."""
    import polars as pl

    return pl.DataFrame(
        [pl.Series(name, [row[place] for row in rows], dtype=pl.String) for place, name in enumerate(columns)]
    )


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
    import pyarrow as pa

    offsets = pa.py_buffer(len(block).to_bytes(8, "little").rjust(16, b"\0"))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(block)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
