"""The first rows of a Parquet file; only conversations need them, because a library must be imported (0.2 s)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_ROWS = 400


def parquet_head(path: Path, rows: int = _ROWS) -> list[Any]:
    """The first rows as dictionaries; empty where the library cannot read them (the footer has been read before)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            batch = next(file.iter_batches(batch_size=rows), None)
            return [] if batch is None else list(batch.to_pylist())
    except (pa.ArrowException, OSError):
        return []
