"""Counts of what was read, kept and dropped, with the first record numbers of each reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sft_tui.dataset.clean import CODES, Chunk
from sft_tui.dataset.request import FIRST_ROWS, REASONS
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

if TYPE_CHECKING:
    import numpy as np


@dataclass(slots=True)
class Tally:
    """Counts what was read and dropped."""

    read: int = 0
    kept: int = 0
    left_out: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, chunk: Chunk, numbers: np.ndarray | None) -> None:
        """Count `chunk`, whose records have `numbers` (from 0), or follow those before."""
        if chunk.reasons is not None:
            self._count(chunk.reasons, numbers)
        self.read += chunk.height
        self.kept += chunk.kept
        self.left_out += chunk.left_out

    def _count(self, reasons: np.ndarray, numbers: np.ndarray | None) -> None:
        import numpy as np

        for reason, code in CODES.items():
            places = np.flatnonzero(reasons == code)
            if len(places):
                self.counts[reason] = self.counts.get(reason, 0) + len(places)
                first = places[:FIRST_ROWS]
                found = (first + self.read if numbers is None else numbers[first]) + 1
                self.rows.setdefault(reason, []).extend(found.tolist())
                del self.rows[reason][FIRST_ROWS:]

    def words(self) -> str:
        """Each reason with its count and first rows."""
        parts = []
        for reason in REASONS:
            if reason in self.counts:
                rows = self.rows[reason]
                shown = ", ".join(map(str, rows)) + (", ..." if self.counts[reason] > len(rows) else "")
                text = _("{reason} {count}: rows {rows}")
                parts.append(text.format(reason=reason, count=self.counts[reason], rows=shown))
        return "; ".join(parts)

    def notes(self) -> list[Problem]:
        """What else should be said about the rows."""
        if not self.left_out:
            return []
        message = _("{count} conversations have text beside a tool call; LLaMA-Factory trains on the call alone.")
        return [Problem("text_beside_call", message.format(count=self.left_out), Severity.WARNING)]
