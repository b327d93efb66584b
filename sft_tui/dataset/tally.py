"""Counts of what was read, kept and dropped, with the first record numbers of each reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sft_tui.dataset.request import (
    FIRST_ROWS,
    MASKED_TURN,
    MISSING_FILE,
    REASONS,
    REJECTED,
    ConvertRequest,
    PreviewPage,
)
from sft_tui.dataset.rows.clean import CODES, Chunk
from sft_tui.dataset.rows.samples import BESIDE_CALL, CUT_TURNS, MARKED, REASONING, THOUGHT, WEIGHTED
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

    def notes(self, request: ConvertRequest) -> list[Problem]:
        """What else should be said about the rows."""
        found = [_said(kind, count, request) for kind, count in sorted(self.left_out.items())]
        if rejected := self.counts.get(REJECTED):
            message = _("{count} rows are left out because the data marks their answers as ones not to train on.")
            found.append(Problem(REJECTED, message.format(count=rejected), Severity.WARNING, key="data.columns.label"))
        if masked := self.counts.get(MASKED_TURN):
            message = _("{count} conversations are left out: an answer not to be trained on stands before one that is.")
            hint = _("With `mask_history: true`, LLaMA-Factory trains on the last answer alone, and they can be used.")
            found.append(Problem(MASKED_TURN, message.format(count=masked), Severity.WARNING, hint=hint))
        if missing := self.counts.get(MISSING_FILE):
            message = _("{count} rows are left out because a file that they name is not there.")
            hint = _("Paths are looked for beside the data file; addresses must be downloaded first.")
            found.append(Problem(MISSING_FILE, message.format(count=missing), Severity.WARNING, hint=hint))
        return found


def _said(kind: str, count: int, request: ConvertRequest) -> Problem:
    words = {
        BESIDE_CALL: _("{count} conversations have text beside a tool call; LLaMA-Factory trains on the call alone."),
        REASONING: _("{count} rows have reasoning; it is trained on, before the answer, between {start} and {end}."),
        CUT_TURNS: _("{count} conversations are cut after the last answer that may be trained on."),
        WEIGHTED: _("{count} conversations have weights that are neither 0 nor 1; LLaMA-Factory trains on all alike."),
        MARKED: _("{count} rows name files that their prompts do not mention; they are put before the first prompt."),
    }
    start, end = (mark.strip() for mark in request.thought or THOUGHT)
    if kind == REASONING and request.reasoning == "drop":
        text = _("{count} rows have reasoning beside their answers; it is left out.")
        hint = _("To train on it: --reasoning keep (`reasoning: keep` under `data`).")
        return Problem(kind, text.format(count=count), Severity.WARNING, key="data.reasoning", hint=hint)
    severity = Severity.INFO if kind in (REASONING, MARKED) else Severity.WARNING
    way_out = _("To leave it out: --reasoning drop") if kind == REASONING else None
    return Problem(kind, words[kind].format(count=count, start=start, end=end), severity, hint=way_out)


def page_notes(page: PreviewPage, request: ConvertRequest) -> list[Problem]:
    """What the rows of `page` show of what the whole source may hold."""
    tally = Tally(read=len(page.rows))
    for row in page.rows:
        tally.left_out.update(row.left_out)
        if row.drop is not None:
            tally.counts[row.drop] = tally.counts.get(row.drop, 0) + 1
            tally.rows.setdefault(row.drop, []).append(row.number)
    notes = tally.notes(request)
    if tally.counts:
        message = _("{count} rows are left out ({reasons}).")
        text = message.format(count=sum(tally.counts.values()), reasons=tally.words())
        notes.append(Problem("dropped_rows", text, Severity.INFO, key="data.source"))
    first = _("Of the first {count} rows: {text}")
    return [replace(note, message=first.format(count=tally.read, text=note.message)) for note in notes]


def split_notes(marked: int, shared: int, *, sized: bool) -> list[Problem]:
    """What should be said where the data itself divides its rows: `marked` of them for testing."""
    notes = []
    if sized:
        message = _("The data keeps {count} rows for testing itself; --test-size is not used.").format(count=marked)
        notes.append(Problem("test_size_unused", message, Severity.WARNING, key="data.test_size"))
    if shared:
        message = _("{count} training rows are the same as test rows.").format(count=shared)
        notes.append(Problem("rows_on_both_sides", message, Severity.WARNING, key="data.columns.split"))
    return notes
