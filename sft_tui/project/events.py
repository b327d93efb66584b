"""`events.jsonl`: everything that happened in a run, one object a line, only appended to.

Types and their fields beside `t` (ISO 8601 with offset) and `type`:
run_started {run, attempt} - stage_started {stage, attempt, argv, log} - progress {stage, step, total_steps, percent,
epoch, remaining_s} or, with stage "wait", {waited_s, needed_bytes, free_bytes, ahead, message} - metric {step, loss |
eval_loss, ...} - warning {id, message, hint} - diagnosis {stage, id, title, cause, line, fixes, source} -
stage_finished {stage, status, exit_code, seconds} - run_finished {status, exit_code, message, seconds}.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sft_tui.project.files import open_append

Event = dict[str, Any]


def make_event(kind: str, **fields: Any) -> Event:
    """An event of type `kind` that happens now."""
    return {"t": datetime.now().astimezone().isoformat(timespec="milliseconds"), "type": kind, **fields}


def append_event(path: Path, event: Event) -> None:
    """Append `event` as one line in one write, so that a reader sees whole lines or a last half one."""
    line = json.dumps(event, ensure_ascii=False) + "\n"
    with open_append(path) as stream:
        stream.write(line.encode("utf-8", "replace"))


class EventLog:
    """The events of one run: each into its file, and to `tell`, who wants to hear of it."""

    def __init__(self, path: Path, tell: Callable[[Event], None] | None = None) -> None:
        self._path = path
        self._tell = tell

    def add(self, kind: str, **fields: Any) -> None:
        """An event happens now. A full disk must not end the run that could still finish."""
        event = make_event(kind, **fields)
        with contextlib.suppress(OSError):
            append_event(self._path, event)
        if self._tell is not None:
            self._tell(event)


class EventReader:
    """Reads events as they are appended. `poll` gives the new ones; a half line waits until it is whole."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_end and path.exists() else 0

    def poll(self) -> Iterator[Event]:
        """The events appended since the last call."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                chunk = stream.read()
        except OSError:  # not there yet, or on a disk that does not answer now
            return
        whole = chunk.rfind(b"\n") + 1
        self._offset += whole
        for line in chunk[:whole].splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
