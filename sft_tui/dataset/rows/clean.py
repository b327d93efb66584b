"""Batches of records to lines of JSON: cleaned, with a reason for each record that is left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sft_tui.dataset.output.line_writer import LineWriter
from sft_tui.dataset.readers.batch import Batch
from sft_tui.dataset.request import EMPTY_INPUT, EMPTY_OUTPUT, MALFORMED, REASONS
from sft_tui.dataset.rows.conversations import TurnsMaker
from sft_tui.dataset.rows.mapping import Mapped
from sft_tui.dataset.rows.samples import AlpacaMaker, Maker, Texts, dump
from sft_tui.dataset.rows.text import WHITESPACE

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

CODES = {reason: code for code, reason in enumerate(REASONS, 1)}
"""What stands for each reason in `Chunk.reasons`; 0 is a record that is kept."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a batch became: `parts` are the lines, joined they end with a line end.

    `lengths` holds the bytes of each line; `reasons` has a code a record (None: all kept); `hashes` one a line, if
    asked for; `left_out` counts the rows in which a kind of text had no place.
    """

    height: int
    parts: tuple[bytes | memoryview, ...]
    lengths: np.ndarray
    reasons: np.ndarray | None = None
    hashes: np.ndarray | None = None
    left_out: Counter[str] | None = None

    @property
    def kept(self) -> int:
        """How many lines there are."""
        return len(self.lengths)

    @property
    def lines(self) -> bytes:
        """The lines as one."""
        return b"".join(self.parts)


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
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        dropped = reasons if reasons.any() else None
        return Chunk(batch.height, (b"".join(lines),), lengths, dropped, hashes, left_out)


class TextCleaner:
    """Columns of texts, in bulk. Does exactly what `AlpacaMaker` does."""

    def __init__(self, texts: Texts, hashed: bool) -> None:
        self.texts = texts
        self.hashed = hashed
        self._written = _written(texts)
        self._writer = LineWriter(self._written)

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
        frame = frame.select(self._columns())
        if reasons is not None:
            frame = frame.filter(pl.Series(reasons == 0))
        lines = self._writer.write(frame)
        hashes = np.ascontiguousarray(frame.hash_rows(seed=0).to_numpy(), np.uint64) if self.hashed else None
        return Chunk(batch.height, lines.parts, lines.lengths, reasons, hashes)

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

    def _columns(self) -> list[pl.Expr]:
        """The columns of the written rows that differ from row to row, with the fixed texts in empty cells."""
        import polars as pl

        fixed = {"instruction": self.texts.instruction, "system": self.texts.system}
        columns: list[pl.Expr] = []
        for role in (role for role, text in self._written.items() if text is None):
            text = fixed.get(role)
            column = pl.col(role)
            columns.append(pl.when(column == "").then(pl.lit(text)).otherwise(column).alias(role) if text else column)
        return columns


def _written(texts: Texts) -> dict[str, str | None]:
    """The keys of the written rows; a text where it is the same in all, None where a column gives it."""
    columns = texts.columns
    keys = {
        "instruction": None if columns.instruction else texts.instruction or "",
        "input": None if columns.input else "",
        "output": None if columns.output else "",
    }
    if texts.has_system:
        keys["system"] = None if columns.system else texts.system or ""
    return keys


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
