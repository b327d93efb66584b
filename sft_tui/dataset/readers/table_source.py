"""Tables of other programs: ORC, Stata, SAS, SPSS, XML and web pages, as Arrow batches.

All are read piece by piece but the last two, which are held in memory, and refused above a size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from itertools import chain
from typing import Any

from sft_tui.dataset.readers.parquet_source import ArrowReader
from sft_tui.dataset.readers.source_file import SourceFile, damaged, unreadable
from sft_tui.dataset.readers.streams import TextStream
from sft_tui.i18n import _
from sft_tui.units import GIB

_ROWS = 10_000
_MOST_HELD_BYTES = GIB
_HEAD_BYTES = 4096
_BROKEN = (SyntaxError, struct.error, AttributeError, LookupError, TypeError, OverflowError)
"""What pandas' readers, and the parser of XML, raise on damaged files besides ValueError and OSError."""


class TableReader(ArrowReader):
    """A table of another program, read a batch at a time."""

    def _open(self) -> tuple[Any, Iterator[tuple[Any, int]]]:
        """The schema, and the record batches with the bytes of the file that were read with each."""
        batches = _guarded(self.file)
        first = next(batches, None)
        if first is None:
            raise unreadable(self.file.path, _("it is empty"), code="empty_source")
        return first.schema, ((batch, self.file.bytes) for batch in chain((first,), batches))


def _guarded(file: SourceFile) -> Iterator[Any]:
    """The batches of `file`, with what its library raises on damaged files as a refusal."""
    try:
        yield from _OPENERS[file.kind](file)
    except _BROKEN as error:
        raise unreadable(file.path, error, damaged()) from None


def _orc(file: SourceFile) -> Iterator[Any]:
    from pyarrow import orc

    table = orc.ORCFile(str(file.path))
    return (table.read_stripe(at) for at in range(table.nstripes))


def _stata(file: SourceFile) -> Iterator[Any]:
    import pandas as pd

    with pd.read_stata(file.path, chunksize=_ROWS, convert_missing=False, preserve_dtypes=True) as frames:
        yield from map(_batch, frames)


def _readstat(file: SourceFile) -> Iterator[Any]:
    try:
        import pyreadstat
    except ImportError:
        reason = _("files of SAS and SPSS are read with pyreadstat, which is not installed")
        hint = _("Install pyreadstat beside this program, or save the data as CSV.")
        raise unreadable(file.path, reason, hint) from None
    read: Any
    options: dict[str, Any] = {"chunksize": _ROWS}
    if file.kind == "spss":
        read, options = pyreadstat.read_sav, options | {"apply_value_formats": True, "formats_as_category": False}
    else:
        read = pyreadstat.read_xport if file.suffix == ".xpt" else pyreadstat.read_sas7bdat
    try:
        for frame, _meta in pyreadstat.read_file_in_chunks(read, str(file.path), **options):
            frame.attrs.clear()
            yield _batch(frame)
    except pyreadstat.ReadstatError as error:
        raise unreadable(file.path, error, damaged()) from None


def _xml(file: SourceFile) -> Iterator[Any]:
    import pandas as pd

    _refuse_large(file)
    with file.path.open("rb") as stream:
        if b"<!ENTITY" in stream.read(_HEAD_BYTES):
            reason = _("it defines entities, which can grow beyond all bounds")
            raise unreadable(file.path, reason, _("Save the data as CSV or JSON Lines."), code="archive_bomb")
    yield _batch(pd.read_xml(file.path, parser="etree", dtype=str))


def _html(file: SourceFile) -> Iterator[Any]:
    """The one table of a web page with more than a row, its cells as they are written."""
    import pandas as pd

    _refuse_large(file)
    try:
        page = b"".join(TextStream(file).chunks()).decode("utf-8", "replace")
        read = partial(pd.read_html, flavor="lxml", keep_default_na=False)
        tables = [frame for frame in read(StringIO(page)) if len(frame) > 1]
        if len(tables) == 1:
            as_text: Any = dict.fromkeys(tables[0].columns, str)
            again = read(StringIO(page), converters=as_text)
            yield _batch(next(frame for frame in again if len(frame) > 1))
            return
    except ImportError:
        reason = _("tables of web pages are read with lxml, which is not installed")
        hint = _("Install lxml beside this program, or save the table as CSV.")
        raise unreadable(file.path, reason, hint) from None
    except ValueError:
        tables = []
    if not tables:
        raise unreadable(
            file.path,
            _("it is a web page without a table"),
            _("Download the file itself (look for a raw or download link)."),
        )
    reason = _("it is a web page with {count} tables").format(count=len(tables))
    raise unreadable(file.path, reason, _("Save the one that you mean as CSV."))


def _batch(frame: Any) -> Any:
    """The rows of a pandas frame; its floats lose the `.0` where a column has whole numbers alone."""
    import pandas as pd
    import pyarrow as pa

    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
            frame[name] = column.astype("Int64")
        elif isinstance(column.dtype, pd.CategoricalDtype):
            frame[name] = column.astype(object)
    table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=table.schema)


def _refuse_large(file: SourceFile) -> None:
    if file.bytes > _MOST_HELD_BYTES:
        reason = _("it has {gib} GiB, too many to hold in memory").format(gib=round(file.bytes / GIB, 1))
        raise unreadable(file.path, reason, _("Save the data as CSV or parquet."), code="source_too_large")


_OPENERS: dict[str, Callable[[SourceFile], Iterator[Any]]] = {
    "orc": _orc,
    "stata": _stata,
    "sas": _readstat,
    "spss": _readstat,
    "xml": _xml,
    "html": _html,
}
