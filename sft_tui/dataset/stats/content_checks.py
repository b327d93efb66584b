"""What stands out in the texts of written rows: scripts, short and cut-off answers, likely personal data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sft_tui.dataset.request import FIRST_ROWS

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

SHORT_CHARACTERS = 3
"""Answers with fewer characters are near-empty."""
LONG_CHARACTERS = 200
"""Only answers this long can look cut off: short ones often have no full stop."""
_LOOKED_AT = 100
_SCRIPTS = {
    "han": r"\p{Han}",
    "latin": r"\p{Latin}",
    "kana": r"[\p{Hiragana}\p{Katakana}]",
    "hangul": r"\p{Hangul}",
    "cyrillic": r"\p{Cyrillic}",
    "arabic": r"\p{Arabic}",
    "devanagari": r"\p{Devanagari}",
}
PERSONAL = {
    "mail": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    "phone": r"(?:^|[^0-9])(?:1[3-9][0-9]{9}|\+[0-9]{1,3}[ -]?(?:\(?[0-9]{2,4}\)?[ -]?){2,4}[0-9]{2,4})(?:[^0-9]|$)",
    "id_number": r"(?:^|[^0-9])[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"
    r"(?:[^0-9]|$)",
    "key": r"sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}",
}
"""Patterns (of Rust's regex library) for what is likely personal or secret."""
_DIGITS = "[0-9]{6}|\\+[0-9]"
_OF_DIGITS = ("phone", "id_number")
_UNFINISHED = r"[\p{L}\p{N},，、;；:：\-—(（]$"


@dataclass(slots=True)
class Finding:
    """How many rows have it, and the numbers (from 1) of the first."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, found: np.ndarray, numbers: np.ndarray) -> None:
        """Take in the rows where `found` is true; `numbers` are those of all rows."""
        import numpy as np

        places = np.flatnonzero(found)
        self.count += len(places)
        self.rows.extend(numbers[places[: FIRST_ROWS - len(self.rows)]].tolist())


@dataclass(slots=True)
class Content:
    """Collects over blocks of rows."""

    rows: int = 0
    scripts: dict[str, int] = field(default_factory=dict)
    near_empty: Finding = field(default_factory=Finding)
    cut_off: Finding = field(default_factory=Finding)
    personal: dict[str, Finding] = field(default_factory=lambda: {kind: Finding() for kind in PERSONAL})

    def add(self, lines: bytes, numbers: np.ndarray) -> None:
        """Take in written `lines`, which come from the records with `numbers`."""
        import polars as pl

        if not lines:
            return
        frame = _texts(lines)
        self.rows += frame.height
        answer = pl.col("answer")
        columns = [
            (answer.str.len_chars() < SHORT_CHARACTERS).alias("near_empty"),
            (
                (answer.str.len_chars() >= LONG_CHARACTERS)
                & (answer.str.contains(_UNFINISHED) | (answer.str.count_matches("```", literal=True) % 2 == 1))
            ).alias("cut_off"),
        ]
        found = frame.select(columns)
        self.near_empty.add(found["near_empty"].to_numpy(), numbers)
        self.cut_off.add(found["cut_off"].to_numpy(), numbers)
        self._look_for_personal(frame, numbers)
        self._count_scripts(frame)

    def _look_for_personal(self, frame: pl.DataFrame, numbers: np.ndarray) -> None:
        """The slow patterns are only tried on rows with the digits that they need."""
        digits = frame["text"].str.contains(_DIGITS).to_numpy()
        some, some_numbers = frame["text"].filter(digits), numbers[digits]
        for kind, finding in self.personal.items():
            texts, rows = (some, some_numbers) if kind in _OF_DIGITS else (frame["text"], numbers)
            finding.add(texts.str.contains(PERSONAL[kind]).to_numpy(), rows)

    def _count_scripts(self, frame: pl.DataFrame) -> None:
        """Count each row for the script that most of its first letters have."""
        import numpy as np
        import polars as pl

        head = frame.select(pl.col("text").str.slice(0, _LOOKED_AT))
        counts = head.select(
            [pl.col("text").str.count_matches(pattern).alias(name) for name, pattern in _SCRIPTS.items()]
        ).to_numpy()
        best = counts.argmax(axis=1)
        best[counts.max(axis=1) == 0] = len(_SCRIPTS)
        names = [*_SCRIPTS, "other"]
        for place, count in enumerate(np.bincount(best, minlength=len(names)).tolist()):
            if count:
                self.scripts[names[place]] = self.scripts.get(names[place], 0) + count


def _texts(lines: bytes) -> pl.DataFrame:
    """The whole `text` of each written row, and its last `answer`."""
    import polars as pl

    if not lines.startswith(b'{"conversations"'):
        frame = pl.read_ndjson(lines, schema_overrides=dict.fromkeys(("instruction", "input", "output"), pl.String))
        parts = ["instruction", "input", "output"]
        return frame.select(pl.concat_str(parts, separator="\n").alias("text"), pl.col("output").alias("answer"))
    return _conversation_texts(lines.splitlines())


def _conversation_texts(lines: Sequence[bytes]) -> pl.DataFrame:
    import orjson
    import polars as pl

    texts: list[str] = []
    answers: list[str] = []
    for line in lines:
        turns = [turn["value"] for turn in orjson.loads(line)["conversations"]]
        texts.append("\n".join(turns))
        answers.append(turns[-1])
    return pl.DataFrame({"text": texts, "answer": answers}, schema={"text": pl.String, "answer": pl.String})
