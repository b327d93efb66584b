"""Reading any source of examples, mapping it to samples, cleaning, splitting, converting, previewing.

The names here are the room's whole interface. Importing it is cheap: the libraries that do the work are loaded by
the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.dataset.request import (
    ColumnInfo,
    Columns,
    ConvertRequest,
    ConvertResult,
    PreviewPage,
    PreviewRow,
    Progress,
    SourceInfo,
)

if TYPE_CHECKING:
    from sft_tui.dataset.stats.data_statistics import Statistics

__all__ = [
    "ColumnInfo",
    "Columns",
    "ConvertRequest",
    "ConvertResult",
    "PreviewPage",
    "PreviewRow",
    "Progress",
    "SourceInfo",
    "convert",
    "count_rows",
    "find_row",
    "inspect_source",
    "preview",
    "statistics",
]


def convert(request: ConvertRequest, progress: Callable[[Progress], None] | None = None) -> ConvertResult:
    """Convert `request.source` to `<name>_train.jsonl` (and `_test`), all or nothing. Raises `Refusal`."""
    from sft_tui.dataset.engine import convert as run

    return run(request, progress)


def inspect_source(
    source: str, *, sheet: str | None = None, rows: int = 20, train_python: str | None = None
) -> SourceInfo:
    """What the head of `source` shows: kind, columns with first values, a guessed mapping. Cheap on huge files."""
    from sft_tui.dataset.inspection import inspect_source as run

    return run(source, sheet=sheet, rows=rows, train_python=train_python)


def preview(request: ConvertRequest, start: int, count: int) -> PreviewPage:
    """`count` records from record `start` (from 1), as read and as the sample that each becomes."""
    from sft_tui.dataset.inspection import preview as run

    return run(request, start, count)


def find_row(
    request: ConvertRequest, after: int, text: str = "", check: Callable[[], None] = lambda: None
) -> PreviewRow | None:
    """The next record after number `after` (0 for the first) that holds `text`, or for "" that would be left out.

    None where there is none. `check` is called at each record and ends the search by raising.
    """
    from sft_tui.dataset.inspection import find_row as run

    return run(request, after, text, check)


def count_rows(
    source: str,
    progress: Callable[[Progress], None] | None = None,
    *,
    sheet: str | None = None,
    train_python: str | None = None,
) -> int:
    """How many records `source` holds, read through once at the speed of the disk."""
    from sft_tui.dataset.inspection import count_rows as run

    return run(source, progress, sheet=sheet, train_python=train_python)


def statistics(
    request: ConvertRequest,
    *,
    model: Path | None = None,
    frame: Mapping[str, Any] | None = None,
    cutoff_len: int = 2048,
    batch_size: int = 2,
    context: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Statistics:
    """What the rows that `request` would write are like: lengths in tokens, duplicates, scripts, doubtful answers."""
    from sft_tui.dataset.stats.data_statistics import statistics as run

    sizes = {"cutoff_len": cutoff_len, "batch_size": batch_size}
    return run(request, model=model, frame=frame, **sizes, context=context, progress=progress)
