"""Telling a program of the user's about alarms and the end of a run: mail, chat, a note on the desktop."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOLD = frozenset({"warning", "run_finished"})
"""Types of the events that the program is told."""
_MOST_AT_ONCE = 8


class Notifier:
    """Starts `command` (a program and its arguments, no shell) in `cwd` for an event, which it finds on its input.

    The event comes as one JSON object, with `about` (the run's name and project) before its own fields. Nobody waits
    for the program, and its failure is its own; while eight of them have not ended, alarms are not told, the end is.
    """

    def __init__(self, command: Sequence[str], cwd: Path, **about: str) -> None:
        self._command = list(command)
        self._cwd = cwd
        self._about = about
        self._started: list[subprocess.Popen[bytes]] = []

    def tell(self, event: dict[str, Any]) -> None:
        """Tell the program of `event` if it is one of those."""
        self._started = [process for process in self._started if process.poll() is None]
        if not self._command or event["type"] not in TOLD:
            return
        if len(self._started) >= _MOST_AT_ONCE and event["type"] != "run_finished":
            return
        line = json.dumps(self._about | event, ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError, ValueError), tempfile.TemporaryFile() as told:
            told.write(line.encode("utf-8", "replace"))  # a file never blocks, however little is read of it
            told.seek(0)
            process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                stdin=told,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._started.append(process)
