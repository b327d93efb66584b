"""Batches of records to lines of JSON: cleaned, with a reason for each record that is left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from sft_tui.dataset.batch import Batch
from sft_tui.dataset.conversations import TurnsMaker
from sft_tui.dataset.mapping import Mapped
from sft_tui.dataset.request import EMPTY_INPUT, EMPTY_OUTPUT, MALFORMED, REASONS
from sft_tui.dataset.samples import AlpacaMaker, Maker, Texts, dump
from sft_tui.dataset.text import WHITESPACE

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

CODES = {reason: code for code, reason in enumerate(REASONS, 1)}
"""What stands for each reason in `Chunk.reasons`; 0 is a record that is kept."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a batch became: `parts` are the lines, joined they end with a line end.

    `reasons` has a code a record (None: all kept); `hashes` one a line, if asked for; `left_out` counts the rows in
    which a kind of text had no place.
    """

    height: int
    kept: int
    parts: tuple[bytes, ...]
    reasons: np.ndarray | None = None
    hashes: np.ndarray | None = None
    left_out: Counter[str] | None = None

    @property
    def lines(self) -> bytes:
        """The lines as one."""
        return b"".join(self.parts)


class _Parts:
    """A file that keeps what is written to it as it comes: nothing is copied again."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep `data`."""
        self.parts.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


class Cleaner(Protocol):
    """Turns batches into chunks; safe to use from several threads."""

    def __call__(self, batch: Batch) -> Chunk:
        """The lines of `batch`."""


def make_cleaner(mapped: Mapped, texts: Texts, *, hashed: bool) -> tuple[Cleaner, bool]:
    """The fastest cleaner for `mapped`, and whether it wants records rather than texts."""
    columns = mapped.columns
    if columns.messages:
        return RecordCleaner(TurnsMaker(texts), hashed), True
    if columns.history or columns.tools or columns.images:
        return RecordCleaner(AlpacaMaker(texts), hashed), True
    return TextCleaner(texts, hashed), False


class RecordCleaner:
    """Record by record, for everything that has structure."""

    def __init__(self, maker: Maker, hashed: bool) -> None:
        self.maker = maker
        self.hashed = hashed

    def __call__(self, batch: Batch) -> Chunk:
        """The lines of `batch`."""
        import numpy as np

        reasons = np.zeros(batch.height, np.uint8)
        lines: list[bytes] = []
        left_out: Counter[str] = Counter()
        for place, record in enumerate(batch.as_records()):
            made = self.maker.make(record)
            if made.sample is not None:
                try:
                    lines.append(dump(made.sample))
                    left_out.update(made.left_out)
                    continue
                except UnicodeError:
                    pass
            reasons[place] = CODES[made.reason or MALFORMED]
        hashes = None
        if self.hashed:
            digests = b"".join(hashlib.blake2b(line, digest_size=8).digest() for line in lines)
            hashes = np.frombuffer(digests, np.uint64)
        return Chunk(batch.height, len(lines), (b"".join(lines),), reasons if reasons.any() else None, hashes, left_out)


class TextCleaner:
    """Columns of texts, in bulk. Does exactly what `AlpacaMaker` does."""

    def __init__(self, texts: Texts, hashed: bool) -> None:
        self.texts = texts
        self.hashed = hashed

    def __call__(self, batch: Batch) -> Chunk:
        """The lines of `batch`."""
        import numpy as np
        import polars as pl

        if batch.table is None:
            return RecordCleaner(AlpacaMaker(self.texts), self.hashed)(batch)
        columns = self.texts.columns
        frame = batch.table.select(
            **{
                role: pl.col(column).fill_null("").str.strip_chars(WHITESPACE)
                for role, column in columns.mapped().items()
            }
        )
        reasons = self._reasons(frame, batch.bad)
        frame = frame.select(self._written())
        if reasons is not None:
            frame = frame.filter(pl.Series(reasons == 0))
        written = _Parts()
        if frame.height:
            frame.write_ndjson(cast(IO[bytes], written))
        hashes = frame.hash_rows(seed=0).to_numpy() if self.hashed else None
        if hashes is not None:
            hashes = np.ascontiguousarray(hashes, np.uint64)
        return Chunk(batch.height, frame.height, tuple(written.parts), reasons, hashes)

    def _reasons(self, frame: pl.DataFrame, bad: Sequence[int]) -> np.ndarray | None:
        """The code of each record, or None where all are kept."""
        import numpy as np

        blank = {
            role: (frame[role] == "").to_numpy() for role in ("instruction", "input", "output") if role in frame.columns
        }
        prompts = [blank[role] for role in ("instruction", "input") if role in blank]
        no_prompt = np.logical_and.reduce(prompts)
        if not bad and not no_prompt.any() and not blank["output"].any():
            return None
        reasons = np.where(blank["output"], CODES[EMPTY_OUTPUT], 0).astype(np.uint8)
        reasons[no_prompt] = CODES[EMPTY_INPUT]
        reasons[list(bad)] = CODES[MALFORMED]
        return reasons

    def _written(self) -> list[pl.Expr]:
        """The columns of the written rows, with the fixed texts in empty cells."""
        texts = self.texts
        written = [
            _filled("instruction", texts.columns.instruction, texts.instruction),
            _filled("input", texts.columns.input, None),
            _filled("output", texts.columns.output, None),
        ]
        if texts.has_system:
            written.append(_filled("system", texts.columns.system, texts.system))
        return written


def _filled(role: str, column: str | None, fixed: str | None) -> pl.Expr:
    import polars as pl

    if column is None:
        return pl.lit(fixed or "").alias(role)
    if not fixed:
        return pl.col(role)
    return pl.when(pl.col(role) == "").then(pl.lit(fixed)).otherwise(pl.col(role)).alias(role)


def written_columns(mapped: Mapped, texts: Texts) -> dict[str, Any]:
    """`{role: key}` of the written rows."""
    if mapped.columns.messages:
        keys = {"messages": "conversations", "system": "system", "tools": "tools"}
    else:
        keys = {"instruction": "instruction", "input": "input", "output": "output"}
        if texts.has_system:
            keys["system"] = "system"
        if mapped.columns.history:
            keys["history"] = "history"
        if mapped.columns.tools:
            keys["tools"] = "tools"
    if mapped.columns.images:
        keys["images"] = "images"
    return keys
