"""First glances at a source: what it is, a page of it beside what becomes of it, how many records it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sft_tui.dataset.checks import check_request
from sft_tui.dataset.planning import HEAD_RECORDS, plan_mapping
from sft_tui.dataset.readers.batch import SMALL_BLOCK_BYTES, Record, Wanted
from sft_tui.dataset.readers.source import Source
from sft_tui.dataset.request import (
    ColumnInfo,
    Columns,
    ConvertRequest,
    PreviewPage,
    PreviewRow,
    Progress,
    SourceInfo,
)
from sft_tui.dataset.rows.clean import make_maker, written_columns
from sft_tui.dataset.rows.doubts import doubts
from sft_tui.dataset.rows.mapping import Mapped, guess_partly, is_turns, map_columns
from sft_tui.dataset.rows.roles import TAGS
from sft_tui.dataset.rows.samples import Maker
from sft_tui.dataset.rows.text import Number, clean_text
from sft_tui.dataset.rows.unused import unused_columns, unused_note
from sft_tui.problems import Problem, Refusal

_SHOWN_CHARACTERS = 200
_SHOWN_VALUES = 5


def inspect_source(
    source: str, *, sheet: str | None = None, rows: int = 20, train_python: str | None = None
) -> SourceInfo:
    """What the head of `source` shows. Reads a few hundred KB of the first file, however large the source is."""
    opened = Source(source, sheet=sheet, train_python=train_python, whole=False)
    columns = opened.columns()
    head = opened.head(max(rows, HEAD_RECORDS))
    reader = opened.reader(opened.files[0])
    stream = getattr(reader, "stream", None)
    dialect = getattr(reader, "dialect", None)
    mapped, problems = _guess(columns, head)
    unused = unused_columns(columns, list(mapped.columns.mapped().values()), head)
    return SourceInfo(
        source=source,
        files=tuple(str(file.path) for file in opened.files),
        kind=opened.files[0].kind,
        columns=tuple(_column(name, head[:rows]) for name in dict.fromkeys(columns)),
        format=mapped.shape,
        mapping=mapped.columns,
        encoding=stream.encoding.name if stream is not None else None,
        delimiter=dialect.delimiter.decode() if dialect is not None else None,
        compression=opened.files[0].compression,
        sheets=tuple(getattr(reader, "sheets", ())),
        sheet=getattr(reader, "sheet", None),
        rows=_known_rows(opened),
        bytes_total=opened.bytes_total,
        problems=problems,
        notes=(
            *opened.notes,
            *doubts(mapped.columns, head),
            *opened.split_notes(mapped.columns),
            *unused_note(() if problems else unused),
        ),
        unused=unused,
    )


def _known_rows(source: Source) -> int | None:
    """The number of records where the files say it themselves."""
    if any(file.kind != "parquet" for file in source.files) or len(source.files) > 100:
        return None
    counts = [getattr(source.reader(file), "rows", None) for file in source.files]
    return None if any(count is None for count in counts) else sum(count or 0 for count in counts)


def _guess(columns: Sequence[str], head: Sequence[Record | None]) -> tuple[Mapped, tuple[Problem, ...]]:
    try:
        return map_columns(columns, head, asked=Columns()), ()
    except Refusal as refusal:
        return Mapped("columns", guess_partly(list(dict.fromkeys(columns)), head)), refusal.problems


def _column(name: str, head: Sequence[Record | None]) -> ColumnInfo:
    values = [record.get(name) for record in head if record is not None]
    present = [value for value in values if value is not None and value != ""]
    return ColumnInfo(name, tuple(_shown(value) for value in values[:_SHOWN_VALUES]), _kind(present))


def _kind(values: Sequence[Any]) -> str:
    if values and all(is_turns(value) for value in values):
        return "turns"
    if values and all(isinstance(value, dict) for value in values):
        return "object"
    if values and all(isinstance(value, list | tuple) for value in values):
        return "list"
    if values and all(isinstance(value, Number | int | float) and not isinstance(value, bool) for value in values):
        return "number"
    return "text"


def _shown(value: Any) -> str:
    try:
        text = clean_text(value)
    except UnicodeError:
        text = clean_text(str(value).encode("utf-8", "replace").decode())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def preview(request: ConvertRequest, start: int, count: int) -> PreviewPage:
    """`count` records from record `start` (from 1). The first page costs the same for a file of any size."""
    check_request(request)
    source = Source(request.source, sheet=request.sheet, train_python=request.train_python, whole=False)
    planned = plan_mapping(source, request)
    mapped, texts = planned.mapped, planned.texts
    maker = make_maker(mapped, texts)
    rows: list[PreviewRow] = []
    more = False
    for number, record in _records(source, max(start, 1)):
        if len(rows) == count:
            more = True
            break
        rows.append(_row(number, record, maker))
    return PreviewPage(
        start=max(start, 1),
        rows=tuple(rows),
        more=more,
        format=mapped.written,
        mapping=mapped.columns,
        columns=written_columns(mapped, texts),
        tags=dict(TAGS) if mapped.columns.messages else {},
        notes=(*source.notes, *planned.notes, *unused_note(planned.unused)),
        unused=planned.unused,
    )


def find_row(request: ConvertRequest, after: int, text: str, check: Callable[[], None]) -> PreviewRow | None:
    """The next record after number `after` that holds `text`, or for "" that would be left out. Reads up to it.

    Upper and lower case are the same; None where there is none.
    """
    check_request(request)
    source = Source(request.source, sheet=request.sheet, train_python=request.train_python, whole=False)
    planned = plan_mapping(source, request)
    mapped, texts = planned.mapped, planned.texts
    maker = make_maker(mapped, texts)
    for number, record in _records(source, after + 1):
        check()
        found = maker.make(record).sample is None if not text else _holds(record, text.casefold())
        if found:
            return _row(number, record, maker)
    return None


def _holds(record: Record | None, folded: str) -> bool:
    """Whether a value of `record`, as it is shown, has the case-folded text in it."""
    values = record.values() if record is not None else ()
    return any(folded in (value if isinstance(value, str) else _flat(value)).casefold() for value in values)


def _flat(value: Any) -> str:
    shown = plain(value)
    return "" if shown is None else json.dumps(shown, ensure_ascii=False, default=str)


def _row(number: int, record: Record | None, maker: Maker) -> PreviewRow:
    made = maker.make(record)
    shown: Mapping[str, Any] = {} if record is None else {key: plain(value) for key, value in record.items()}
    return PreviewRow(number, shown, made.sample, made.reason, made.why, made.test, made.left_out)


def plain(value: Any) -> Any:
    """`value` in the types of JSON; numbers as they were written, times as ISO 8601."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str(value.encode("utf-8", "replace").decode("utf-8"))
    return _shown(value)


def _records(source: Source, start: int) -> Iterator[tuple[int, Record | None]]:
    """The records from number `start` with their numbers; those before are skipped a block at a time."""
    wanted = Wanted(None, as_records=True, block_bytes=SMALL_BLOCK_BYTES)
    number = 1
    for task in source.tasks(wanted):
        batch = task()
        if number + batch.height > start:
            yield from (
                (number + place, record) for place, record in enumerate(batch.as_records()) if number + place >= start
            )
        number += batch.height


def count_rows(
    source: str,
    progress: Callable[[Progress], None] | None = None,
    *,
    sheet: str | None = None,
    train_python: str | None = None,
) -> int:
    """How many records `source` holds, broken ones included. `progress` is called after each block."""
    opened = Source(source, sheet=sheet, train_python=train_python)
    columns = opened.columns()
    rows = 0
    for task in opened.tasks(Wanted(tuple(columns[:1]), as_records=False)):
        rows += task().height
        if progress is not None:
            progress(Progress(rows, opened.bytes_read, opened.bytes_total))
    return rows
