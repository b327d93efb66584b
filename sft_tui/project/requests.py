"""What front ends ask of a run's supervisor: a small file each in `runs/<run>/requests/`, taken in order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from sft_tui.project.files import read_json, write_json
from sft_tui.project.layout import RunLayout


class RequestKind(StrEnum):
    """What can be asked for."""

    STOP = "stop"  # end training at the next step and save what was learned; then the run ends as `stopped`
    STOP_NOW = "stop_now"  # end at once; only checkpoints that are there remain


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that a front end asked for."""

    kind: RequestKind
    details: dict[str, Any] = field(default_factory=dict)


def leave_request(layout: RunLayout, request: Request) -> None:
    """Leave `request` for the supervisor of the run."""
    name = f"{time.time_ns()}-{request.kind.value}.json"
    write_json(layout.requests / name, {"kind": request.kind.value, "details": request.details}, follow=False)


def take_requests(layout: RunLayout) -> Iterator[Request]:
    """Take the waiting requests, oldest first; an unreadable one is dropped, one that cannot be removed waits."""
    for path in _waiting(layout):
        data = read_json(path)
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue
        if not isinstance(data, dict) or data.get("kind") not in list(RequestKind):
            continue
        details = data.get("details")
        yield Request(RequestKind(data["kind"]), details if isinstance(details, dict) else {})


def clear_requests(layout: RunLayout) -> None:
    """Drop what was asked of the run before it starts: a stop that came after its end must not stop it again.

    What cannot be removed (a directory of that name) stays; no supervisor takes it.
    """
    for path in _waiting(layout):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _waiting(layout: RunLayout) -> list[Path]:
    try:
        return sorted(layout.requests.glob("[0-9]*.json"))
    except OSError:  # of a disk that does not answer now
        return []
