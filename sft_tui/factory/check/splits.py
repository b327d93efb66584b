"""The `split` of a dataset's entry: of a file there is only `train`, and slices of it such as `train[:10%]`."""

from __future__ import annotations

import re

_PART = re.compile(r"^\s*(train|all)(?:\[(-?\d*)(%?):(-?\d*)(%?)\](?:\((?:closest|pct1_dropremainder)\))?)?\s*$")


def rows_of_split(split: object, total: int | None) -> int | None:
    """How many of `total` rows the split has, None where that is not known; raises ValueError where it is none."""
    if not isinstance(split, str):
        raise ValueError("no text")
    rows = [_rows_of_part(part, total) for part in split.split("+")]
    return None if any(count is None for count in rows) else sum(count for count in rows if count is not None)


def _rows_of_part(part: str, total: int | None) -> int | None:
    match = _PART.match(part)
    if match is None:
        raise ValueError(part)
    if total is None:
        return None
    _name, low, low_percent, high, high_percent = match.groups()
    start = _position(low, low_percent, total) if low else 0
    end = _position(high, high_percent, total) if high else total
    return max(0, end - start)


def _position(number: str, percent: str, total: int) -> int:
    value = int(number)
    if percent:
        value = round(total * value / 100)
    return max(0, min(total, value + total if value < 0 else value))
