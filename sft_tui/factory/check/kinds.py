"""What kind of values the columns of a data file hold, and whether a column holds two kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sft_tui.i18n import _

_MAX_DEPTH = 4


def mixed_types(rows: list[Any]) -> tuple[str, int, str, str] | None:
    """The first column, or part of one, that holds two kinds of values: `(column, record, kind before, kind there)`.

    Arrow, on which the dataset library rests, gives a column and each part of it one type and refuses anything else.
    """
    kinds: dict[str, str] = {}
    seen: set[Any] = set()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            continue
        form = _form(row)
        if form in seen:
            continue
        seen.add(form)
        for column, kind in _kinds(row, ""):
            if kinds.setdefault(column, kind) != kind:
                return column, number, kinds[column], kind
    return None


def column_kinds(rows: list[Any]) -> dict[str, str]:
    """The kind of each column, "" where all its values are missing."""
    kinds: dict[str, str] = {}
    for row in rows:
        for column, value in row.items() if isinstance(row, dict) else ():
            if not kinds.get(column):
                kinds[column] = "" if value is None else kind_of(value)
    return kinds


def _form(value: Any) -> Any:
    """The types in a value, hashable; records of one form need a look only once."""
    if isinstance(value, dict):
        return tuple(value), tuple(map(_form, value.values()))
    if isinstance(value, list):
        return frozenset(map(_form, value))
    return value.__class__ if value == value else None  # NaN counts as no value


def _kinds(row: dict[str, Any], prefix: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """`(name, kind)` of each value in a record, with those inside objects and lists."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        for item in [value, *(value if isinstance(value, list) else ())]:
            inside = f"{name}[]" if item is not value else name
            if item is None or (isinstance(item, float) and item != item):
                continue
            yield inside, kind_of(item)
            if isinstance(item, dict) and depth < _MAX_DEPTH:
                yield from _kinds(item, f"{inside}.", depth + 1)


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return _("empty")
    if isinstance(value, bool):
        return _("true or false")
    if isinstance(value, int | float):
        return _("a number")
    if isinstance(value, str):
        return _("a text")
    return _("a list") if isinstance(value, list) else _("an object")
