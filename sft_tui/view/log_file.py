"""A log file that grows while it is looked at, read in small pieces at any place.

Nothing is kept but the file's handle: lines are found backwards from the end or forwards from a line's start, so a log
of any length opens at once and takes no memory. Offsets are bytes. A physical line ends with `\\n`; a progress bar that
writes over itself with `\\r` is one line of which the last state is shown; lower bars, which move the cursor up again,
are left out.
"""

from __future__ import annotations

import contextlib
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sft_tui.view.log_text import overwritten, shown

BLOCK = 64 * 1024
MAX_LINE_BYTES = 1024 * 1024  # a longer physical line is shown in pieces
_HEAD = 256


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the bytes `[start, end)` of the file and what is shown of them. `partial`: it has no `\\n` yet."""

    start: int
    end: int
    text: str
    partial: bool = False


def _line(raw: bytes, start: int) -> Line:
    partial = not raw.endswith(b"\n")
    return Line(start, start + len(raw), shown(raw, partial=partial), partial)


class LogFile:
    """Reads a log. One thread a `LogFile`: `refresh` may replace its handle.

    `size` is what the last `refresh` saw; `generation` counts up when the file was truncated or replaced, and offsets
    from before mean nothing then. `problem` is the system's sentence where the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.generation = 0
        self.problem: str | None = None
        self._fd: int | None = None
        self._identity: tuple[int, int] | None = None
        self._head = b""
        self.refresh()

    def refresh(self) -> bool:
        """Look at the file again. True if there is one that can be read."""
        try:
            facts = self.path.stat()
            identity = (facts.st_dev, facts.st_ino)
            if self._fd is None or identity != self._identity:
                self._reopen(identity)
            assert self._fd is not None
            if facts.st_size < self.size or os.pread(self._fd, len(self._head), 0) != self._head:
                self._forget()
            if len(self._head) < min(_HEAD, facts.st_size):
                self._head = os.pread(self._fd, _HEAD, 0)
        except OSError as error:
            self.problem = error.strerror or str(error)
            self.close()
            return False
        self.problem = None
        self.size = facts.st_size
        return True

    def _reopen(self, identity: tuple[int, int]) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        seen_before = self._identity is not None
        self._drop_handle()
        self._fd, self._identity = descriptor, identity
        if seen_before:
            self._forget()

    def _forget(self) -> None:
        self.size, self._head = 0, b""
        self.generation += 1

    def _drop_handle(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = None

    def close(self) -> None:
        """Let go of the file. `refresh` opens it again."""
        self._drop_handle()
        if self.size:
            self._forget()

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, start: int, end: int) -> bytes:
        """The bytes `[start, end)`, fewer where the file has become shorter."""
        if self._fd is None or end <= start:
            return b""
        try:
            return os.pread(self._fd, end - start, start)
        except OSError:
            return b""

    def tail(self, count: int) -> list[Line]:
        """The last `count` lines, the unfinished one included."""
        return self.before(self.size, count)

    def before(self, end: int, count: int) -> list[Line]:
        """The `count` lines before the line boundary `end`, in the file's order."""
        found: list[Line] = []
        stop = base = min(end, self.size)
        buffer = b""
        while len(found) < count and stop > 0:
            newline = buffer.rfind(b"\n", 0, max(0, stop - base - 1))
            if newline < 0 and base > 0 and stop - base < MAX_LINE_BYTES:
                more = self.read(max(0, base - BLOCK), base)
                if not more:
                    break
                buffer = more + buffer[: stop - base]
                base -= len(more)
                continue
            start = base + newline + 1 if newline >= 0 else base
            raw = buffer[start - base : stop - base]
            if not overwritten(raw):
                found.append(_line(raw, start))
            stop = start
        found.reverse()
        return found

    def after(self, start: int, count: int) -> list[Line]:
        """The `count` lines from the line boundary `start` on."""
        found: list[Line] = []
        position = base = max(0, start)
        buffer = b""
        while len(found) < count and position < self.size:
            newline = buffer.find(b"\n", position - base)
            have = base + len(buffer)
            if newline < 0 and have < self.size and have - position < MAX_LINE_BYTES:
                more = self.read(have, min(have + BLOCK, self.size))
                if not more:
                    break
                buffer, base = buffer[position - base :] + more, position
                continue
            end = base + newline + 1 if newline >= 0 else have
            raw = buffer[position - base : end - base]
            if not overwritten(raw):
                found.append(_line(raw, position))
            position = end
        return found

    def line_start(self, offset: int) -> int:
        """The start of the line that byte `offset` belongs to."""
        stop = min(max(offset, 0), self.size)
        lowest = max(0, stop - MAX_LINE_BYTES)
        while stop > lowest:
            base = max(lowest, stop - BLOCK)
            newline = self.read(base, stop).rfind(b"\n")
            if newline >= 0:
                return base + newline + 1
            stop = base
        return lowest

    def count(self, start: int, end: int) -> int:
        """How many lines end within `[start, end)`."""
        return sum(block.count(b"\n") for _, block in self.blocks(start, end))

    def blocks(self, start: int, end: int, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
        """The bytes `[start, end)` in pieces of `size`, each with its offset."""
        while start < end:
            block = self.read(start, min(start + size, end))
            if not block:
                return
            yield start, block
            start += len(block)


def never() -> bool:
    """The `should_stop` of a search that runs to its end."""
    return False


def find(
    log: LogFile, needle: str, start: int, *, backwards: bool = False, should_stop: Callable[[], bool] = never
) -> Line | None:
    """The first line at or after offset `start` (with `backwards`: before it) that shows `needle`, case ignored.

    Reads the file in blocks of whole lines, so it can be used on a log of any size, in a thread. None where no line
    does or where `should_stop` said so.
    """
    if not needle:
        return None
    pattern = re.compile(re.escape(needle.encode("utf-8", "replace")), re.IGNORECASE)
    folded = needle.casefold()
    for base, block in _whole_lines(log, start, backwards):
        if should_stop():
            return None
        hits = _line_bounds(block, pattern)
        for first, last in reversed(list(hits)) if backwards else hits:
            line = _line(block[first:last], base + first)
            if folded in line.text.casefold():
                return line
    return None


def _line_bounds(block: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """The bounds of the lines of `block` in which `pattern` occurs, each line once."""
    position = 0
    while (match := pattern.search(block, position)) is not None:
        first = block.rfind(b"\n", 0, match.start()) + 1
        newline = block.find(b"\n", match.end())
        last = len(block) if newline < 0 else newline + 1
        yield first, last
        position = last


def _whole_lines(log: LogFile, start: int, backwards: bool) -> Iterator[tuple[int, bytes]]:
    """Blocks that begin and end at line boundaries, forwards to the end or backwards to the beginning."""
    position = min(start, log.size)
    while (position > 0) if backwards else (position < log.size):
        if backwards:
            first, last = log.line_start(max(0, position - BLOCK)), position
        else:
            first = position
            last = log.size if first + BLOCK >= log.size else log.line_start(first + BLOCK)
            if last <= first:  # a line longer than a block
                last = min(log.size, first + MAX_LINE_BYTES)
        block = log.read(first, last)
        if not block:
            return
        yield first, block
        position = first if backwards else first + len(block)


class LineIndex:
    """Numbers of lines and offsets of numbers, by a bounded set of marks: at most `MARKS` of them for any file.

    `extend` scans what was appended since (in a thread: the first time it reads the whole file).
    """

    MARKS = 4096

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._reset()

    def _reset(self) -> None:
        self._generation = self._log.generation
        self._stride = BLOCK
        self._marks = [0]  # newlines before byte i * stride
        self._scanned = 0
        self._newlines = 0

    def use(self, log: LogFile) -> None:
        """Read from `log` from now on: another handle of the same file. A file that differs is indexed anew."""
        self._log = log
        if log.size < self._scanned:
            self._reset()
        self._generation = log.generation

    @property
    def lines(self) -> int:
        """Lines that end within the scanned part."""
        return self._newlines

    def extend(self, should_stop: Callable[[], bool] = never) -> bool:
        """Scan to the end of the file. False if stopped before."""
        self._log.refresh()
        if self._log.generation != self._generation:
            self._reset()
        while self._scanned < self._log.size:
            if should_stop():
                return False
            edge = min((self._scanned // self._stride + 1) * self._stride, self._log.size)
            block = self._log.read(self._scanned, edge)
            if not block:
                break
            self._newlines += block.count(b"\n")
            self._scanned += len(block)
            if self._scanned % self._stride == 0:
                self._mark()
        return True

    def _mark(self) -> None:
        self._marks.append(self._newlines)
        if len(self._marks) > self.MARKS:
            self._marks = self._marks[::2]
            self._stride *= 2

    def number(self, offset: int) -> int:
        """The number, from 1, of the line that begins at `offset`."""
        offset = min(offset, self._scanned)
        mark = min(offset // self._stride, len(self._marks) - 1)
        return 1 + self._marks[mark] + self._log.count(mark * self._stride, offset)

    def offset(self, number: int) -> int:
        """Where line `number` (from 1) begins; the last line's start where there are fewer."""
        position = self._after_newlines(min(max(number - 1, 0), self._newlines))
        at_end = position >= self._scanned > 0
        return self._log.line_start(self._scanned - 1) if at_end else position

    def _after_newlines(self, before: int) -> int:
        """The byte after the first `before` newlines."""
        mark = max(0, bisect_right(self._marks, before - 1) - 1) if before else 0
        left = before - self._marks[mark]
        position = mark * self._stride
        for base, block in self._log.blocks(position, self._scanned):
            found = -1
            while left and (found := block.find(b"\n", found + 1)) >= 0:
                left -= 1
            if not left:
                return base + found + 1
        return position
