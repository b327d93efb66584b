"""A log as clean lines: no terminal codes, no progress bars, no prefixes of ranks and launchers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE_CHARS = 262_144
"""A longer line is cut: data that were printed in one line."""

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BAR = re.compile(r"[^|\n]{0,200}?\d+%\|[^|\n]{0,400}\|\s*[\d.]+\w?/[\d.]+\w?\s*\[[^\]\n]{0,120}\]")
_OPEN_BAR = re.compile(r"[\w (),=:.-]{0,80}: \d+ (?:examples|it|tokens)? ?\[[^\]\n]{0,80}\]")
_RANK = re.compile(r"\[(?:rank|default)(\d+)\]:\s?(?=\S|\s|$)")
_RANKS_IN_LINE = re.compile(r"(?=\[rank\d+\]: )")
_RAY = re.compile(r"\(([\w.]+(?:\([\w ]*\))? (?:pid|ip)=[^)\n]{1,60})\)\s?")
_SRUN = re.compile(r"\s{0,4}(\d{1,4}): (?=\S|\s)")
_COMPOSE = re.compile(r"([a-z][\w.-]*[-_]\d+)\s+\|\s?")
_HOST = re.compile(
    r"(\d{1,3}(?:\.\d{1,3}){3}|(?:node|worker|gpu|host|slave|master|compute|ip)[-_]?[\w-]{0,40}\d): (?=\S|\s)"
)
_STAMP = re.compile(
    r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?(?::(?= ))? ?"
    r"(?:\w+ \|\| |\|\| ?|\| ?|- )?(?:[\w.]+ - )?(?:(?:ERROR|WARNING|CRITICAL|INFO) +- )?"
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
    return [Line(number, *_strip(piece)) for number, piece in _pieces(_dedented(text))]


def _dedented(text: str) -> str:
    """`text` without an indentation that all of its lines have (pasted from a quotation)."""
    if text[:1] not in (" ", "\t"):
        return text
    rows = [row for row in text[:65536].split("\n")[:-1] or [text] if row.strip()]
    common = min((len(row) - len(row.lstrip(" \t")) for row in rows), default=0)
    if common == 0:
        return text
    return "\n".join(row[common:] if not row[:common].strip() else row for row in text.split("\n"))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text; what stands before a carriage return is a piece of its own, a bare bar is nothing."""
    for number, raw in enumerate(text.split("\n"), 1):
        if raw.count("[rank") > 2 and len(mashed := _RANKS_IN_LINE.split(raw)) > 2:
            yield from ((number, part.rstrip()) for part in mashed if part.strip())
            continue
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
    """The stream and the text without prefixes; launchers put theirs before those of others."""
    streams: list[str] = []
    for _depth in range(4):
        stream, rest = _strip_one(text)
        if rest is text:
            break
        text = rest
        if stream:
            streams.append(stream)
    return " ".join(streams), without_data(text).rstrip()


def _strip_one(text: str) -> tuple[str, str]:
    """The stream that the first prefix names ("" for a time stamp) and the rest; `text` itself where there is none."""
    first = text[:1]
    if text.startswith(("[rank", "[default")):
        found = _RANK.match(text)
    elif first == "(":
        found = _RAY.match(text)
    elif first in "[12" and (stamp := _STAMP.match(text)):
        return "", text[stamp.end() :]
    elif first.isdigit() or first == " ":
        found = _SRUN.match(text) or _HOST.match(text)
    elif ": " in text[:64] or " |" in text[:64]:
        found = _COMPOSE.match(text) or _HOST.match(text)
    else:
        return "", text
    return (found[1], text[found.end() :]) if found else ("", text)


def without_data(text: str) -> str:
    """A line without the record of the user's data that a warning of LLaMA-Factory prints in it."""
    if ">> " in text and (data := _DATA_AFTER.search(text)):
        return text[: data.end(1)]
    return text
