"""Which of the shapes of JSON a file has, told from its head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sft_tui.dataset.readers import json_scan
from sft_tui.dataset.readers.source_file import SourceFile, unreadable
from sft_tui.dataset.readers.streams import TextStream
from sft_tui.dataset.rows.text import parse_json
from sft_tui.i18n import _

_BLANK = b" \t\r\n"
_HEAD_BYTES = 1 << 20
_LINES_TRIED = 20
_TURN_KEYS = ({"role", "content"}, {"from", "value"}, {"role", "value"}, {"from", "content"})
_MEMBER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """`kind` is lines, array, sequence, wrapper, columns, document or empty.

    `start` is the offset of the first element for array and wrapper; `records` the parsed records of a small document;
    `columns` the offset of each column's values and whether they have keys.
    """

    kind: str
    start: int = 0
    records: list[Any] | None = None
    columns: dict[str, tuple[int, bool]] | None = None


def find_shape(stream: TextStream, file: SourceFile) -> Shape:
    """The shape of the text in `stream`."""
    head, complete = _head(stream, _HEAD_BYTES)
    first = next((at for at, byte in enumerate(head) if byte not in _BLANK), None)
    if first is None:
        return Shape("empty")
    if _is_lines(head, complete):
        whole = head.strip(_BLANK)
        if complete and b"\n" not in whole and (shape := _document(whole)) is not None:
            return shape
        return Shape("lines")
    if head[first] == ord("["):
        return Shape("array", first + 1)
    if head[first] != ord("{"):
        return Shape("lines")
    return _object_shape(stream, head, complete, first, file)


def _head(stream: TextStream, size: int) -> tuple[bytes, bool]:
    head = b""
    for chunk in stream.chunks(256 << 10):
        head += chunk
        if len(head) >= size:
            return head, False
    return head, True


def _is_lines(head: bytes, complete: bool) -> bool:
    """Whether one of the first lines is a whole object: then each line is meant to be one."""
    lines = [line for line in head.split(b"\n", 200)[:_LINES_TRIED] if line.strip(_BLANK)]
    if not complete and lines and head.count(b"\n") < _LINES_TRIED:
        lines = lines[:-1]
    first = lines[0].lstrip() if lines else b""
    if first.startswith(b"["):
        return len(lines) > 1 and lines[1].lstrip()[:1] in (b"[", b"{") and _parses(lines[0])
    return any(
        line.lstrip().startswith(b"{") and line.lstrip() == line and _parses(line.rstrip(b", \r\t")) for line in lines
    )


def _parses(raw: bytes) -> bool:
    try:
        parse_json(raw.decode("utf-8"))
    except ValueError:
        return False
    return True


def _object_shape(stream: TextStream, head: bytes, complete: bool, first: int, file: SourceFile) -> Shape:
    ends, _closed, _broken = json_scan.ends_of(head[first:], True)
    if ends:
        rest = head[first + ends[0] :].strip(_BLANK)
        if rest or not complete:
            return Shape("sequence", first)
        return _document(head[first:]) or Shape("sequence", first)
    if complete:
        shape = _big_document(iter([head]), first)
        return shape or Shape("sequence", first)
    shape = _big_document(stream.chunks(), first)
    if shape is None:
        hint = _("Write the data as JSON Lines: one object a line.")
        raise unreadable(file.path, _("it is one JSON object without a list of records"), hint)
    return shape


def _document(raw: bytes) -> Shape | None:
    """The shape of a file that is one small object; None where it is simply a record."""
    try:
        value = parse_json(raw.decode("utf-8"))
    except ValueError:
        return None
    records = records_of(value)
    return Shape("document", records=records) if records is not None else None


def records_of(value: Any) -> list[Any] | None:
    """The records in an object that is a wrapper or a dict of columns; None where it is a record itself."""
    if not isinstance(value, dict) or not value:
        return None
    if {"columns", "data"} <= set(value) and all(isinstance(value[key], list) for key in ("columns", "data")):
        return _of_rows(value["columns"], value["data"])
    lists = {key: item for key, item in value.items() if _is_record_list(key, item)}
    if len(lists) == 1:
        return list(next(iter(lists.values())))
    items = list(value.values())
    if all(isinstance(item, list) for item in items) and not any(_has_objects(item) for item in items):
        if len({len(item) for item in items}) == 1 and (len(items[0]) > 1 or len(items) > 1):
            return [dict(zip(value, row, strict=True)) for row in zip(*items, strict=True)]
        return None
    if all(isinstance(item, dict) for item in items):
        return _of_dicts(value, items)
    return None


def _of_rows(names: list[Any], rows: list[Any]) -> list[Any] | None:
    """Rows as lists beside the names of their columns (pandas' `split`)."""
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return None
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def _is_record_list(key: str, item: Any) -> bool:
    if not isinstance(item, list) or not item or not all(isinstance(record, dict) for record in item[:20]):
        return False
    return key != "tools" and not any(set(record) >= keys for record in item[:20] for keys in _TURN_KEYS)


def _has_objects(item: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in item[:20])


def _of_dicts(value: dict[str, Any], items: list[dict[str, Any]]) -> list[Any] | None:
    """A dict of dicts: columns keyed by row (as pandas writes them), or records keyed by a name."""
    keys = list(items[0])
    if any(list(item) != keys for item in items):
        return items if all(key.isdigit() for key in value) else None
    if all(key.isdigit() for key in keys) and keys:
        return [{column: value[column][key] for column in value} for key in keys]
    return items if len(items) > 1 else None


def columns_as_records(record: dict[str, Any]) -> dict[str, Any]:
    """A row of a dict of columns, whose cells are still wrapped in the key of their row, without those keys."""
    return {
        name: next(iter(cell.values())) if isinstance(cell, dict) and len(cell) == 1 and _row_key(cell) else cell
        for name, cell in record.items()
    }


def _row_key(cell: dict[str, Any]) -> bool:
    return next(iter(cell)).isdigit()


def _big_document(chunks: Iterator[bytes], first: int) -> Shape | None:
    """The shape of an object that is too big to be parsed: its keys and what their values begin with."""
    columns: dict[str, tuple[int, bool]] = {}
    for key, offset, value in _members(chunks, first + 1):
        inner = value[1:].lstrip(_BLANK)
        if value[:1] == b"[" and inner[:1] == b"{" and key not in ("messages", "conversations", "tools"):
            return Shape("wrapper", offset + 1)
        if value[:1] == b"[":
            columns[key] = (offset + 1, False)
        elif value[:1] == b"{" and inner[:1] == b'"':
            columns[key] = (offset + 1, True)
        elif value[:1] in b"[{":
            return None
    return Shape("columns", columns=columns) if columns else None


def _members(chunks: Iterator[bytes], start: int) -> Iterator[tuple[str, int, bytes]]:
    """Each key of the object whose inside begins at `start`, the offset of its value and the value's first bytes.

    A member is announced as soon as its first bytes are there, so that the list within a wrapper need not be read.
    """
    head = b""
    head_at = start
    waiting = True
    for offset, chunk, ends in json_scan.separators(chunks, start):
        place = 0
        for end in [*ends, None]:
            piece = chunk[place:end]
            if waiting:
                head += piece[:_MEMBER_BYTES]
            if waiting and (end is not None or len(head) >= _MEMBER_BYTES):
                waiting = False
                found = _key(head)
                if found is not None:
                    yield found[0], head_at + found[1], head[found[1] :]
            if end is not None:
                place = end + 1
                head, head_at, waiting = b"", offset + place, True


def _key(body: bytes) -> tuple[str, int] | None:
    """The key that `body` begins with and the place of its value."""
    text = body.lstrip(_BLANK)
    lead = len(body) - len(text)
    if not text.startswith(b'"'):
        return None
    end = 1
    while (end := text.find(b'"', end)) > 0 and text[end - 1] == ord("\\"):
        end += 1
    colon = text.find(b":", end)
    if end < 0 or colon < 0:
        return None
    value = colon + 1
    while value < len(text) and text[value] in _BLANK:
        value += 1
    try:
        key = parse_json(text[: end + 1].decode("utf-8"))
    except ValueError:
        return None
    return (str(key), lead + value) if value < len(text) else None
