"""Parquet and Arrow (Feather) files: any row groups, dictionaries, large strings, nested columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sft_tui.dataset.readers.batch import Batch, Task, Wanted
from sft_tui.dataset.readers.source_file import SourceFile, damaged, unreadable
from sft_tui.dataset.rows.text import to_text
from sft_tui.dataset.rows.texts import missing, table_of
from sft_tui.problems import Problem

_FEWEST_ROWS, _MOST_ROWS = 16, 1 << 16
_MAGIC = b"ARROW1"


class ParquetReader:
    """A parquet file, read in batches of about a block."""

    def __init__(self, file: SourceFile, *, whole: bool = True) -> None:
        from pyarrow import parquet

        del whole
        self.file = file
        self.notes: list[Problem] = []
        self._taken = 0
        with reading_tables(file):
            self._parquet = parquet.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20)
            self._schema = self._parquet.schema_arrow
        self.rows = int(self._parquet.metadata.num_rows)

    @property
    def position(self) -> int:
        """Bytes of the file read so far, as the share of the rows read."""
        return self.file.bytes * self._taken // max(self.rows, 1)

    def columns(self) -> list[str]:
        """The top-level columns."""
        return [*self._schema.names, *(name for name in self.file.partitions if name not in self._schema.names)]

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The rows, a batch a task; only the wanted columns are read."""
        self._taken = 0
        names = self._schema.names
        columns = wanted.columns if wanted.columns is not None else tuple(dict.fromkeys(names))
        present = [name for name in dict.fromkeys(columns) if name in names]
        if not present:
            yield from _empty_tasks(self.rows, columns, wanted)
            return
        meta = self._parquet.metadata
        plain = sum(meta.row_group(at).total_byte_size for at in range(meta.num_row_groups))
        rows = wanted.block_bytes * max(self.rows, 1) // max(plain, 1)
        size = min(max(rows, _FEWEST_ROWS), _MOST_ROWS)
        with reading_tables(self.file):
            for batch in self._parquet.iter_batches(batch_size=size, columns=present, use_threads=False):
                self._taken += batch.num_rows
                yield partial(_batch, self.file, batch, columns, wanted)


