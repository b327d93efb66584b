"""Batches of records to lines of JSON: cleaned, with a reason for each record that is left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sft_tui.dataset.output.line_writer import LineWriter
from sft_tui.dataset.readers.batch import Batch
from sft_tui.dataset.request import EMPTY_INPUT, EMPTY_OUTPUT, MALFORMED, OTHER_SPLIT, REASONS, REJECTED
from sft_tui.dataset.rows.conversations import TurnsMaker
from sft_tui.dataset.rows.mapping import Mapped
from sft_tui.dataset.rows.marks import NO, TEST_SIDE, TRAIN_SIDE, YES, says_bad
from sft_tui.dataset.rows.media import MEDIA
from sft_tui.dataset.rows.samples import REASONING, AlpacaMaker, Maker, Texts, dump
from sft_tui.dataset.rows.texts import blanks, joined, large, mask, trimmed

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

CODES = {reason: code for code, reason in enumerate(REASONS, 1)}
"""What stands for each reason in `Chunk.reasons`; 0 is a record that is kept."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a batch became: `parts` are the lines, joined they end with a line end.

    `lengths` holds the bytes of each line; `reasons` has a code a record (None: all kept); `hashes` one a line, if
    asked for; `left_out` counts the rows of which something should be said; `tests` marks the lines that the data
    itself keeps for testing (None: no line).
    """

    height: int
    parts: tuple[bytes | memoryview, ...]
    lengths: np.ndarray
    reasons: np.ndarray | None = None
    hashes: np.ndarray | None = None
    left_out: Counter[str] | None = None
    tests: np.ndarray | None = None

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
    if columns.messages or columns.history or columns.tools or texts.media:
        return RecordCleaner(make_maker(mapped, texts), hashed), True
    return TextCleaner(texts, hashed), False


def make_maker(mapped: Mapped, texts: Texts) -> Maker:
    """What makes a sample of one record."""
    return TurnsMaker(texts) if mapped.columns.messages else AlpacaMaker(texts)


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
        tests: list[bool] = []
        left_out: Counter[str] = Counter()
        for place, record in enumerate(batch.as_records()):
            made = self.maker.make(record)
            if made.sample is not None:
                try:
                    lines.append(dump(made.sample))
                    tests.append(made.test)
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
        kept_back = np.array(tests, bool) if any(tests) else None
        return Chunk(batch.height, (b"".join(lines),), lengths, dropped, hashes, left_out, kept_back)


class TextCleaner:
    """Columns of texts, in bulk. Does exactly what `AlpacaMaker` does."""

    def __init__(self, texts: Texts, hashed: bool) -> None:
        self.texts = texts
        self.hashed = hashed
        self._written = _written(texts)
        self._writer = LineWriter(self._written)
        self._is_judged = bool(texts.columns.label or texts.columns.split)

    def __call__(self, batch: Batch) -> Chunk:
        """The lines of `batch`."""
        if batch.table is None:
            return RecordCleaner(AlpacaMaker(self.texts), self.hashed)(batch)
        columns = self.texts.columns
        found = {role: trimmed(batch.table[column]) for role, column in columns.mapped().items()}
        blank = {role: blanks(texts) for role, texts in found.items()}
        reasons = self._reasons(found, blank, batch.bad)
        tests = _begins(found["split"], TEST_SIDE) if columns.split else None
        thinks = ~blank["reasoning"] if columns.reasoning else None
        written = self._columns(found, blank)
        if reasons is not None:
            kept = reasons == 0
            written = {role: texts.filter(mask(kept)) for role, texts in written.items()}
            tests, thinks = (marks[kept] if marks is not None else None for marks in (tests, thinks))
        lines = self._writer.write(written)
        said = Counter({REASONING: int(thinks.sum())}) if thinks is not None and thinks.any() else None
        hashes = _hashes(written) if self.hashed else None
        return Chunk(batch.height, (lines.text,), lines.lengths, reasons, hashes, said, tests)

    def _reasons(
        self, found: Mapping[str, Any], blank: Mapping[str, np.ndarray], bad: Sequence[int]
    ) -> np.ndarray | None:
        """The code of each record, or None where all are kept."""
        import numpy as np

        no_prompt = np.logical_and.reduce([blank[role] for role in ("instruction", "input") if role in blank])
        if not bad and not no_prompt.any() and not blank["output"].any() and not self._is_judged:
            return None
        reasons = np.where(blank["output"], CODES[EMPTY_OUTPUT], 0).astype(np.uint8)
        reasons[no_prompt] = CODES[EMPTY_INPUT]
        if "split" in found:
            reasons[~_begins(found["split"], TRAIN_SIDE) & ~_begins(found["split"], TEST_SIDE)] = CODES[OTHER_SPLIT]
        if label := self.texts.columns.label:
            refused = list(YES if says_bad(label) else NO)
            reasons[_lower(found["label"]).is_in(refused).to_numpy()] = CODES[REJECTED]
        reasons[list(bad)] = CODES[MALFORMED]
        return reasons if reasons.any() else None

    def _columns(self, found: Mapping[str, Any], blank: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The columns of the written rows that differ from row to row, with the fixed texts in empty cells."""
        from pyarrow import compute

        columns = {role: found[role] for role, text in self._written.items() if text is None}
        for role, fixed in (("instruction", self.texts.instruction), ("system", self.texts.system)):
            if role in columns and fixed and blank[role].any():
                columns[role] = compute.if_else(mask(blank[role]), large(fixed), columns[role])
        thought = self.texts.thought
        if self.texts.columns.reasoning and thought:
            output = found["output"]
            whole = joined([thought[0], found["reasoning"], thought[1], output])
            has_it = compute.match_substring(output, thought[0].strip()).to_numpy(zero_copy_only=False)
            plain = blank["reasoning"] | blank["output"] | has_it
            columns["output"] = compute.if_else(mask(plain), output, whole)
        return columns


def _lower(texts: Any) -> pl.Series:
    import polars as pl

    return pl.Series(texts).str.to_lowercase()


def _begins(texts: Any, pattern: str) -> np.ndarray:
    """Where `texts` begin with `pattern`, whatever their case."""
    return _lower(texts).str.contains(pattern).to_numpy()


def _hashes(columns: Mapping[str, Any]) -> np.ndarray:
    """A number for each row, the same for the same texts."""
    import numpy as np
    import polars as pl

    frame = pl.DataFrame([pl.Series(role, texts) for role, texts in columns.items()])
    return np.ascontiguousarray(frame.hash_rows(seed=0).to_numpy(), np.uint64)


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
    return keys | {role: role for role in MEDIA if role in mapped.columns.mapped()}
