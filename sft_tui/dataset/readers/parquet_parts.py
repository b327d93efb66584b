"""Parquet columns of texts, a part at a time through the fastest parser; parts are small, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

_PART_BYTES = 16 << 20
_MOST_GROUP_BYTES = 64 << 20
"""A part reads the packed bytes of its row groups as a whole: larger groups are streamed instead."""
_MOST_META_BYTES = 1 << 20
"""The list of row groups is read again for each part: where it is longer, the file is streamed instead."""


@dataclass(frozen=True, slots=True)
class Part:
    """`rows` rows from row `start` of the file, `bytes` unpacked; they lie in `groups`, after `skip` rows of those."""

    groups: tuple[int, ...]
    start: int
    rows: int
    skip: int
    bytes: int


def text_parts(meta: Any, schema: Any, names: Sequence[str], block_bytes: int) -> list[Part] | None:
    """All rows in parts, if the columns `names` are texts and the file is laid out for it; None otherwise."""
    import pyarrow as pa

    if meta.serialized_size > _MOST_META_BYTES or len(set(schema.names)) < len(schema.names):
        return None
    kinds = [schema.field(name).type for name in names]
    leaves = [meta.schema.column(at).path for at in range(meta.num_columns)]
    if not all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds):
        return None
    places = [leaves.index(name) for name in names if name in leaves]
    if len(places) < len(names):
        return None
    groups = [meta.row_group(at) for at in range(meta.num_row_groups)]
    sizes = [sum(group.column(place).total_uncompressed_size for place in places) for group in groups]
    if max(sizes, default=0) > _MOST_GROUP_BYTES:
        return None
    return list(_parts([group.num_rows for group in groups], sizes, block_bytes))


def _parts(rows: Sequence[int], sizes: Sequence[int], block_bytes: int) -> Iterator[Part]:
    """Several small row groups in a part, or a large one in several parts."""
    start = 0
    groups: list[int] = []
    for at in range(len(rows)):
        groups.append(at)
        size = sum(sizes[group] for group in groups)
        if size < block_bytes and at + 1 < len(rows):
            continue
        height = sum(rows[group] for group in groups)
        step = max(-(-height // (size // _PART_BYTES + 1)), 1)
        for skip in range(0, height, step):
            count = min(step, height - skip)
            yield Part(tuple(groups), start + skip, count, skip, size * count // height)
        start += height
        groups = []


def read_ahead(path: Path, parts: Sequence[Part], names: Sequence[str]) -> Iterator[tuple[Part, pl.DataFrame | None]]:
    """Each of `parts` with its texts, the next one being read meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        waiting = pool.submit(_read_part, path, parts[0], names) if parts else None
        for at, part in enumerate(parts):
            assert waiting is not None
            frame = waiting.result()
            waiting = pool.submit(_read_part, path, parts[at + 1], names) if at + 1 < len(parts) else None
            yield part, frame
            del frame


def _read_part(path: Path, part: Part, names: Sequence[str]) -> pl.DataFrame | None:
    """The texts of `part`; None where the parser stumbles (invalid text, a rare encoding)."""
    import polars as pl

    try:
        scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        frame = scan.slice(part.start, part.rows).select(names).collect()
    except (pl.exceptions.PolarsError, OSError):
        return None
    whole = frame.height == part.rows and all(dtype == pl.String for dtype in frame.dtypes)
    return frame if whole else None
