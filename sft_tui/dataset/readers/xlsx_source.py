"""Workbooks: one sheet, its first row that holds anything as the column names."""

from __future__ import annotations

import datetime
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

from sft_tui.dataset.readers.batch import Batch, Task, Wanted, text_table
from sft_tui.dataset.readers.files import SourceFile, unreadable
from sft_tui.dataset.readers.zip_guard import guard_workbook
from sft_tui.dataset.rows.text import to_text
from sft_tui.i18n import _
from sft_tui.problems import Problem, nearest, refuse

_ROWS_A_TASK = 1000
_BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, SyntaxError,
    ValueError, LookupError, TypeError, AttributeError,
)  # fmt: skip
"""What the libraries for zip, XML and workbooks raise on damaged files."""


class XlsxReader:
    """One sheet of a workbook: the one that is named, otherwise the first that holds rows below its names."""

    def __init__(self, file: SourceFile, sheet: str | None = None) -> None:
        self.file = file
        self.notes: list[Problem] = []
        self._taken = 0
        with _reading(file):
            guard_workbook(file.path)
        with _reading(file), self._book() as book:
            self.sheets = [str(found.title) for found in book.worksheets]
            self.sheet = self._choose(book, sheet)
            header = next(_rows(book[self.sheet]), None)
        if header is None:
            raise unreadable(file.path, _("its sheets are empty"), code="empty_source")
        self._names = [(cell or "").strip() for cell in header]

    @property
    def position(self) -> int:
        """All of the file once the first row was read: a workbook is unpacked as a whole."""
        return self.file.bytes if self._taken else 0

    @contextmanager
    def _book(self) -> Iterator[Any]:
        import openpyxl

        book = openpyxl.load_workbook(self.file.path, read_only=True, data_only=True)
        try:
            yield book
        finally:
            book.close()

    def _choose(self, book: Any, sheet: str | None) -> str:
        if sheet is None:
            held = {name: _rows_held(book[name]) for name in self.sheets}
            return max(held, key=lambda name: held[name], default="")
        if sheet in self.sheets:
            return sheet
        close = nearest(sheet, self.sheets)
        names = ", ".join(self.sheets)
        hint = _("Did you mean {names}?").format(names=", ".join(close)) if close else None
        message = _("{path} has no sheet {sheet}; it has: {names}").format(
            path=self.file.path, sheet=sheet, names=names
        )
        raise refuse("unknown_sheet", message, key="data.sheet", hint=hint or _("Name one of them with --sheet."))

    def columns(self) -> list[str]:
        """The names in the first row."""
        return [name for name in self._names if name]

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The rows below the names; empty rows are none."""
        columns = wanted.columns if wanted.columns is not None else tuple(dict.fromkeys(self.columns()))
        with _reading(self.file), self._book() as book:
            rows = _rows(book[self.sheet])
            next(rows, None)
            block: list[list[str | None]] = []
            for row in rows:
                self._taken += 1
                block.append(row)
                if len(block) >= _ROWS_A_TASK:
                    yield partial(_batch, block, self._names, columns)
                    block = []
            if block:
                yield partial(_batch, block, self._names, columns)


@contextmanager
def _reading(file: SourceFile) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        hint = _("Open it and save it again as .xlsx or .csv.")
        raise unreadable(file.path, str(error).strip("'\"")[:200], hint) from None


def _rows_held(sheet: Any) -> int:
    """2 for a sheet with rows below its names, 1 for one with names only, 0 for an empty one."""
    return sum(1 for _row in islice(_rows(sheet), 2))


def _rows(sheet: Any) -> Iterator[list[str | None]]:
    """The rows of `sheet` that hold anything, as texts."""
    if not hasattr(sheet, "iter_rows"):
        return
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()
    for row in sheet.iter_rows():
        texts = [_text(cell) for cell in row]
        if any(text is not None and text.strip() for text in texts):
            yield texts


def _text(cell: Any) -> str | None:
    """What the cell shows: whole days without a time, TRUE and FALSE as Excel writes them."""
    value = cell.value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        shown = str(cell.number_format).lower()
        return value.date().isoformat() if "h" not in shown else value.isoformat()
    return to_text(value)


def _batch(rows: Sequence[list[str | None]], names: Sequence[str], columns: Sequence[str]) -> Batch:
    places = [names.index(column) if column in names else -1 for column in columns]
    bad: list[int] = []
    cells: list[list[str | None]] = []
    for place, row in enumerate(rows):
        if any(text is not None and text.strip() for text in row[len(names) :]):
            bad.append(place)
        cells.append([row[at] if 0 <= at < len(row) else None for at in places])
    return Batch(len(rows), text_table(cells, columns), None, tuple(bad))
