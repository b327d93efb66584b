"""Raw JSON records to batches: a columnar parser where all is plain text, an exact one elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sft_tui.dataset.readers.batch import Batch, Record, Wanted, batch_of, late_columns, valid_utf8
from sft_tui.dataset.readers.block_index import line_values, text_columns
from sft_tui.dataset.rows.text import parse_json
from sft_tui.dataset.rows.texts import missing, table_of

_DEEP = (b"[" * 100, b'{"":' * 20)


def parse_record(raw: bytes) -> Record | None:
    """`raw` as a record with its numbers as written, or None if it is none."""
    import orjson

    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _parse_exactly(raw)
    if not isinstance(value, dict):
        return None
    return _parse_exactly(raw) if _has_numbers(value) else value


def _parse_exactly(raw: bytes) -> Record | None:
    try:
        text = raw.decode("utf-8")
        value = parse_json(text)
    except ValueError:
        stripped = raw.strip()
        return _parse_exactly(stripped[:-1]) if stripped.endswith(b",") else None
    return value if isinstance(value, dict) else None


def _has_numbers(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_numbers(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_numbers(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_lines(block: bytes, wanted: Wanted) -> Batch:
    """The records of `block`, one a line; blank lines are none."""
    if not wanted.as_records and wanted.columns:
        batch = _alike(block, wanted) or _columnar(block, wanted, _line_count(block))
        if batch is not None:
            return batch
    return _exact([line for line in block.split(b"\n") if line.strip()], wanted)


def parse_elements(raws: list[bytes], wanted: Wanted) -> Batch:
    """The records of `raws`, one an element."""
    if not wanted.as_records and wanted.columns and all(raw.lstrip()[:1] == b"{" for raw in raws):
        block = b"\n".join([*raws, b""])
        batch = _alike(block, wanted, len(raws)) or _columnar(block, wanted, len(raws))
        if batch is not None:
            return batch
    return _exact(raws, wanted)


def _exact(raws: Sequence[bytes], wanted: Wanted) -> Batch:
    return batch_of([parse_record(raw) for raw in raws], wanted)


def _line_count(block: bytes) -> int | None:
    """How many lines `block` has, if each begins with a brace (the columnar parser can crash on others)."""
    import numpy as np

    if block[:1] != b"{":
        return None
    codes = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(codes == 10)
    starts = ends[ends + 1 < len(codes)] + 1
    return len(starts) + 1 if bool((codes[starts] == ord("{")).all()) else None


def _columnar(block: bytes, wanted: Wanted, count: int | None) -> Batch | None:
    """`block` through the columnar parser; None where it holds anything but `count` objects of texts and nulls."""
    columns = wanted.columns or ()
    if count is None or any(deep in block for deep in _DEEP) or not valid_utf8(block):
        return None
    found = _read_table(block, columns, others=wanted.known is not None)
    table = found or (_read_table(block, columns, others=False) if wanted.known is not None else None)
    if table is None or table.num_rows != count:
        return None
    late: Record | None = None
    if wanted.known is not None and (found is None or not wanted.known.issuperset(found.column_names)):
        late = late_columns([parse_record(line) for line in block.split(b"\n") if line.strip()], wanted.known)
    found = {column: table.column(column).combine_chunks() for column in columns}
    return Batch(count, table_of(found), None, late=late)


def _read_table(block: bytes, columns: Sequence[str], *, others: bool) -> Any:
    """The table that Arrow makes of `block`, with the `others` of its columns if asked to; None if it cannot."""
    import pyarrow as pa
    from pyarrow import json

    try:
        return json.read_json(
            pa.BufferReader(block),
            read_options=json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=json.ParseOptions(
                explicit_schema=pa.schema([(column, pa.string()) for column in columns]),
                unexpected_field_behavior="infer" if others else "ignore",
                newlines_in_values=True,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _alike(block: bytes, wanted: Wanted, count: int | None = None) -> Batch | None:
    """`block` by its quotes alone, if its lines differ in nothing but plain texts; None for another."""
    columns = wanted.columns or ()
    found = line_values(block, count)
    if found is None or not valid_utf8(block):
        return None
    import numpy as np

    keys, values = found
    places = sorted({keys.index(column) for column in columns if column in keys})
    cells: dict[str, Any] = {}
    if places:
        bounds = np.ascontiguousarray(values[:, places]).reshape(len(values), -1)
        cells = dict(zip([keys[place] for place in places], text_columns(block, bounds), strict=True))
    table = table_of({name: cells[name] if name in cells else missing(len(values)) for name in columns})
    is_known = wanted.known is None or wanted.known.issuperset(keys)
    late = None if is_known else late_columns([parse_record(block[: block.index(b"\n")])], wanted.known)
    return Batch(len(values), table, None, late=late)
