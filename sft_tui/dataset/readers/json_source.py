"""JSON in every shape that people send: lines, an array, concatenated objects, a wrapper, a dict of columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from sft_tui.dataset.readers import json_scan
from sft_tui.dataset.readers.batch import SMALL_BLOCK_BYTES, Batch, Record, Task, Wanted, batch_of
from sft_tui.dataset.readers.json_parse import parse_elements, parse_lines, parse_record
from sft_tui.dataset.readers.json_shape import Shape, columns_as_records, find_shape
from sft_tui.dataset.readers.source_file import SourceFile, unreadable
from sft_tui.dataset.readers.streams import TextStream
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

_HEAD_RECORDS = 200
_BLANK = b" \t\r\n"
_ELEMENTS_A_TASK = 4096


class JsonReader:
    """A file of JSON records."""

    def __init__(self, file: SourceFile, *, whole: bool = True) -> None:
        self.file = file
        self.notes: list[Problem] = []
        self.stream = TextStream(file, whole=whole)
        self.shape: Shape = find_shape(self.stream, file)
        if self.shape.kind == "empty":
            raise unreadable(file.path, _("it is empty"), code="empty_source")

    @property
    def position(self) -> int:
        """Bytes taken from the file so far."""
        return self.stream.position

    def columns(self) -> list[str]:
        """The keys of the first records, in the order they turn up."""
        names: dict[str, None] = {}
        wanted = Wanted(None, as_records=True, block_bytes=SMALL_BLOCK_BYTES)
        records = (record for task in self.tasks(wanted) for record in task().as_records())
        for record in islice(records, _HEAD_RECORDS):
            names.update(dict.fromkeys(record or ()))
        return list(names)

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The records, a block a task."""
        kind = self.shape.kind
        if kind == "lines":
            yield from (partial(parse_lines, block, wanted) for block in self._line_blocks(wanted.block_bytes))
        elif kind == "columns":
            yield from self._column_tasks(wanted)
        elif kind == "document":
            yield from _document_tasks(self.shape.records or [], wanted)
        else:
            yield from self._element_tasks(wanted)

    def _line_blocks(self, block_bytes: int) -> Iterator[bytes]:
        rest = b""
        for chunk in self.stream.chunks(block_bytes):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                rest += chunk
                continue
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        if rest.strip(_BLANK):
            yield rest

    def _element_tasks(self, wanted: Wanted) -> Iterator[Task]:
        sequence = self.shape.kind == "sequence"
        chunks = _from(self.stream.chunks(wanted.block_bytes), self.shape.start)
        closed = sequence
        for scan in self._scans(chunks, sequence):
            raws = [raw for raw in scan.elements if sequence or raw.strip(_BLANK)]
            empty = len(scan.elements) - len(raws)
            for at in range(0, len(raws), _ELEMENTS_A_TASK):
                yield partial(parse_elements, raws[at : at + _ELEMENTS_A_TASK], wanted)
            if empty:
                yield partial(_broken_batch, empty, wanted)
            closed = closed or scan.closed
        if not closed:
            message = _("{path} ends before its list is closed: it may be half downloaded.").format(path=self.file.path)
            self.notes[:] = [Problem("cut_short", message, Severity.WARNING, path=str(self.file.path))]

    def _scans(self, chunks: Iterator[bytes], sequence: bool) -> Iterator[json_scan.Scan]:
        try:
            yield from json_scan.elements(chunks, sequence=sequence)
        except OverflowError:
            hint = _("Look for a missing quote or bracket, or write the data as JSON Lines: one object a line.")
            raise unreadable(self.file.path, _("one element does not end within 256 MiB"), hint) from None

    def _column_tasks(self, wanted: Wanted) -> Iterator[Task]:
        """A dict of columns: one pass for each wanted column, side by side, so that memory stays flat."""
        starts = self.shape.columns or {}
        names = [name for name in starts if wanted.columns is None or name in wanted.columns]
        names = names or list(starts)[:1]
        passes = [self._column_values(starts[name], wanted.block_bytes // 8) for name in names]
        while True:
            rows = [list(islice(values, _ELEMENTS_A_TASK)) for values in passes]
            if len({len(row) for row in rows}) > 1:
                lengths = ", ".join(f"{name}" for name in names)
                raise unreadable(self.file.path, _("its columns are not equally long: {names}").format(names=lengths))
            if not rows or not rows[0]:
                return
            yield partial(_column_batch, names, rows, wanted)

    def _column_values(self, start: tuple[int, bool], block_bytes: int) -> Iterator[bytes]:
        offset, keyed = start
        stream = TextStream(self.file)
        for scan in self._scans(_from(stream.chunks(block_bytes), offset), sequence=False):
            for raw in scan.elements:
                yield b"{" + raw + b"}" if keyed else raw


def _from(chunks: Iterator[bytes], start: int) -> Iterator[bytes]:
    """`chunks` without their first `start` bytes."""
    for chunk in chunks:
        if start >= len(chunk):
            start -= len(chunk)
            continue
        yield chunk[start:]
        start = 0


def _broken_batch(count: int, wanted: Wanted) -> Batch:
    return batch_of([None] * count, wanted)


def _document_tasks(records: Sequence[Any], wanted: Wanted) -> Iterator[Task]:
    kept = [record if isinstance(record, dict) else None for record in records]
    yield partial(batch_of, kept, wanted)


def _column_batch(names: Sequence[str], rows: Sequence[Sequence[bytes]], wanted: Wanted) -> Batch:
    records: list[Record | None] = []
    keys = [json.dumps(name).encode() for name in names]
    for cells in zip(*rows, strict=True):
        raw = b"{" + b",".join(key + b":" + cell for key, cell in zip(keys, cells, strict=True)) + b"}"
        record = parse_record(raw)
        records.append(columns_as_records(record) if record is not None else None)
    return batch_of(records, wanted)
