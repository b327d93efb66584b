"""What a verification said, in the language of the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft_tui.i18n import _


def verified_text(record: Mapping[str, Any], key: str = "message") -> str:
    """The sentences of a check, or of the result's `error`; as they were written where they cannot be translated."""
    written = str(record.get(key, record.get("name", "")))
    sentences = record.get("said" if key == "message" else f"{key}_said")
    if not isinstance(sentences, list) or not sentences:
        return written
    try:
        return " ".join(map(_translated, sentences))
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):  # the file may hold anything
        return written


def _translated(sentence: Any) -> str:
    if isinstance(sentence, list):
        return "; ".join(map(_translated, sentence))
    if not isinstance(sentence, dict):
        return str(sentence)
    values = {str(name): _translated(value) for name, value in sentence["values"].items()}
    text = sentence["text"]
    return _(text).format(**values)
