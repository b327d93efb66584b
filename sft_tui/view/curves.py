"""Figures over training steps in bounded memory: a run of any length is a curve of at most `LIMIT` points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LIMIT = 2048
"""Points that a series keeps; beyond it neighbours are merged, the oldest first."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """A series at one moment: (step, value), steps rising. `first`, `last` and `lowest` are exact, not merged."""

    points: tuple[Point, ...] = ()
    first: float | None = None
    last: float | None = None
    lowest: float | None = None


class Series:
    """Collects (step, value). Steps that go back (a resumed run) replace what was recorded from there on."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._first: float | None = None
        self._last: float | None = None
        self._lowest: float | None = None

    def add(self, step: float, value: float) -> None:
        """Record `value` (may be NaN) at `step`."""
        if self._points and step <= self._points[-1][0]:
            self._points = [p for p in self._points if p[0] < step]
            finite = [v for _, v in self._points if math.isfinite(v)]
            self._lowest = min(finite, default=None)
            if not self._points:
                self._first = None
        if self._first is None:
            self._first = value
        self._last = value
        if math.isfinite(value) and (self._lowest is None or value < self._lowest):
            self._lowest = value
        self._points.append((step, value))
        if len(self._points) > LIMIT:
            self._points = _halved(self._points)

    def curve(self) -> Curve:
        """The series now."""
        return Curve(tuple(self._points), self._first, self._last, self._lowest)


def _halved(points: list[Point]) -> list[Point]:
    """The older three quarters with neighbours merged to their means; the newest stay as they are."""
    cut = len(points) * 3 // 4 // 2 * 2
    merged = [
        ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
        for left, right in zip(points[0:cut:2], points[1:cut:2], strict=True)
    ]
    return merged + points[cut:]


def resample(points: Sequence[Point], start: float, end: float, width: int) -> list[float | None]:
    """The mean of the finite values in each of `width` equal parts of the steps `[start, end]`.

    None where a part has no point; NaN where it has points but no finite one.
    """
    if width <= 0:
        return []
    sums, counts, broken = [0.0] * width, [0] * width, [False] * width
    span = max(end - start, 1e-9)
    for step, value in points:
        if start <= step <= end:
            place = min(int((step - start) / span * width), width - 1)
            if math.isfinite(value):
                sums[place] += value
                counts[place] += 1
            else:
                broken[place] = True
    return [
        total / count if count else (math.nan if bad else None)
        for total, count, bad in zip(sums, counts, broken, strict=True)
    ]


def smooth(points: Sequence[Point], weight: float = 0.9) -> list[Point]:
    """Exponential moving average with bias correction, as TensorBoard draws it; only finite values count."""
    out: list[Point] = []
    average, norm = 0.0, 0.0
    for step, value in points:
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            norm = weight * norm + (1 - weight)
            out.append((step, average / norm))
    return out
