"""Text that we did not write, made safe to show, and how many cells of a terminal it takes."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What a terminal acts on or does not show: C0, C1, zero width, direction, line separators, halves of characters."""
_TAB = 4


def visible(text: str) -> str:
    """`text` with control characters made visible (`^[` for ESC, `?` for others), lines and tabs as they are."""
    return _CONTROL.sub(_sign, text)


def _sign(match: re.Match[str]) -> str:
    sign = match[0]
    if sign in "\n\t":
        return sign
    code = ord(sign)
    if code < 0x20:
        return "^" + chr(code + 0x40)
    return "^?" if code == 0x7F else "?"


def clean(text: str, newline: str | None = None) -> str:
    """`text` with control characters made visible and tabs as spaces.

    Line breaks stay, or become `newline` where a single line is wanted.
    """
    lines = visible(text.replace("\r\n", "\n").expandtabs(_TAB))
    return lines if newline is None else lines.replace("\n", newline)


def escaped(json_text: str) -> str:
    """A JSON text that says the same without a character that a terminal acts on: each is written as `\\uXXXX`."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def pad(text: str, width: int) -> str:
    """`text` followed by spaces up to `width` cells of a terminal; wide characters take two."""
    from rich.cells import cell_len  # few commands show columns

    return text + " " * max(0, width - cell_len(text))


def cut(text: str, width: int) -> str:
    """As much of the line `text` as fits into `width` cells."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width)
