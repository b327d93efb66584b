"""What a data set is like, and what follows for the training options. Streams; memory stays flat."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sft_tui.dataset.checks import check_request
from sft_tui.dataset.output import split
from sft_tui.dataset.readers.batch import Record
from sft_tui.dataset.reading import Reading, with_late_columns
from sft_tui.dataset.request import ConvertRequest, Progress
from sft_tui.dataset.stats.content_checks import Content, Finding
from sft_tui.dataset.stats.token_lengths import TokenCounter, TokenLengths, python_with_tokenizers
from sft_tui.i18n import _

_CUTOFF_STEP = 128
_MOST_TRUNCATED = 0.01
_PACKING_PAYS = 1.2


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value for a training option, with its reason in a sentence."""

    key: str
    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """All that was found. `scripts` are shares of the rows; `personal` counts rows that likely hold such data;
    `doubtful` those with characters of a wrong encoding (`mojibake`), HTML (`markup`), lists or objects as answers
    (`structure`), and answers that differ to one prompt (`contradiction`).
    """

    rows: int
    dropped: dict[str, int]
    duplicates: int
    scripts: dict[str, float]
    near_empty: Finding
    cut_off: Finding
    personal: dict[str, Finding]
    doubtful: dict[str, Finding]
    tokens: TokenLengths | None
    suggestions: tuple[Suggestion, ...]

    def as_json(self) -> dict[str, Any]:
        """The object for `--json`."""
        return {
            "rows": self.rows,
            "dropped": self.dropped,
            "duplicates": self.duplicates,
            "scripts": self.scripts,
            "near_empty": _finding(self.near_empty),
            "cut_off": _finding(self.cut_off),
            "personal": {kind: _finding(found) for kind, found in self.personal.items()},
            "doubtful": {kind: _finding(found) for kind, found in self.doubtful.items()},
            "tokens": self.tokens.as_json() if self.tokens is not None else None,
            "suggestions": [{"key": s.key, "value": s.value, "text": s.text} for s in self.suggestions],
        }


def _finding(found: Finding) -> dict[str, Any]:
    return {"count": found.count, "rows": list(found.rows)}


def statistics(
    request: ConvertRequest,
    *,
    model: Path | None = None,
    frame: Mapping[str, Any] | None = None,
    cutoff_len: int = 2048,
    batch_size: int = 2,
    context: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Statistics:
    """Look at every row that `request` would write.

    With a `model` directory, tokens are counted with its tokenizer, by this Python where it has `tokenizers`, otherwise
    by `request.train_python`; `frame` (the render script's answer) adds the fixed texts of the template; `context` is
    for how many tokens the model has positions. Raises `Refusal` where the source cannot be read.
    """
    check_request(request)
    python = python_with_tokenizers(model, request.train_python) if model is not None else None

    def look(late: Record | None) -> Statistics:
        return _look(request, model, python, frame, (cutoff_len, batch_size, context), progress, late)

    return with_late_columns(look)


def _look(
    request: ConvertRequest,
    model: Path | None,
    python: str | None,
    frame: Mapping[str, Any] | None,
    sizes: tuple[int, int, int | None],
    progress: Callable[[Progress], None] | None,
    late: Record | None,
) -> Statistics:
    import numpy as np

    content = Content()
    cutoff_len, batch_size, context = sizes
    with ExitStack() as stack:
        folder = Path(tempfile.gettempdir())
        reading = stack.enter_context(Reading(replace(request, dedupe=True), folder, progress, late))
        reading.plan()
        counter: TokenCounter | None = None
        if python is not None and model is not None:
            counter = stack.enter_context(TokenCounter(python, model, cutoff_len, frame))
        for chunk, numbers in reading.blocks():
            lines = chunk.lines
            content.add(lines, reading.record_numbers(chunk, numbers, reading.tally.read - chunk.height) + 1)
            if counter is not None:
                counter.feed(lines)
        tokens = counter.result() if counter is not None else None
        sides = np.zeros(reading.tally.kept, np.uint8)
        duplicates = split.Chooser(reading.hashes, request.seed, folder).duplicates(sides)
        dropped = dict(reading.tally.counts)
    total = max(content.rows, 1)
    scripts = {name: count / total for name, count in sorted(content.scripts.items(), key=lambda item: -item[1])}
    return Statistics(
        rows=content.rows,
        dropped=dropped,
        duplicates=duplicates,
        scripts=scripts,
        near_empty=content.near_empty,
        cut_off=content.cut_off,
        personal=content.personal,
        doubtful={**content.doubtful, "contradiction": content.contradictions()},
        tokens=tokens,
        suggestions=suggest(content.rows, tokens, batch_size, context),
    )


def suggest(
    rows: int, tokens: TokenLengths | None, batch_size: int, context: int | None = None
) -> tuple[Suggestion, ...]:
    """What the numbers say about cutoff length, packing and epochs (the guide's ranges).

    No cutoff is suggested beyond `context`, the tokens that the model has positions for.
    """
    found = [_epochs(rows)] if rows else []
    if tokens is None or not tokens.rows:
        return tuple(found)
    cutoff = min(suggested_cutoff(tokens), context or sys.maxsize)
    text = _("{share:.1%} of the samples are longer than cutoff_len {cutoff}.")
    found.insert(
        0, Suggestion("cutoff_len", cutoff, text.format(share=tokens.share_longer_than(cutoff), cutoff=cutoff))
    )
    gain = packing_gain(tokens, cutoff, batch_size)
    if gain >= _PACKING_PAYS:
        text = _("Packing saves padding: about {gain:.1f} times fewer tokens are computed.").format(gain=gain)
        found.append(Suggestion("packing", True, text))
    elif batch_size == 1:
        found.append(Suggestion("packing", False, _("Packing would hardly pay: one sample a batch has no padding.")))
    else:
        found.append(Suggestion("packing", False, _("Packing would hardly pay: the samples are of similar length.")))
    return tuple(found)


def suggested_cutoff(tokens: TokenLengths) -> int:
    """The smallest multiple of 128 that truncates less than 1 % of the samples."""
    length = tokens.percentile(1 - _MOST_TRUNCATED)
    cutoff = max(math.ceil(length / _CUTOFF_STEP), 1) * _CUTOFF_STEP
    while tokens.share_longer_than(cutoff) >= _MOST_TRUNCATED:
        cutoff += _CUTOFF_STEP
    return cutoff


def packing_gain(tokens: TokenLengths, cutoff: int, batch_size: int) -> float:
    """Tokens computed with padding to the longest of a batch, divided by those of full sequences.

    The expected longest of `batch_size` independent draws is the sum over lengths of P(longest > length).
    """
    mean = longest = 0.0
    below = previous = 0.0
    for length, count in tokens.histogram:
        length = min(length, cutoff)
        mean += length * count / tokens.rows
        below = min(below + count / tokens.rows, 1.0)
        longest += length * (below**batch_size - previous**batch_size)
        previous = below
    return longest / mean if mean else 1.0


def _epochs(rows: int) -> Suggestion:
    epochs = 5 if rows < 500 else 3 if rows < 20_000 else 2 if rows < 100_000 else 1
    text = _("{rows} samples: {epochs} epochs are a usual start (the guide says 1 to 5, fewer for more data).")
    return Suggestion("num_train_epochs", float(epochs), text.format(rows=rows, epochs=epochs))
