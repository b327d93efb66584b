"""Tails `trainer_log.jsonl`, the file to which LLaMA-Factory appends one JSON object at each log step.

It is read incrementally and never trusted: a half line waits for its rest, a bad one is skipped, a file that was
replaced or truncated is read from its start. On resume LLaMA-Factory goes on in the same file, and steps go back.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.project.tail import Tail

_DURATION = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.\d+)?$")
_GRAD_NORM = re.compile(rb"'grad_norm': *'?([-+.\w]+)'?")


@dataclass(frozen=True, slots=True)
class Metric:
    """One log step. What a line does not hold is None; NaN and infinities are kept as such.

    `percent` is 0 to 100, durations are in seconds (the first `remaining_s` after a resume is too low), `throughput`
    is tokens per second since the start, `vram_allocated` and `vram_reserved` are peaks in GiB as LLaMA-Factory writes
    them with RECORD_VRAM=1.
    """

    step: int
    total_steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    epoch: float | None = None
    percent: float | None = None
    elapsed_s: float | None = None
    remaining_s: float | None = None
    grad_norm: float | None = None
    throughput: float | None = None
    total_tokens: int | None = None
    vram_allocated: float | None = None
    vram_reserved: float | None = None


class TrainerLog:
    """Tails the `trainer_log.jsonl` at `path`, which need not exist yet."""

    def __init__(self, path: Path | str) -> None:
        self._tail = Tail(path)

    @property
    def resets(self) -> int:
        """How often the file was replaced or truncated; the metrics that follow a reset begin anew."""
        return self._tail.resets

    def poll(self) -> list[Metric]:
        """The metrics of the lines that were completed since the last call, in the file's order."""
        return [metric for line in self._tail.poll() if (metric := parse_metric(line)) is not None]


class GradNorms:
    """Tails a stage's console log for gradient norms, which LLaMA-Factory writes nowhere else while it trains."""

    def __init__(self, path: Path | str) -> None:
        self._tail = Tail(path)

    def poll(self) -> list[float]:
        """The norms that were printed since the last call; NaN and infinities are kept as such."""
        found: list[float] = []
        for line in self._tail.poll():
            for piece in line.split(b"\r"):
                if piece.lstrip().startswith(b"{'loss'") and (match := _GRAD_NORM.search(piece)):
                    norm = as_number(match[1].decode("ascii", "replace"))
                    if norm is not None:
                        found.append(norm)
        return found


def read_metrics(path: Path | str) -> list[Metric]:
    """All metrics of a finished file; empty where there is none."""
    log = TrainerLog(path)
    metrics: list[Metric] = []
    while new := log.poll():
        metrics += new
    return metrics


def parse_metric(line: bytes | str) -> Metric | None:
    """The metric in one line of the file; None where it holds none (not JSON, no object, no step)."""
    text = line.decode("utf-8", errors="replace") if isinstance(line, bytes) else line
    text = text.strip("\x00 \t\r\n\ufeff")
    if not text.startswith("{"):
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    step = _whole(data.get("current_steps"))
    if step is None:
        return None
    return Metric(
        step=step,
        total_steps=_whole(data.get("total_steps")) or None,
        loss=as_number(data.get("loss")),
        eval_loss=as_number(data.get("eval_loss")),
        learning_rate=as_number(data.get("lr", data.get("learning_rate"))),
        epoch=as_number(data.get("epoch")),
        percent=as_number(data.get("percentage")),
        elapsed_s=_duration(data.get("elapsed_time")),
        remaining_s=_duration(data.get("remaining_time")),
        grad_norm=as_number(data.get("grad_norm")),
        throughput=as_number(data.get("throughput")),
        total_tokens=_whole(data.get("total_tokens")),
        vram_allocated=as_number(data.get("vram_allocated")),
        vram_reserved=as_number(data.get("vram_reserved")),
    )


def as_number(value: Any) -> float | None:
    """A number that may be written as a text (`'nan'`, `'1.5e-05'`); None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _whole(value: Any) -> int | None:
    number = as_number(value)
    return int(number) if number is not None and math.isfinite(number) else None


def _duration(value: Any) -> float | None:
    """Seconds of `1 day, 2:03:04`."""
    if not isinstance(value, str) or (match := _DURATION.match(value.strip())) is None:
        return as_number(value)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
