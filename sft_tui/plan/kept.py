"""About how many rows of a source will be written or are for testing, told from a few before the conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sft_tui.problems import Refusal

if TYPE_CHECKING:
    from sft_tui.dataset.request import ConvertRequest, PreviewRow

_ROWS = 200
"""So many rows are looked at, at the head, and in the middle and near the end where the head shows a reason to."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Shares: of the rows read that are written, and of those written that the data itself keeps for testing."""

    written: float = 1.0
    tested: float = 0.0


ALL = Kept()


def look_at_rows(request: ConvertRequest, rows: int) -> Kept:
    """What a look at some of the source's `rows` shows of all. A source that cannot be read is told elsewhere."""
    from sft_tui.dataset import preview

    try:
        page = preview(request, 1, _ROWS)
        seen: list[PreviewRow] = list(page.rows)
        marked = page.mapping.label or page.mapping.split or any(row.sample is None for row in seen)
        last = min(rows, request.max_samples or rows)
        if marked and page.more and last > 3 * _ROWS:
            for start in (last // 2, last - _ROWS):
                seen += preview(request, start, _ROWS).rows
    except Refusal:
        return ALL
    written = [row for row in seen if row.sample is not None]
    tested = sum(row.test for row in written)
    return Kept(len(written) / len(seen), tested / len(written)) if written else ALL
