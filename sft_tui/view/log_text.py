"""Bytes of a log line to the text that a screen may show: folded, decoded, without a terminal's control sequences."""

from __future__ import annotations

import codecs
import re

MAX_SHOWN_BYTES = 16 * 1024
TAB = 8

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC: titles, links, images
    r"|\x1b[ -/]*[0-~]?"  # the rest
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"  # C0, C1, zero width, direction
)
_BAR_BEFORE_TEXT = re.compile(r"^[^|]{0,60}?\d{1,3}%\|[^|]*\| *\d+/\d+ \[[^\]]*\](?=\S)")
_SEPARATORS = re.compile("[\u2028\u2029\u0085]")


def fold(raw: bytes) -> bytes:
    """What a terminal would still show of a line that returned to its start: the part after the last `\\r`."""
    body = raw.removesuffix(b"\n").rstrip(b"\r")
    return body[body.rfind(b"\r") + 1 :]


def overwritten(raw: bytes) -> bool:
    """Whether the line moves the cursor up at its end: a lower progress bar, which the next line writes over."""
    return raw.endswith(b"\x1b[A\n")


def clean(text: str) -> str:
    """`text` in one line without escape sequences, control and direction characters; tabs are spaces."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    text = _SEPARATORS.sub(" ", text)
    return _CONTROLS.sub("", text).expandtabs(TAB)


def shown(raw: bytes, *, partial: bool = False) -> str:
    """The text of one physical line (`\\n` included or not), at most `MAX_SHOWN_BYTES` of it.

    A progress bar that other text follows on the same line is left out: it was written over. Bytes that are not UTF-8
    become U+FFFD. With `partial`, the line is still being written: a character of which only the first bytes are there
    is left out.
    """
    body = fold(raw)
    cut = len(body) > MAX_SHOWN_BYTES
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(body[:MAX_SHOWN_BYTES], final=not (partial or cut))
    return _BAR_BEFORE_TEXT.sub("", clean(text), count=1) + ("..." if cut else "")
