"""How fast a training goes, evaluations and checkpoints included, since they are part of the time that is left."""

from __future__ import annotations

from collections import deque


class Pace:
    """The steps and the seconds of the last records of one attempt, as the trainer's own clock counts them."""

    WINDOW = 20

    def __init__(self) -> None:
        self._records: deque[tuple[int, float]] = deque(maxlen=self.WINDOW)

    def clear(self) -> None:
        """Another attempt begins: the speed of the one before says nothing about it."""
        self._records.clear()

    def add(self, step: int, elapsed_s: float | None) -> None:
        """A record: `step` was done `elapsed_s` seconds after the attempt began. Where either falls, it began anew."""
        if self._records and (
            step < self._records[-1][0] or (elapsed_s is not None and elapsed_s < self._records[-1][1])
        ):
            self._records.clear()
        if elapsed_s is not None:
            self._records.append((step, elapsed_s))

    def step_s(self) -> float | None:
        """Seconds a step over the last records; None before two of them are a second apart."""
        if len(self._records) < 2:
            return None
        (first, start), (last, end) = self._records[0], self._records[-1]
        return (end - start) / (last - first) if last > first and end > start else None