class ArrowReader:
    """An Arrow IPC file (Feather 2), or a stream as `datasets` saves it, read a record batch at a time."""

    def __init__(self, file: SourceFile, *, whole: bool = True) -> None:
        del whole
        self.file = file
        self.notes: list[Problem] = []
        self.position = 0
        """Bytes of the file read so far."""
        with reading_tables(file):
            self._names = [str(name) for name in self._open()[0].names]

    def _open(self) -> tuple[Any, Iterator[tuple[Any, int]]]:
        """The schema, and the record batches with the bytes of the file that were read with each."""
        import pyarrow as pa

        stream = pa.OSFile(str(self.file.path), "rb")
        if stream.read(len(_MAGIC)) == _MAGIC:
            whole = pa.ipc.open_file(stream)
            count = whole.num_record_batches
            return whole.schema, ((whole.get_batch(at), self.file.bytes * (at + 1) // count) for at in range(count))
        stream.seek(0)
        parts = pa.ipc.open_stream(stream)
        return parts.schema, ((batch, stream.tell()) for batch in parts)

    def columns(self) -> list[str]:
        """The top-level columns."""
        return list(self._names)

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The rows, in slices of each record batch."""
        columns = wanted.columns if wanted.columns is not None else tuple(self.columns())
        with reading_tables(self.file):
            for batch, taken in self._open()[1]:
                self.position = taken
                size = max(batch.num_rows * wanted.block_bytes // max(batch.nbytes, 1), _FEWEST_ROWS)
                for start in range(0, batch.num_rows, size):
                    yield partial(_batch, self.file, batch.slice(start, size), columns, wanted)


@contextmanager
def reading_tables(file: SourceFile) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise unreadable(file.path, reason, damaged()) from None


def _empty_tasks(rows: int, columns: Sequence[str], wanted: Wanted) -> Iterator[Task]:
    """Rows of which nothing is wanted: only their number counts."""
    for start in range(0, rows, _MOST_ROWS):
        height = min(_MOST_ROWS, rows - start)
        yield partial(_hollow, height, columns, wanted)


def _hollow(height: int, columns: Sequence[str], wanted: Wanted) -> Batch:
    if wanted.as_records:
        return Batch(height, None, [dict.fromkeys(columns) for _row in range(height)])
    return Batch(height, table_of(dict.fromkeys(columns, missing(height))), None)


def _batch(file: SourceFile, batch: Any, columns: Sequence[str], wanted: Wanted) -> Batch:
    with reading_tables(file):
        return _records(batch, columns) if wanted.as_records or wanted.columns is None else _table(batch, columns)


def _table(batch: Any, columns: Sequence[str]) -> Batch:
    import pyarrow as pa

    height = batch.num_rows
    bad: set[int] = set()
    found: dict[str, Any] = dict.fromkeys(columns, missing(height))
    for name in columns:
        if name in batch.schema.names:
            texts, broken = _text_column(batch.column(batch.schema.names.index(name)))
            bad.update(broken)
            found[name] = pa.array(texts, pa.large_string()) if isinstance(texts, list) else texts
    return Batch(height, table_of(found), None, tuple(sorted(bad)))


def _text_column(array: Any) -> tuple[Any, list[int]]:
    """The column as texts, and the places of cells that are no valid text."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if kind == pa.string_view():  # which can neither be taken from nor viewed as bytes
        array = array.cast(pa.large_string())
        kind = array.type
    if pa.types.is_null(kind):
        return [None] * len(array), []
    if pa.types.is_integer(kind):
        return array.cast(pa.string()), []
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            array.validate(full=True)
            return array, []
        except pa.ArrowInvalid:
            array = array.view(pa.large_binary() if pa.types.is_large_string(kind) else pa.binary())
            array.validate(full=True)
    return _slow_column(array)


def _slow_column(array: Any) -> tuple[list[str | None], list[int]]:
    texts: list[str | None] = []
    broken: list[int] = []
    for place, value in enumerate(_values(array)):
        try:
            texts.append(to_text(value))
        except UnicodeError:
            texts.append(None)
            broken.append(place)
    return texts, broken


def _values(array: Any) -> list[Any]:
    """Python values; times finer than Python's as ISO texts; invalid texts as bytes; short floats in short form."""
    import pyarrow as pa

    kind = array.type
    if (pa.types.is_timestamp(kind) and kind.unit == "ns") or (pa.types.is_time64(kind) and kind.unit == "ns"):
        return [_nanoseconds(scalar) for scalar in array]
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return [None if value is None or value != value else _short_float(value) for value in array.to_pylist()]
    if pa.types.is_map(kind):
        return [None if pairs is None else dict(pairs) for pairs in array.to_pylist()]
    return list(array.to_pylist())


def _short_float(value: float) -> str:
    import numpy as np

    return str(np.float32(value))


def _nanoseconds(scalar: Any) -> str | None:
    """ISO 8601 with as many digits as are needed."""
    if not scalar.is_valid:
        return None
    nanoseconds = int(scalar.value)
    import pyarrow as pa

    coarse = scalar.cast(
        pa.timestamp("us", scalar.type.tz) if pa.types.is_timestamp(scalar.type) else pa.time64("us"), safe=False
    )
    text = str(coarse.as_py().isoformat())
    rest = nanoseconds % 1000
    if not rest:
        return text
    micro = f".{nanoseconds % 1_000_000_000 // 1000:06d}"
    return text.replace(micro, f"{micro}{rest:03d}") if micro in text else text + f".{nanoseconds % 1_000_000_000:09d}"


def _records(batch: Any, columns: Sequence[str]) -> Batch:
    import pyarrow as pa

    height = batch.num_rows
    values: dict[str, list[Any]] = {}
    bad: set[int] = set()
    for name in columns:
        if name not in batch.schema.names:
            values[name] = [None] * height
            continue
        array = batch.column(batch.schema.names.index(name))
        if pa.types.is_nested(array.type) and not pa.types.is_dictionary(array.type):
            array.validate()
            try:
                values[name] = _values(array)
            except UnicodeDecodeError:
                values[name], broken = _one_by_one(array)
                bad.update(broken)
        else:
            texts, broken = _text_column(array)
            values[name] = texts if isinstance(texts, list) else texts.to_pylist()
            bad.update(broken)
    rows = [None if place in bad else {name: values[name][place] for name in columns} for place in range(height)]
    return Batch(height, None, rows, tuple(sorted(bad)))


def _one_by_one(array: Any) -> tuple[list[Any], list[int]]:
    found: list[Any] = []
    broken: list[int] = []
    for place in range(len(array)):
        try:
            found.append(array[place].as_py())
        except UnicodeDecodeError:
            found.append(None)
            broken.append(place)
    return found, broken
