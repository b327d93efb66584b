"""The exact, forgiving-of-nothing reading of CSV text: cells of one record after the other, broken records said.

A quote that is never closed, or that is followed by text, spoils the record that it stands in and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

MOST_RECORD_BYTES = 32 << 20
"""A quoted cell that is longer than this counts as never closed."""
_SLOPPY_BYTES = 1 << 20
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a file are set apart. `escape`: a backslash before a quote; `spaces`: blanks before a quote."""

    delimiter: bytes = b","
    escape: bool = False
    spaces: bool = False
    columns: int = field(default=0, compare=False)

    @property
    def plain(self) -> bool:
        """Whether RFC 4180 with this delimiter says it all."""
        return not (self.escape or self.spaces)


class _Patterns(NamedTuple):
    quoted: re.Pattern[bytes]
    opened: re.Pattern[bytes]
    bare: re.Pattern[bytes]
    sloppy: re.Pattern[bytes]
    blanks: re.Pattern[bytes]


@lru_cache(maxsize=32)
def _patterns(dialect: Dialect) -> _Patterns:
    mark = re.escape(dialect.delimiter)
    inner = rb'(?:[^"\\]++|\\.|"")*+' if dialect.escape else rb'(?:[^"]++|"")*+'
    after = rb"[ \t]*+(?=" + mark + rb"|\r|\n|\Z)" if dialect.delimiter != b"\t" else rb" *+(?=\t|\r|\n|\Z)"
    return _Patterns(
        re.compile(rb'"(' + inner + rb')"' + after, re.DOTALL),
        re.compile(rb'"' + inner, re.DOTALL),
        re.compile(rb"[^\r\n" + mark + rb"]*+"),
        re.compile(rb'"' + after),
        re.compile(rb" *+" if dialect.spaces else rb""),
    )


class Cells(NamedTuple):
    """A record: its cells as bytes, or None where it is broken; the place after it."""

    cells: list[bytes] | None
    end: int


def _unquote(dialect: Dialect, inner: bytes) -> bytes:
    if dialect.escape:
        inner = re.sub(rb'\\(["\\])', rb"\1", inner)
    return inner.replace(b'""', b'"')


def records(buffer: bytes, dialect: Dialect, *, final: bool, start: int = 0) -> Iterator[Cells]:
    """The records of `buffer` from `start`; stops before one that may go on beyond it unless `final`."""
    size = len(buffer)
    while start < size:
        if buffer[start] in b"\r\n":
            start += 1
            continue
        record = _record(buffer, start, dialect, final)
        if record is None:
            return
        start = record.end
        yield record


def _record(buffer: bytes, start: int, dialect: Dialect, final: bool) -> Cells | None:
    patterns = _patterns(dialect)
    size = len(buffer)
    mark = dialect.delimiter[0]
    cells: list[bytes] = []
    place = start
    while True:
        skipped = patterns.blanks.match(buffer, place)
        quote = skipped.end() if skipped else place
        if buffer[quote : quote + 1] == b'"':
            match = patterns.quoted.match(buffer, quote)
            if match is None:
                return _broken(buffer, start, quote, cells, dialect, final)
            cells.append(_unquote(dialect, match[1]))
        else:
            match = patterns.bare.match(buffer, place)
            assert match is not None
            cells.append(match[0])
        place = match.end()
        if place >= size:
            return Cells(cells, size) if final else None
        if buffer[place] == mark:
            place += 1
            if place == size and not final:
                return None
            continue
        if buffer[place : place + 2] == b"\r\n":
            return Cells(cells, place + 2)
        if place + 1 == size and not final:
            return None
        return Cells(cells, place + 1)


def _broken(buffer: bytes, start: int, quote: int, cells: list[bytes], dialect: Dialect, final: bool) -> Cells | None:
    """The broken record at `start`, up to where the next one begins; None while more text may mend it."""
    opened = _patterns(dialect).opened.match(buffer, quote)
    assert opened is not None
    unclosed = len(buffer) - opened.end() <= 1 and len(buffer) - start < MOST_RECORD_BYTES
    if not final and (unclosed or len(buffer) < opened.end() + _SLOPPY_BYTES):
        return None
    end = _sloppy_end(buffer, opened.end(), len(cells), dialect)
    if end is None:
        line = _LINE_END.search(buffer, start)
        end = line.end() if line else len(buffer)
    return Cells(None, end)


def _sloppy_end(buffer: bytes, place: int, before: int, dialect: Dialect) -> int | None:
    """Where the record ends if its quotes were written without doubling them; None if it does not fit the header."""
    if not dialect.columns:
        return None
    patterns = _patterns(dialect)
    part = buffer[: place + _SLOPPY_BYTES]
    close = patterns.sloppy.search(part, place)
    while close is not None:
        count = before + 1
        place = close.end()
        while place < len(part) and part[place] == dialect.delimiter[0]:
            place += 1
            count += 1
            if part[place : place + 1] == b'"':
                break
            bare = patterns.bare.match(part, place)
            place = bare.end() if bare else place
        else:
            line = _LINE_END.match(part, place)
            end = line.end() if line else place
            return end if count == dialect.columns and (line or place == len(buffer)) else None
        before = count - 1
        close = patterns.sloppy.search(part, place + 1)
    return None
