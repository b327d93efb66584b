"""The state of a run put together again from its plan and its events, for a state.json that is gone or damaged."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sft_tui.project.events import Event, EventReader
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout

_OF_STAGE = ("attempt", "process", "made_from", "parts")
"""What `stage_started` says of a stage under the names that the state has."""
_NO_FIGURE = ("t", "type", "stage", "id")


def rebuilt_state(layout: RunLayout) -> dict[str, Any] | None:
    """What state.json would hold, as far as plan and events tell; None where there is neither.

    Processes are those of the last start, so that a run that goes on is seen as such.
    """
    return copy.deepcopy(_rebuilt(layout, _mark(layout.plan), _mark(layout.events)))


def _mark(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, -1
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=64)
def _rebuilt(layout: RunLayout, plan_mark: tuple[int, int], _events_mark: tuple[int, int]) -> dict[str, Any] | None:
    """As `rebuilt_state`; asked again only where a file has changed."""
    plan = read_json(layout.plan)
    plan = plan if isinstance(plan, dict) else {}
    history = _History(layout, plan)
    for event in EventReader(layout.events).poll():
        history.take(event)
    if not history.began:
        if not plan:
            return None
        history.state["created"] = history.state["updated"] = plan_mark[0] / 1e9
    return history.state


class _History:
    """The state as it was after each event."""

    def __init__(self, layout: RunLayout, plan: dict[str, Any]) -> None:
        self.began = False
        self.state: dict[str, Any] = {
            "run": layout.name,
            "status": "pending",
            "stages": {name: {} for name in _planned(plan)},
            "metrics": {},
            "diagnoses": [],
            "model": str(plan.get("model", "")),
            "dataset": str(plan.get("dataset", "")),
            "parent": str(plan.get("parent", "")),
            "rebuilt": True,
        }
        self._acts: dict[str, Callable[[Event, float], None]] = {
            "run_started": self._run_started,
            "stage_started": self._stage_started,
            "stage_finished": self._stage_finished,
            "progress": self._progress,
            "metric": self._metric,
            "diagnosis": self._diagnosis,
            "run_finished": self._run_finished,
        }

    def take(self, event: Event) -> None:
        """What `event` changed. Events with odd values change nothing."""
        at = _epoch(event.get("t"))
        kind = event.get("type")
        if at is None or not isinstance(kind, str):
            return
        self.state.setdefault("created", at)
        self.state["updated"] = at
        self.began = True
        if kind in self._acts:
            self._acts[kind](event, at)

    def _run_started(self, event: Event, _at: float) -> None:
        state = self.state
        nobody = {"pid": 0, "started": 0.0}  # of an older version: it is not known, and surely no longer there
        state.update(status="running", finished=None, exit_code=None, message=None, diagnoses=[])
        state.update(supervisor=event.get("supervisor") or nobody, place=event.get("place"))

    def _stage_started(self, event: Event, at: float) -> None:
        stage = self._stage(event)
        if stage is None:
            return
        self.state["stage"] = event["stage"]
        stage.update({key: event[key] for key in _OF_STAGE if key in event})
        stage.update(status="running", started=at, finished=None, exit_code=None)
        if event["stage"] == "train" and "resume_from_checkpoint" not in str(event.get("argv")):
            self.state["metrics"], stage["lines_read"] = {}, 0

    def _stage_finished(self, event: Event, at: float) -> None:
        stage = self._stage(event)
        if stage is not None:
            stage.update(status=event.get("status"), exit_code=event.get("exit_code"), finished=at)

    def _progress(self, event: Event, at: float) -> None:
        stage = self._stage(event)
        if stage is not None and event["stage"] == "train":
            stage["lines_read"] = stage.get("lines_read", 0) + 1
            self._metric(event, at)

    def _metric(self, event: Event, _at: float) -> None:
        figures = {k: v for k, v in event.items() if k not in _NO_FIGURE and isinstance(v, int | float)}
        metrics = self.state["metrics"]
        metrics.update(figures)
        for key in ("loss", "eval_loss"):
            if key in figures:
                metrics.setdefault(f"first_{key}", figures[key])

    def _diagnosis(self, event: Event, _at: float) -> None:
        self.state["diagnoses"].append({k: v for k, v in event.items() if k not in ("t", "type", "stage")})

    def _run_finished(self, event: Event, at: float) -> None:
        self.state.update({key: event.get(key) for key in ("status", "exit_code", "message")}, finished=at)

    def _stage(self, event: Event) -> dict[str, Any] | None:
        name = event.get("stage")
        if not isinstance(name, str) or name == "wait":
            return None
        stage: dict[str, Any] = self.state["stages"].setdefault(name, {})
        return stage


def _planned(plan: dict[str, Any]) -> list[str]:
    stages = plan.get("stages")
    return [str(s.get("name")) for s in stages if isinstance(s, dict)] if isinstance(stages, list) else []


def _epoch(text: Any) -> float | None:
    try:
        at = datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return at if math.isfinite(at) else None
