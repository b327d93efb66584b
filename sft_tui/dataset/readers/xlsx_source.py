"""Workbooks of any spreadsheet: one sheet, its first row that holds anything as the column names.

`.xlsx` is read by openpyxl, a row at a time and with big integers as they were written; older and other kinds (`.xls`,
`.xlsb`, `.ods`) by calamine, which knows numbers as floats only and holds the sheet in memory.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

from sft_tui.dataset.readers.batch import Batch, Task, Wanted, text_table
from sft_tui.dataset.readers.source_file import SourceFile, unreadable
from sft_tui.dataset.readers.zip_guard import guard_workbook
from sft_tui.dataset.rows.text import to_text
from sft_tui.i18n import _
from sft_tui.problems import Problem, Refusal, nearest, refuse

Rows = Callable[[], Iterator[list[str | None]]]
_ROWS_A_TASK = 1000
_MOST_MEMORY_BYTES = 8 << 30
_EXACT = 2**53
"""Below it, floats hold every whole number."""
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
            if zipfile.is_zipfile(file.path):
                guard_workbook(file.path)
            if file.kind == "sheets":
                _try_out(file)
        with _reading(file), self._book() as book:
            self.sheets = list(book)
            self.sheet = self._choose(book, sheet)
            header = next(book[self.sheet](), None) if self.sheet in book else None
        if header is None:
            raise unreadable(file.path, _("its sheets are empty"), code="empty_source")
        self._names = [(cell or "").strip() for cell in header]

    @property
    def position(self) -> int:
        """All of the file once the first row was read: a workbook is unpacked as a whole."""
        return self.file.bytes if self._taken else 0

    @contextmanager
    def _book(self) -> Iterator[dict[str, Rows]]:
        """What gives the rows of each sheet that hold anything, as texts."""
        if self.file.kind == "sheets":
            import python_calamine

            with python_calamine.CalamineWorkbook.from_path(self.file.path) as found:
                yield {name: partial(_calamine_rows, found, name) for name in found.sheet_names}
            return
        import openpyxl

        book = openpyxl.load_workbook(self.file.path, read_only=True, data_only=True)
        try:
            yield {str(sheet.title): partial(_rows, sheet) for sheet in book.worksheets}
        finally:
            book.close()

    def _choose(self, book: dict[str, Rows], sheet: str | None) -> str:
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
            rows = book[self.sheet]()
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


def _broken() -> tuple[type[Exception], ...]:
    """What the libraries raise on damaged files, with calamine's own error where it was loaded."""
    calamine = sys.modules.get("python_calamine")
    return (*_BROKEN, calamine.CalamineError) if calamine else _BROKEN


@contextmanager
def _reading(file: SourceFile) -> Iterator[None]:
    try:
        yield
    except Refusal:
        raise
    except _broken() as error:
        hint = _("Open it and save it again as .xlsx or .csv.")
        raise unreadable(file.path, str(error).strip("'\"")[:200], hint) from None


_TRIAL = """
import resource, sys
import python_calamine
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
most = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
with python_calamine.CalamineWorkbook.from_path(sys.argv[1]) as book:
    for name in book.sheet_names:
        for row in book.get_sheet_by_name(name).iter_rows():
            pass
"""


def _try_out(file: SourceFile) -> None:
    """Read the workbook once in a process of its own: in a damaged one the library may end the process it runs in."""
    command = [sys.executable, "-I", "-c", _TRIAL, str(file.path), str(_MOST_MEMORY_BYTES)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [""]
        raise ValueError(said[-1 if done.returncode > 0 else 0])


def _rows_held(rows: Rows) -> int:
    """2 for a sheet with rows below its names, 1 for one with names only, 0 for an empty one."""
    return sum(1 for _row in islice(rows(), 2))


def _rows(sheet: Any) -> Iterator[list[str | None]]:
    """The rows of `sheet` that hold anything, as texts."""
    if not hasattr(sheet, "iter_rows"):
        return
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()
    yield from _held([_text(cell) for cell in row] for row in sheet.iter_rows())


def _calamine_rows(book: Any, name: str) -> Iterator[list[str | None]]:
    """The rows of the sheet `name` that hold anything, as texts."""
    yield from _held([_calamine_text(value) for value in row] for row in book.get_sheet_by_name(name).iter_rows())


def _held(rows: Iterable[list[str | None]]) -> Iterator[list[str | None]]:
    return (row for row in rows if any(text is not None and text.strip() for text in row))


def _calamine_text(value: Any) -> str | None:
    """A value as text; these workbooks know no whole numbers, so that a number without a fraction is shown as one."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return (
        str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else to_text(value)
    )


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
