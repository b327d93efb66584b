"""CSV and its relatives. Clean blocks go through a columnar parser, all others through `csv_cells`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from sft_tui.dataset.readers import csv_cells
from sft_tui.dataset.readers.batch import Batch, Task, Wanted, text_table, valid_utf8
from sft_tui.dataset.readers.csv_cells import Cells, Dialect
from sft_tui.dataset.readers.source_file import SourceFile, unreadable
from sft_tui.dataset.readers.streams import TextStream
from sft_tui.dataset.rows.texts import missing, table_of
from sft_tui.i18n import _
from sft_tui.problems import Problem

if TYPE_CHECKING:
    import numpy as np

_SNIFF_BYTES = 256 << 10
_SNIFF_RECORDS = 100
_QUOTE = 34
_TABLES = (".csv", ".tsv", ".tab", ".psv")
_LEAST_FIT = 0.5
"""A text whose name does not say that it is a table is one if this share of its records has the first one's cells."""
_MARKS = (b",", b"\t", b";", b"|", b":", b"^", b"~")


class CsvReader:
    """A CSV file: every cell is text, the first record names the columns, blank lines are no records."""

    def __init__(self, file: SourceFile, *, whole: bool = True) -> None:
        self.file = file
        self.notes: list[Problem] = []
        self.stream = TextStream(file, whole=whole)
        head, complete = _head(self.stream)
        self.dialect, self._skip = sniff(head, file.suffix, complete)
        first = next(csv_cells.records(head, self.dialect, final=True, start=self._skip), None)
        if first is None:
            raise unreadable(file.path, _("it is empty"), code="empty_source")
        if first.cells is None or self._skip > len(head):
            hint = _("Put the names of the columns in the first line.")
            raise unreadable(file.path, _("its first line, the column names, is broken"), hint)
        self._names = [_name(cell) for cell in first.cells]
        if file.named and file.suffix not in _TABLES and _score(head, self.dialect, complete)[0] < _LEAST_FIT:
            hint = _("If it is a table of a single column, give its name the ending .csv.")
            reason = _("it is text, but no table: its lines are not cut by commas, tabs, semicolons or bars")
            raise unreadable(file.path, reason, hint, code="no_table")
        self._header_end = first.end
        self.dialect = replace(self.dialect, columns=len(self._names))

    @property
    def position(self) -> int:
        """Bytes taken from the file so far."""
        return self.stream.position

    def columns(self) -> list[str]:
        """The column names of the first record; without the empty ones."""
        return [name for name in self._names if name]

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The records below the header, all cells as text."""
        columns = wanted.columns if wanted.columns is not None else tuple(dict.fromkeys(self.columns()))
        for block, exact in self._blocks(wanted.block_bytes):
            if exact:
                yield partial(_exact_batch, block, self.dialect, self._names, columns)
            else:
                yield partial(_parse, block, self.dialect, self._names, columns)

    def _blocks(self, block_bytes: int) -> Iterator[tuple[bytes, bool]]:
        """Whole records, and whether they need the exact parser."""
        buffer = b""
        skip = self._header_end
        for chunk in self.stream.chunks(block_bytes):
            buffer += chunk
            if skip:
                if len(buffer) < skip:
                    continue
                buffer, skip = buffer[skip:], 0
            end, clean = _cut(buffer, self.dialect)
            if not end and len(buffer) > 2 * block_bytes:
                clean = False
            if not clean:
                end = _exact_end(buffer, self.dialect)
            if end:
                yield buffer[:end], not clean
                buffer = buffer[end:]
        if buffer[skip:].strip(b"\r\n"):
            yield buffer[skip:], True


def _head(stream: TextStream) -> tuple[bytes, bool]:
    """The first text, with the whole of its first records; whether it is all there is."""
    head = b""
    for chunk in stream.chunks(_SNIFF_BYTES):
        head += chunk
        if len(head) >= _SNIFF_BYTES:
            return head, False
    return head, True


def _name(cell: bytes) -> str:
    return cell.decode("utf-8", "replace").strip().removeprefix("\ufeff")


def sniff(head: bytes, suffix: str, complete: bool) -> tuple[Dialect, int]:
    """The dialect that explains the first records best, and how many bytes to skip (a `sep=;` line of Excel)."""
    line = head.split(b"\n", 1)[0].strip(b" \r")
    if line.lower().startswith(b"sep=") and len(line) == 5 and line[4:] in _MARKS:
        return Dialect(line[4:5]), head.index(b"\n") + 1
    marks = [b",", b"\t", b";", b"|"]
    if suffix in (".tsv", ".tab"):
        marks = [b"\t", b",", b";", b"|"]
    best = max((Dialect(mark) for mark in marks), key=lambda d: _score(head, d, complete))
    if _score(head, best, complete)[0] == 1.0:
        return best, 0
    others = [replace(best, escape=escape, spaces=spaces) for escape in (False, True) for spaces in (False, True)]
    return max(others, key=lambda d: _score(head, d, complete)), 0


def _score(head: bytes, dialect: Dialect, complete: bool) -> tuple[float, float]:
    """The share of records that have as many cells as the first one, and how many cells that is (1 is worth 0)."""
    found = list(islice(csv_cells.records(head, dialect, final=complete), _SNIFF_RECORDS))
    if not found or found[0].cells is None or len(found[0].cells) < 2:
        return 0.0, 0.0
    width = len(found[0].cells)
    fit = sum(record.cells is not None and len(record.cells) == width for record in found)
    return fit / len(found), width


def _cut(buffer: bytes, dialect: Dialect) -> tuple[int, bool]:
    """Where the last whole record ends, and whether quotes stand only where RFC 4180 puts them."""
    if not dialect.plain:
        return 0, False
    if _QUOTE not in buffer:
        return max(buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, -1)) + 1, True
    import numpy as np

    codes = np.frombuffer(buffer, np.uint8)
    quotes = np.flatnonzero(codes == _QUOTE)
    end = _last_line_end(buffer, quotes)
    inside = quotes[: int(np.searchsorted(quotes, end))]
    return end, _well_placed(codes, inside, dialect.delimiter[0])


def _last_line_end(buffer: bytes, quotes: np.ndarray) -> int:
    """The end of the last line whose end is not within quotes."""
    import numpy as np

    place = len(buffer)
    while True:
        place = buffer.rfind(b"\n", 0, place)
        if place < 0 or int(np.searchsorted(quotes, place)) % 2 == 0:
            return place + 1


def _well_placed(codes: np.ndarray, quotes: np.ndarray, mark: int) -> bool:
    import numpy as np

    if len(quotes) % 2:
        return False
    if not len(quotes):
        return True
    edge = np.zeros(256, bool)
    edge[[mark, 10, 13, _QUOTE]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = opening[opening > 0] - 1
    after = closing[closing + 1 < len(codes)] + 1
    return bool(edge[codes[before]].all() and edge[codes[after]].all())


def _exact_end(buffer: bytes, dialect: Dialect) -> int:
    end = 0
    for record in csv_cells.records(buffer, dialect, final=False):
        end = record.end
    return end


def _exact_batch(block: bytes, dialect: Dialect, names: Sequence[str], columns: Sequence[str]) -> Batch:
    """The slow, exact reading of `block`."""
    rows: list[list[str | None]] = []
    bad: list[int] = []
    places = [names.index(column) if column in names else -1 for column in columns]
    empty: list[str | None] = [None] * len(columns)
    for place, record in enumerate(csv_cells.records(block, dialect, final=True)):
        cells = _texts(record, len(names))
        if cells is None:
            bad.append(place)
        rows.append(empty if cells is None else [cells[at] if 0 <= at < len(cells) else None for at in places])
    return Batch(len(rows), text_table(rows, columns), None, tuple(bad))


def _texts(record: Cells, width: int) -> list[str] | None:
    """The cells as text, or None for what is no record: broken quotes, invalid bytes, more cells than names."""
    if record.cells is None or any(cell.strip() for cell in record.cells[width:]):
        return None
    try:
        return [cell.decode("utf-8") for cell in record.cells[:width]]
    except UnicodeDecodeError:
        return None


def _parse(block: bytes, dialect: Dialect, names: Sequence[str], columns: Sequence[str]) -> Batch:
    """The fast reading of `block`, whose quotes are well placed; the exact one where it stumbles."""
    present = [column for column in columns if column in names]
    table = None
    if present and valid_utf8(block):  # also in the columns that are not wanted: invalid bytes spoil their row
        table = arrow_cells(block, dialect, len(names), [names.index(column) for column in present])
    if table is None:
        return _exact_batch(block, dialect, names, columns)
    cells = dict(zip(present, table.columns, strict=True))
    found = {name: cells[name].combine_chunks() if name in cells else missing(table.num_rows) for name in columns}
    return Batch(table.num_rows, table_of(found), None)


def arrow_cells(block: bytes, dialect: Dialect, width: int, places: Sequence[int]) -> Any:
    """A table of the cells at `places` of valid UTF-8; None where a line has too many or too few cells."""
    import pyarrow as pa
    from pyarrow import csv

    keys = [str(place) for place in range(width)]
    wanted = [keys[place] for place in places]
    try:
        return csv.read_csv(
            pa.BufferReader(block),
            read_options=csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=keys),
            parse_options=csv.ParseOptions(
                delimiter=dialect.delimiter.decode(), newlines_in_values=True, ignore_empty_lines=True
            ),
            convert_options=csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
