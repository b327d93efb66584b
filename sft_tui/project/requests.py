"""What front ends ask of a run's supervisor: a small file each in `runs/<run>/requests/`, taken in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
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
    try:
        waiting = sorted(layout.requests.glob("[0-9]*.json"))
    except OSError:  # of a disk that does not answer now
        return
    for path in waiting:
        data = read_json(path)
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue
        if isinstance(data, dict) and data.get("kind") in list(RequestKind):
            yield Request(RequestKind(data["kind"]), data.get("details") or {})
