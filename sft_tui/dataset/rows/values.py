"""Cells that hold JSON, and what is said of one that has the wrong shape."""

from __future__ import annotations

from typing import Any

from sft_tui.dataset.rows.text import clean_text, parse_json
from sft_tui.i18n import _


class Malformed(ValueError):
    """A value has the wrong shape; the text says which."""


def read_json(value: Any, what: str) -> Any:
    """`value`, parsed where it is JSON text; None where it is missing. Raises `Malformed` for other text."""
    if not isinstance(value, str):
        return value
    text = clean_text(value)
    if not text:
        return None
    try:
        return parse_json(text)
    except ValueError:
        raise Malformed(_("{what} is no JSON").format(what=what)) from None
