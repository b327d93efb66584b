"""Columns of texts to lines of JSON: joined in bulk, with a JSON writer for the rows that need escapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from sft_tui.dataset.readers.block_index import BACKSLASH, LINE_END, QUOTE, places_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_BLANK = 32
_SAMPLE_ROWS = 256
_MOST_ESCAPED = 0.25
"""Where more than this share of the first rows need escapes, all of them go through the JSON writer."""


@dataclass(frozen=True, slots=True)
class Lines:
    """`parts` are the lines, joined they end with a line end; `lengths` holds the bytes of each line, its end too."""

    parts: tuple[bytes | memoryview, ...]
    lengths: np.ndarray


class _Joined(NamedTuple):
    """Rows put together without escapes: the bytes, where rows end (after a 0), and which rows need escapes."""

    text: np.ndarray
    ends: np.ndarray
    escaped: np.ndarray


class LineWriter:
    """Writes frames whose rows become objects with `keys`: a fixed text, or None for a column of that name.

    The bytes do not depend on the way that is taken.
    """

    def __init__(self, keys: Mapping[str, str | None]) -> None:
        self._keys = dict(keys)
        self._texts = _texts_between(self._keys)
        self._specials = sum(_count_specials("".join(self._texts).encode()))

    def write(self, frame: pl.DataFrame) -> Lines:
        """The lines of `frame`, which has no nulls."""
        import numpy as np
        import polars as pl

        if not frame.height:
            return Lines((), np.empty(0, np.int64))
        sample = self._joined(frame.head(_SAMPLE_ROWS))
        if np.count_nonzero(sample.escaped) > _MOST_ESCAPED * len(sample.escaped):
            return self._serialised(frame)
        joined = self._joined(frame)
        lengths = np.diff(joined.ends)
        if not joined.escaped.any():
            return Lines((joined.text.data,), lengths)
        others = self._serialised(frame.filter(pl.Series(joined.escaped)))
        return _merged(joined.text.data, lengths, joined.escaped, others)

    def _joined(self, frame: pl.DataFrame) -> _Joined:
        import numpy as np
        import polars as pl

        names = [name for name, fixed in self._keys.items() if fixed is None]
        pieces = [pl.lit(self._texts[0])]
        for name, after in zip(names, self._texts[1:], strict=True):
            pieces += [pl.col(name), pl.lit(after)]
        joined = frame.select(pl.concat_str(pieces)).to_series().to_arrow(compat_level=pl.CompatLevel.oldest())
        _valid, bounds, data = joined.buffers()
        ends = np.frombuffer(bounds, np.int64, frame.height + 1)
        text = np.frombuffer(data, np.uint8, int(ends[-1]))
        if sum(_count_specials(text)) == self._specials * frame.height:
            return _Joined(text, ends, np.zeros(frame.height, bool))
        special = np.flatnonzero((text < _BLANK) | (text == QUOTE) | (text == BACKSLASH))
        return _Joined(text, ends, np.diff(np.searchsorted(special, ends)) != self._specials)

    def _serialised(self, frame: pl.DataFrame) -> Lines:
        import numpy as np
        import polars as pl

        written = _Parts()
        columns = [pl.col(name) if fixed is None else pl.lit(fixed).alias(name) for name, fixed in self._keys.items()]
        frame.select(columns).write_ndjson(cast(IO[bytes], written))
        found: list[np.ndarray] = []
        before = 1
        for part in written.parts:
            found.append(places_of(np.frombuffer(part, np.uint8), LINE_END) + before)
            before += len(part)
        return Lines(tuple(written.parts), np.diff(np.concatenate(found), prepend=0))


def _merged(text: memoryview, lengths: np.ndarray, escaped: np.ndarray, others: Lines) -> Lines:
    """The lines of `text`, those that are `escaped` replaced by `others`."""
    import numpy as np

    places = np.flatnonzero(escaped)
    ends = np.cumsum(lengths)
    replaced = memoryview(b"".join(others.parts))
    parts: list[memoryview] = []
    done = taken = 0
    for start, stop, length in zip(
        (ends[places] - lengths[places]).tolist(), ends[places].tolist(), others.lengths.tolist(), strict=True
    ):
        parts += [text[done:start], replaced[taken : taken + length]]
        done = stop
        taken += length
    parts.append(text[done:])
    new = lengths.copy()
    new[places] = others.lengths
    return Lines((b"".join(parts),), new)


def _count_specials(text: bytes | np.ndarray) -> tuple[int, int, int]:
    """How many quotes, backslashes and control characters `text` has."""
    import numpy as np

    codes = np.frombuffer(text, np.uint8) if isinstance(text, bytes) else text
    count = np.count_nonzero
    return int(count(codes == QUOTE)), int(count(codes == BACKSLASH)), int(count(codes < _BLANK))


def _texts_between(keys: Mapping[str, str | None]) -> list[str]:
    """What stands before, between and after the columns of a line."""
    texts = ["{"]
    for place, (name, fixed) in enumerate(keys.items()):
        texts[-1] += f'{"," if place else ""}"{name}":'
        if fixed is None:
            texts[-1] += '"'
            texts.append('"')
        else:
            texts[-1] += _as_json(fixed)
    texts[-1] += "}\n"
    return texts


def _as_json(text: str) -> str:
    """`text` as the JSON writer writes it."""
    import polars as pl

    written = _Parts()
    pl.DataFrame({"": [text]}).write_ndjson(cast(IO[bytes], written))
    return b"".join(written.parts).decode().removeprefix('{"":').removesuffix("}\n")


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
