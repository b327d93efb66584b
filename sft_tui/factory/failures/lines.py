"""A log as clean lines: no terminal codes, no progress bars, no prefixes of ranks and launchers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE_CHARS = 16_384
"""A longer line is cut: token ids and data that were printed in one line."""

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BAR = re.compile(r"[^|\n]{0,200}?\d+%\|[^|\n]{0,400}\|\s*[\d.]+\w?/[\d.]+\w?\s*\[[^\]\n]{0,120}\]")
_OPEN_BAR = re.compile(r"[\w (),=:.-]{0,80}: \d+ (?:examples|it|tokens)? ?\[[^\]\n]{0,80}\]")
_RANK = re.compile(r"\[(?:rank|default)(\d+)\]:\s?(?=\S|\s|$)")
_RAY = re.compile(r"\(([\w.]+(?:\([\w ]*\))? (?:pid|ip)=[^)\n]{1,60})\)\s?")
_SRUN = re.compile(r"\s{0,4}(\d{1,4}): (?=\S|\s)")
_COMPOSE = re.compile(r"([a-z][\w.-]*[-_]\d+)\s+\|\s?")
_STAMP = re.compile(
    r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s*"
    r"(?:\w+ \|\| |\|\| ?|\| ?|- )?(?:[\w.]+ - )?(?:(?:ERROR|WARNING|CRITICAL|INFO)\s+-\s+)?"
)
_DATA_AFTER = re.compile(r"(>> (?:Invalid role tag in|Invalid message count in|Dropped lengthy example)) .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """A clean line: its number in the text (from 1), the stream it came from (a rank, a worker, or ""), its text."""

    number: int
    stream: str
    text: str


def clean_lines(text: str) -> list[Line]:
    """The lines of a log without what hides a message: colours, bars, prefixes; data in warnings is cut off."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return [Line(number, *_strip(piece)) for number, piece in _pieces(text)]


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text; what stands before a carriage return is a piece of its own, a bare bar is nothing."""
    for number, raw in enumerate(text.split("\n"), 1):
        if "\r" not in raw:
            if "%|" not in raw:
                yield number, raw[:MAX_LINE_CHARS]
                continue
            parts = [raw]
        else:
            parts = raw.split("\r")
        for part in parts:
            rest = _without_bar(part[:MAX_LINE_CHARS])
            if rest.strip() or (part == "" and len(parts) == 1):
                yield number, rest


def _without_bar(part: str) -> str:
    if "%|" in part:
        while bar := _BAR.match(part):
            part = part[bar.end() :]
            if "%|" not in part:
                break
    elif "[" in part and (bar := _OPEN_BAR.match(part)):
        part = part[bar.end() :]
    return part


def _strip(text: str) -> tuple[str, str]:
    """The stream and the text without prefixes."""
    stream = ""
    head = text[:2]
    if text.startswith(("[rank", "[default")) and (found := _RANK.match(text)):
        stream, text = found[1], text[found.end() :]
    elif head[:1] == "(" and (found := _RAY.match(text)):
        stream, text = found[1], text[found.end() :]
        if inner := _RANK.match(text):
            text = text[inner.end() :]
    elif found := _SRUN.match(text) if head.strip()[:1].isdigit() else _COMPOSE.match(text):
        stream, text = found[1], text[found.end() :]
    if text[:1] and text[0] in "[12" and (stamp := _STAMP.match(text)):
        text = text[stamp.end() :]
    return stream, without_data(text).rstrip()


def without_data(text: str) -> str:
    """A line without the record of the user's data that a warning of LLaMA-Factory prints in it."""
    if ">> " in text and (data := _DATA_AFTER.search(text)):
        return text[: data.end(1)]
    return text
