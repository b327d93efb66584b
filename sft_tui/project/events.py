"""`events.jsonl`: everything that happened in a run, one object a line, only appended to.

Types and their fields beside `t` (ISO 8601 with offset) and `type`:
run_started {run, attempt, parent} - stage_started {stage, attempt, argv, log} - progress {stage, step, total_steps,
percent, epoch, remaining_s} or, with stage "wait", {waited_s, needed_bytes, free_bytes, ahead, message} - metric
{step, loss | eval_loss, ...} - warning {id, message, hint} - diagnosis {stage, id, title, cause, line, fixes, source}
- stage_finished {stage, status, exit_code, seconds} - run_finished {status, exit_code, message, seconds}.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sft_tui.project.files import open_append, parse_json
from sft_tui.project.tail import Tail

Event = dict[str, Any]
_MOST_UNWRITTEN = 1000


def make_event(kind: str, **fields: Any) -> Event:
    """An event of type `kind` that happens now."""
    return {"t": datetime.now().astimezone().isoformat(timespec="milliseconds"), "type": kind, **fields}


def append_event(path: Path, event: Event) -> None:
    """Append `event` as a line of its own in one write, also where the last line was torn. Raises `OSError`."""
    line = (json.dumps(event, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    append_whole(path, line)


def append_whole(path: Path, text: bytes) -> None:
    """Append `text` to a log, after an end for the last line where that was torn; on a full disk nothing of it.

    Raises `OSError`.
    """
    with open_append(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        torn = size and os.pread(stream.fileno(), 1, size - 1) != b"\n"
        line = b"\n" + text if torn else text
        written = stream.write(line) or 0
        if written < len(line):
            if os.fstat(stream.fileno()).st_size == size + written:  # nobody else has appended meanwhile
                os.ftruncate(stream.fileno(), size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def parse_event(line: bytes) -> Event | None:
    """The event in one line; None for a torn one, or one that holds something else."""
    event = parse_json(line)
    return event if isinstance(event, dict) else None


class EventLog:
    """The events of one run: each into its file, and to `tell`, who wants to hear of it."""

    def __init__(self, path: Path, tell: Callable[[Event], None] | None = None) -> None:
        self._path = path
        self._tell = tell
        self._unwritten: deque[Event] = deque(maxlen=_MOST_UNWRITTEN)

    def add(self, kind: str, **fields: Any) -> None:
        """An event happens now. A full disk must not end the run: what it does not take is written with the next."""
        event = make_event(kind, **fields)
        self._unwritten.append(event)
        with contextlib.suppress(OSError):
            while self._unwritten:
                append_event(self._path, self._unwritten[0])
                self._unwritten.popleft()
        if self._tell is not None:
            self._tell(event)


class EventReader:
    """Reads events as they are appended, with `from_end` only those that come after now."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._tail = Tail(path, from_end=from_end)

    def poll(self) -> Iterator[Event]:
        """The events appended since the last call."""
        while lines := self._tail.poll():
            yield from (event for line in lines if (event := parse_event(line)) is not None)
