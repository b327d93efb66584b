"""The columns that no role uses, each with what it looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sft_tui.dataset.request import UnusedColumn
from sft_tui.dataset.rows.text import Number
from sft_tui.i18n import N_, _
from sft_tui.problems import Problem, Severity

_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?%?")
_DATE = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}.*|\d{1,2}:\d{2}(?::\d{2}.*)?")
_ADDRESS = re.compile(r"(?:https?|ftp|s3)://\S+")
_PATH = re.compile(r"[^\n*?\"<>|]{1,400}\.[A-Za-z0-9]{2,4}")
_CODE = re.compile(r"[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*|[\w.:/#-]*\d[\w.:/#-]*")
_LONG_CHARACTERS = 200
_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("true|false", re.IGNORECASE), N_("yes or no")),
    (_NUMBER, N_("numbers")),
    (_DATE, N_("dates or times")),
    (_ADDRESS, N_("web addresses")),
    (_PATH, N_("file paths")),
    (_CODE, N_("codes")),
)
_SHOWN = 12


def looks_like(values: Sequence[Any]) -> str:
    """What `values` of a column are, in two words (English; `_()` translates them)."""
    present = [value for value in values if value is not None and value != "" and value == value]
    if not present:
        return N_("empty")
    if all(isinstance(value, dict) for value in present):
        return N_("objects")
    if all(isinstance(value, list | tuple) for value in present):
        inner = [item for value in present for item in value]
        if inner and all(isinstance(item, dict) for item in inner):
            return N_("lists of objects")
        paths = inner and all(isinstance(item, str) and _PATH.fullmatch(item) for item in inner)
        return N_("file paths") if paths else N_("lists")
    texts = [_as_text(value) for value in present]
    for pattern, kind in _KINDS:
        if all(pattern.fullmatch(text) for text in texts):
            return kind
    if len(texts) > 2 and len(set(texts)) == 1:
        return N_("always the same text")
    if len(texts) > 2 * len(set(texts)) and max(map(len, texts)) < _LONG_CHARACTERS:
        return N_("a few texts that come again")
    return N_("long texts") if max(map(len, texts)) >= _LONG_CHARACTERS else N_("texts")


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, Number | int | float) else str(value).strip()


def unused_columns(
    columns: Sequence[str], used: Sequence[str], head: Sequence[Mapping[str, Any] | None]
) -> tuple[UnusedColumn, ...]:
    """Every column of `columns` that is not `used`, in order."""
    rows = [record for record in head if record]
    names = [name for name in dict.fromkeys(columns) if name not in used]
    return tuple(UnusedColumn(name, looks_like([record.get(name) for record in rows])) for name in names)


def mapping_line(mapping: Mapping[str, str]) -> str:
    """One line that says which column plays which role."""
    pairs = "; ".join(_("`{column}` as {role}").format(column=column, role=role) for role, column in mapping.items())
    return _("Used: {columns}").format(columns=pairs)


def unused_note(unused: Sequence[UnusedColumn]) -> list[Problem]:
    """A remark that names `unused` with what each looks like; none where there is nothing to say."""
    if not unused:
        return []
    named = "; ".join(_("`{name}`: {kind}").format(name=c.name, kind=_(c.looks_like)) for c in unused[:_SHOWN])
    if len(unused) > _SHOWN:
        named = _("{shown} and {more} more").format(shown=named, more=len(unused) - _SHOWN)
    return [
        Problem("unused_columns", _("Not used: {columns}").format(columns=named), Severity.INFO, key="data.columns")
    ]
