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
DOUBTFUL = {
    "mojibake": r"锟斤拷|烫烫烫|屯屯屯|\x{FFFD}|[ÂÃ][\x{80}-\x{BF}]|[ã-é][\x{80}-\x{9F}\x{A1}-\x{BF}]{2}|â€[™œž“”]",
    "markup": r"(?i)</?(?:div|span|p|br|a|img|table|t[rdh]|[uo]l|li|script|style|html|body|h[1-6]|strong|em|font)"
    r"(?:\s[^<>]*|\s*/)?>|&(?:nbsp|lt|gt|amp|quot|#[0-9]{2,5});",
}
"""Patterns for what texts hold by accident: characters of a wrong encoding, HTML."""
STRUCTURE = r"(?s)^\s*(?:\{\s*['\"].*\}|\[\s*(?:['\"\{\[]|-?[0-9]).*\])\s*$"
"""An answer that is a list or an object."""
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
    doubtful: dict[str, Finding] = field(default_factory=lambda: {kind: Finding() for kind in (*DOUBTFUL, "structure")})
    _pairs: list[np.ndarray] = field(default_factory=list)

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
        for kind, pattern in DOUBTFUL.items():
            self.doubtful[kind].add(frame["text"].str.contains(pattern).to_numpy(), numbers)
        self.doubtful["structure"].add(frame["answer"].str.contains(STRUCTURE).to_numpy(), numbers)
        self._keep_pairs(frame, numbers)
        self._look_for_personal(frame, numbers)
        self._count_scripts(frame)

    def _keep_pairs(self, frame: pl.DataFrame, numbers: np.ndarray) -> None:
        """Hashes of each prompt and its answer, 24 bytes a row with its number."""
        import numpy as np

        hashes = [frame[name].hash(seed=0).to_numpy() for name in ("prompt", "answer")]
        self._pairs.append(np.stack([*hashes, numbers.astype(np.uint64)]))

    def contradictions(self) -> Finding:
        """The rows whose prompt other rows answer otherwise."""
        import numpy as np

        found = Finding()
        if not self._pairs:
            return found
        prompts, answers, numbers = np.concatenate(self._pairs, axis=1)
        _unique, groups = np.unique(prompts, return_inverse=True)
        first = np.full(groups.max() + 1, 0, np.uint64)
        first[groups] = answers  # one answer of each prompt, whichever
        other = np.bincount(groups, weights=answers != first[groups]) > 0
        found.add(other[groups], numbers)
        found.rows.sort()
        return found

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
    """The whole `text` of each written row, its last `answer`, and the `prompt`: everything else."""
    import polars as pl

    if not lines.startswith(b'{"conversations"'):
        frame = pl.read_ndjson(lines, schema_overrides=dict.fromkeys(("instruction", "input", "output"), pl.String))
        parts = ["instruction", "input", "output"]
        more = [name for name in frame.columns if name not in parts]
        beside = [pl.struct(more).struct.json_encode()] if more else []
        return frame.select(
            pl.concat_str(parts, separator="\n").alias("text"),
            pl.col("output").alias("answer"),
            pl.concat_str([*parts[:2], *beside], separator="\n", ignore_nulls=True).alias("prompt"),
        )
    return _conversation_texts(lines.splitlines())


def _conversation_texts(lines: Sequence[bytes]) -> pl.DataFrame:
    import orjson
    import polars as pl

    found: dict[str, list[str]] = {"text": [], "answer": [], "prompt": []}
    for line in lines:
        row = orjson.loads(line)
        turns = [turn["value"] for turn in row["conversations"]]
        found["text"].append("\n".join(turns))
        found["answer"].append(turns[-1])
        found["prompt"].append("\n".join([*turns[:-1], str(row.get("system")), str(row.get("tools"))]))
    return pl.DataFrame(found, schema=dict.fromkeys(found, pl.String))
