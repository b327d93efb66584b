"""What a conversion is asked for, and what it answers with. Plain frozen records, cheap to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sft_tui.problems import Problem

IN_ARCHIVE = "!"
"""Stands between an archive and the name of a file in it: `data.zip!train.csv`."""
FORMATS = ("auto", "columns", "alpaca", "sharegpt", "openai")
SAMPLINGS = ("first", "random")
REASONINGS = ("keep", "drop")

EMPTY_INPUT = "empty_input"
EMPTY_OUTPUT = "empty_output"
MALFORMED = "malformed"
BAD_ROLES = "bad_roles"
REJECTED = "rejected"
MASKED_TURN = "masked_turn"
OTHER_SPLIT = "other_split"
MISSING_FILE = "missing_file"
DUPLICATE = "duplicate"
REASONS = (
    MALFORMED, BAD_ROLES, EMPTY_INPUT, EMPTY_OUTPUT, REJECTED, MASKED_TURN, OTHER_SPLIT, MISSING_FILE, DUPLICATE,
)  # fmt: skip
FIRST_ROWS = 10
"""So many row numbers are kept for each reason."""


def named_files(source: str) -> list[str]:
    """The paths in `source`, which may name several with commas between."""
    return [part.strip() for part in source.split(",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the source plays which role; None where none does, "" where none may be guessed."""

    instruction: str | None = None
    input: str | None = None
    output: str | None = None
    system: str | None = None
    history: str | None = None
    messages: str | None = None
    tools: str | None = None
    images: str | None = None
    videos: str | None = None
    audios: str | None = None
    reasoning: str | None = None
    label: str | None = None
    split: str | None = None

    def mapped(self) -> dict[str, str]:
        """`{role: column}` of the roles that have one."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {role: column for role, column in pairs if column}


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """One conversion. `source` is a path, a glob, a directory or `hub:NAME`; `out_dir` the dataset directory.

    `test_size` is a share for a float in (0, 1), a number of rows for an integer; `max_samples` counts records read.
    `reasoning` is `keep` or `drop`, `thought` what stands around it (None: as most templates have it); `mask_history`
    says that training will learn from the last answer alone. `side` is the one (train or test) that gets the rows which
    `test_size` does not take; with `dedupe`, samples that the conversions `before` have written are left out too.
    """

    source: str
    out_dir: Path
    name: str | None = None
    format: str = "auto"
    columns: Columns = field(default_factory=Columns)
    instruction: str | None = None
    system: str | None = None
    max_samples: int | None = None
    sample: str = "first"
    test_size: int | float = 0
    seed: int = 42
    dedupe: bool = False
    strict: bool = False
    overwrite: bool = False
    sheet: str | None = None
    train_python: str | None = None
    reasoning: str = "keep"
    thought: tuple[str, str] | None = None
    mask_history: bool = False
    side: str = "train"
    before: tuple[ConvertRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class UnusedColumn:
    """A column that plays no role, and what it looks like in two English words."""

    name: str
    looks_like: str


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What was written. `columns` maps the roles to the keys of the written rows, `tags` are ShareGPT's.

    `mapping` maps the roles to the columns of the source, `unused` are its other columns. `dropped_rows` holds the
    first record numbers (from 1) of each reason.
    """

    written: int
    train_rows: int
    test_rows: int
    dropped: dict[str, int]
    dropped_rows: dict[str, tuple[int, ...]]
    format: str
    train: Path
    test: Path | None
    seconds: float
    columns: dict[str, str]
    tags: dict[str, str]
    notes: tuple[Problem, ...] = ()
    mapping: dict[str, str] = field(default_factory=dict)
    unused: tuple[UnusedColumn, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `convert --json` prints."""
        return {
            "written": self.written,
            "train_rows": self.train_rows,
            "test_rows": self.test_rows,
            "dropped": dict(self.dropped),
            "dropped_rows": {reason: list(rows) for reason, rows in self.dropped_rows.items()},
            "format": self.format,
            "train": str(self.train),
            "test": str(self.test) if self.test is not None else None,
            "seconds": round(self.seconds, 3),
            "columns": dict(self.columns),
            "tags": dict(self.tags),
            "mapping": dict(self.mapping),
            "unused_columns": [{"name": c.name, "looks_like": c.looks_like} for c in self.unused],
            "notes": [note.as_json() for note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass over the source is. `bytes_total` is None where the size is unknown."""

    rows: int
    bytes_read: int
    bytes_total: int | None


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of the source with its first values as text (shortened; empty for missing)."""

    name: str
    values: tuple[str, ...]
    kind: str = "text"
    """`text`, `number`, `turns` (a conversation), `list` or `object`."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What the head of a source shows.

    `format` is `columns`, `alpaca`, `sharegpt` or `openai`; `mapping` the guessed columns,
    incomplete where `problems` says why. `rows` is None unless known without reading the source (parquet).
    """

    source: str
    files: tuple[str, ...]
    kind: str
    columns: tuple[ColumnInfo, ...]
    format: str
    mapping: Columns
    encoding: str | None = None
    delimiter: str | None = None
    compression: str | None = None
    sheets: tuple[str, ...] = ()
    sheet: str | None = None
    rows: int | None = None
    bytes_total: int | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    unused: tuple[UnusedColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A record as read beside what becomes of it: `sample`, or `drop` (a reason) with `why` in words.

    `test` says that the data itself keeps the row for testing; `left_out` names what should be said of it.
    """

    number: int
    source: Mapping[str, Any]
    sample: Mapping[str, Any] | None
    drop: str | None = None
    why: str | None = None
    test: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviewPage:
    """`count` records from record `start` (from 1). `more` says whether the source goes on."""

    start: int
    rows: tuple[PreviewRow, ...]
    more: bool
    format: str
    mapping: Columns
    columns: dict[str, str]
    tags: dict[str, str]
    notes: tuple[Problem, ...] = ()
    unused: tuple[UnusedColumn, ...] = ()
