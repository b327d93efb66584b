"""How long a run is: from the rows of the source to the optimizer steps, asked here by whoever shows or needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sft_tui.dataset.output.split import test_rows
from sft_tui.factory.length import is_packed, optimizer_steps, packed_sequences, trained_rows
from sft_tui.plan.estimate import lengths_for
from sft_tui.plan.sources import trained_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sft_tui.answers import Answers
    from sft_tui.plan.context import Situation
    from sft_tui.plan.sources import Part


@dataclass(frozen=True, slots=True)
class RunLength:
    """What a run trains on. `rows` are those that are trained on, without test and evaluation rows, `steps` the
    optimizer steps; None where they cannot be known. Where they are not `exact` the conversion may leave rows out, or
    the samples are packed by lengths that are known of some.
    """

    rows: int | None = None
    steps: int | None = None
    exact: bool = False


def file_rows(part: Part) -> tuple[int | None, bool]:
    """Rows of the train file, and whether they are written: until then some may be left out, or split by the source."""
    if part.converted is not None:
        return part.converted, True
    data, lengths = part.answers.data, part.lengths
    rows = lengths.rows if lengths is not None else part.rows
    if rows is None:
        return None, False
    rows = min(rows, data.max_samples or rows)
    rows = rows if lengths is not None else round(rows * part.kept.written)
    tested = round(rows * part.kept.tested) or test_rows(data.test_size, rows)
    return max(rows - tested, 0), False


def run_length(answers: Answers, situation: Situation, options: Mapping[str, Any], processes: int) -> RunLength:
    """What the training with `options` in so many `processes` amounts to, as far as it is known now."""
    files = [file_rows(part) for part in trained_parts(answers, situation)]
    known = [rows for rows, _written in files if rows is not None]
    exact = all(written for _rows, written in files)
    if len(known) < len(files) or options.get("dataset", situation.trained) != situation.trained:
        return RunLength(None, optimizer_steps(options, None, processes))
    rows = trained_rows(options, *known)
    sequences: int | None = rows
    if is_packed(options):
        lengths = lengths_for(situation, options)
        sequences = packed_sequences(options, rows, lengths.known) if lengths is not None else None
        exact = False
    return RunLength(rows, optimizer_steps(options, sequences, processes), exact)
