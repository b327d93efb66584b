"""Sentences of a verification that can be translated where they are read: a text, and the values in it."""

from __future__ import annotations

from typing import Any

Said = dict[str, Any]


def N_(text: str) -> str:
    """Mark a text for translation."""
    return text


def said(text: str, **values: Any) -> Said:
    """A sentence; values may be sentences themselves, or lists of them."""
    return {"text": text, "values": values}


def plain(sentence: Any) -> str:
    """It in English."""
    if isinstance(sentence, list):
        return "; ".join(map(plain, sentence))
    if not isinstance(sentence, dict):
        return str(sentence)
    return str(sentence["text"]).format(**{name: plain(value) for name, value in sentence["values"].items()})
