"""Between what is typed and what an answers file holds."""

from __future__ import annotations

import re
from typing import Any

_INTEGER = re.compile(r"[-+]?\d+(?:_\d+)*")
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def parse_typed(text: str) -> Any:
    """The number, truth value or list that `text` writes; anything else stays text; None where it is empty."""
    text = text.strip()
    if not text:
        return None
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text[0] in "[{":
        return _flow(text)
    return text


def _flow(text: str) -> Any:
    from sft_tui.yaml_io import parse_document

    document = parse_document(f"value: {text}")
    return text if document.problems else document.data.get("value", text)


def show_typed(value: Any) -> str:
    """`value` as one would type it: numbers as in YAML, lists in brackets, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    from sft_tui.yaml_io import scalar

    return scalar(value)


def holds_chinese(text: str) -> bool:
    """Whether `text` has Chinese characters."""
    return any("\u4e00" <= character <= "\u9fff" for character in text)
