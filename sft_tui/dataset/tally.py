"""Counts of what was read, kept and dropped, with the first record numbers of each reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sft_tui.dataset.request import FIRST_ROWS, REASONS
from sft_tui.dataset.rows.clean import CODES, Chunk
from sft_tui.dataset.rows.conversations import BESIDE_CALL, REASONING
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

if TYPE_CHECKING:
    import numpy as np


@dataclass(slots=True)
class Tally:
    """Counts what was read and dropped."""

    read: int = 0
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, chunk: Chunk, numbers: np.ndarray | None) -> None:
        """Count `chunk`, whose records have `numbers` (from 0), or follow those before."""
        if chunk.reasons is not None:
            self._count(chunk.reasons, numbers)
        self.read += chunk.height
        self.kept += chunk.kept
        if chunk.left_out:
            self.left_out.update(chunk.left_out)

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
        words = {
            BESIDE_CALL: _(
                "{count} conversations have text beside a tool call; LLaMA-Factory trains on the call alone."
            ),
            REASONING: _("{count} conversations have reasoning beside their answers; it is left out."),
        }
        hints = {REASONING: _("To train on it, put it into the answers between <think> and </think>.")}
        return [
            Problem(kind, words[kind].format(count=count), Severity.WARNING, hint=hints.get(kind))
            for kind, count in sorted(self.left_out.items())
        ]
