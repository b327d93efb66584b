"""A source as one stream of records, however many files it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from sft_tui.dataset.readers.batch import SMALL_BLOCK_BYTES, Batch, Reader, Record, Task, Wanted
from sft_tui.dataset.readers.files import resolve
from sft_tui.dataset.readers.kinds import TABLES, WORKBOOKS
from sft_tui.dataset.readers.source_file import HUB, SourceFile
from sft_tui.dataset.readers.splits import split_note
from sft_tui.dataset.request import Columns
from sft_tui.dataset.rows.marks import FILE_SPLIT
from sft_tui.dataset.rows.texts import large, missing, table_of
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity, refuse

_HEADS_READ = 20
_READERS_KEPT = 4
_SHOWN = 3
_TELL_LATE = ("json", "hub")
"""Kinds whose blocks tell of columns that their heads do not have."""


def open_reader(file: SourceFile, sheet: str | None, *, whole: bool) -> Reader:
    """The reader for the kind of `file`."""
    if file.kind == "csv":
        from sft_tui.dataset.readers.csv_source import CsvReader

        return CsvReader(file, whole=whole)
    if file.kind == "json":
        from sft_tui.dataset.readers.json_source import JsonReader

        return JsonReader(file, whole=whole)
    if file.kind in WORKBOOKS:
        from sft_tui.dataset.readers.xlsx_source import XlsxReader

        return XlsxReader(file, sheet)
    if file.kind in TABLES:
        from sft_tui.dataset.readers.table_source import TableReader

        return TableReader(file)
    from sft_tui.dataset.readers import parquet_source

    return parquet_source.ParquetReader(file) if file.kind == "parquet" else parquet_source.ArrowReader(file)


class Source:
    """All records of a source in order. With `whole` false only heads are looked at, for a cheap first glance."""

    def __init__(
        self, source: str, *, sheet: str | None = None, train_python: str | None = None, whole: bool = True
    ) -> None:
        self.name = source
        self.sheet = sheet
        self.whole = whole
        self._train_python = train_python
        self._done = 0
        self._reader: Reader | None = None
        self._readers: dict[tuple[Path, str | None], Reader] = {}
        self.notes: list[Problem] = []
        self.late: dict[str, None] = {}
        """Columns that a file has without their being known."""
        self._hub: Reader | None = None
        if source.startswith(HUB):
            from sft_tui.dataset.readers.hub_source import HubReader

            self._hub = HubReader(source.removeprefix(HUB), train_python)
            self.files = [self._hub.file]
        else:
            left: list[str] = []
            self.files = resolve(source, left)
            self.notes += _left_out(left)
        if sheet is not None and all(file.kind not in WORKBOOKS for file in self.files):
            message = _("--sheet names a sheet of a workbook, but {source} is none.").format(source=source)
            raise refuse("no_workbook", message, key="data.sheet", hint=_("Leave --sheet away."))

    @property
    def bytes_total(self) -> int | None:
        """The size of all files; None for a hub name."""
        return None if self._hub is not None else sum(file.bytes for file in self.files)

    @property
    def bytes_read(self) -> int:
        """How much of it was read."""
        return self._done + (self._reader.position if self._reader is not None else 0)

    @property
    def folders(self) -> tuple[str, ...]:
        """The directories of the files, where the files that rows name are looked for."""
        return tuple(dict.fromkeys(str(file.path.absolute().parent) for file in self.files)) if not self._hub else ()

    def split_notes(self, columns: Columns) -> tuple[Problem, ...]:
        """What should be said of the files where their names divide the rows."""
        return (split_note(self.files),) if columns.split == FILE_SPLIT else ()

    @property
    def sparse(self) -> bool:
        """Whether the records come out of tables, whose objects have every field that one of them has."""
        return any(file.kind in ("parquet", "arrow", "hub", *TABLES) for file in self.files)

    def reader(self, file: SourceFile) -> Reader:
        """The reader for `file`; those of the first files are kept, because finding out what they are takes time."""
        if self._hub is not None:
            return self._hub
        kept = self._readers.get((file.path, file.member))
        if kept is None:
            kept = open_reader(file, self.sheet, whole=self.whole)
            if len(self._readers) < _READERS_KEPT:
                self._readers[file.path, file.member] = kept
        return kept

    def columns(self, most_files: int | None = _HEADS_READ) -> list[str]:
        """The columns of the first files, in the order they turn up. A name that one file has twice is twice here."""
        names: list[str] = []
        for file in self.files[:most_files]:
            found = self.reader(file).columns()
            names += [name for name in found if name not in names or found.count(name) > names.count(name)]
            names += [name for name in file.partitions if name not in names]
        return names

    def head(self, count: int) -> list[Record | None]:
        """The first `count` records (None for one that cannot be read)."""
        records = list(islice(self.records(), count))
        self._done, self._reader = 0, None
        if self._hub is not None:
            self._note(self._hub)
        return records

    def records(self) -> Iterator[Record | None]:
        """The records from the first (None for one that cannot be read), with all their columns."""
        wanted = Wanted(None, as_records=True, block_bytes=SMALL_BLOCK_BYTES)
        for task in self.tasks(wanted):
            yield from task().as_records()

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """Every record, a block a task, in order."""
        self._done = 0
        for file in self.files:
            self._reader = self.reader(file)
            if wanted.known is not None and file.kind not in _TELL_LATE:
                self.late |= dict.fromkeys(name for name in self._reader.columns() if name not in wanted.known)
            for task in self._reader.tasks(wanted):
                yield partial(_with_partitions, task, file.partitions, wanted) if file.partitions else task
            self._note(self._reader)
            self._done += file.bytes
            self._reader = None

    def _note(self, reader: Reader) -> None:
        self.notes += [note for note in reader.notes if note not in self.notes]
        stream = getattr(reader, "stream", None)
        if stream is not None and stream.encoding.last_resort:
            message = _("{path} is read as Latin-1 (Windows-1252): it is no UTF-8, UTF-16 or GB18030.")
            hint = _("Look at the preview; if letters are wrong, save the file as UTF-8.")
            path = str(reader.file.path)
            note = Problem("latin1", message.format(path=path), Severity.WARNING, path=path, hint=hint)
            if note not in self.notes:
                self.notes.append(note)


def _left_out(sentences: Sequence[str]) -> list[Problem]:
    """What is said of the files in a directory that are not read."""
    if not sentences:
        return []
    message = _("Files of the directory are left out ({count}): {reasons}")
    reasons = " ".join(f"{sentence.rstrip('.')}." for sentence in sentences[:_SHOWN])
    text = message.format(count=len(sentences), reasons=reasons + (" ..." if len(sentences) > _SHOWN else ""))
    return [Problem("files_left_out", text, Severity.WARNING, key="data.source")]


def _with_partitions(task: Task, partitions: dict[str, str | None], wanted: Wanted) -> Batch:
    batch = task()
    added = {name: value for name, value in partitions.items() if wanted.columns is None or name in wanted.columns}
    if batch.records is not None:
        rows = [None if row is None else {**row, **added} for row in batch.records]
        return replace(batch, records=rows)
    import pyarrow as pa

    extra = {
        name: missing(batch.height) if value is None else pa.repeat(large(value), batch.height)
        for name, value in added.items()
    }
    known = dict(zip(batch.table.schema.names, batch.table.columns, strict=True))
    return replace(batch, table=table_of(known | extra))
