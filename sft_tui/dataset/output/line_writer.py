"""Columns of texts to lines of JSON: escaped a column at a time, joined in bulk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sft_tui.dataset.readers.block_index import BACKSLASH, QUOTE
from sft_tui.dataset.rows.texts import joined, of_buffer, text_buffer

if TYPE_CHECKING:
    import numpy as np

_BLANK = 32
_CHUNK_BYTES = 1 << 19
"""What is looked at in one go: its masks stay in the cache of a core."""
_SHORT = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r", QUOTE: b'\\"', BACKSLASH: b"\\\\"}
_ESCAPES = {code: _SHORT.get(code, b"\\u%04x" % code) for code in (*range(_BLANK), QUOTE, BACKSLASH)}
"""How JSON writes the bytes that it cannot hold as they are."""


class Lines(NamedTuple):
    """`text` is all lines, each with its end; `lengths` holds the bytes of each."""

    text: memoryview
    lengths: np.ndarray


class LineWriter:
    """Writes columns whose rows become objects with `keys`: a fixed text, or None for a column of that name."""

    def __init__(self, keys: Mapping[str, str | None]) -> None:
        self._names = [name for name, fixed in keys.items() if fixed is None]
        self._between = _texts_between(keys)

    def write(self, columns: Mapping[str, Any]) -> Lines:
        """The lines of `columns`: arrays of large texts, equally long."""
        import numpy as np

        pieces: list[Any] = [self._between[0]]
        for name, after in zip(self._names, self._between[1:], strict=True):
            pieces += [escaped(columns[name]), after]
        ends, text = text_buffer(joined(pieces))
        return Lines(text.data, np.diff(ends))


def escaped(texts: Any) -> Any:
    """`texts` as they stand between the quotes of JSON."""
    import numpy as np

    ends, text = text_buffer(texts)
    places = _special_places(text)
    if not len(places):
        return texts
    codes = text[places]
    present = np.flatnonzero(np.bincount(codes, minlength=256))[::-1].tolist()  # the backslash before what adds some
    grown = np.zeros(256, np.int64)
    raw = text.tobytes()
    for code in present:
        raw = raw.replace(bytes((code,)), _ESCAPES[code])
        grown[code] = len(_ESCAPES[code]) - 1
    added = np.concatenate([[0], np.cumsum(grown[codes])])
    return of_buffer(ends + added[np.searchsorted(places, ends)], raw)


def _special_places(text: np.ndarray) -> np.ndarray:
    """The places of the bytes that JSON escapes."""
    import numpy as np

    found = [np.empty(0, np.int64)]
    for start in range(0, len(text), _CHUNK_BYTES):
        part = text[start : start + _CHUNK_BYTES]
        special = part < _BLANK
        special |= part == QUOTE
        special |= part == BACKSLASH
        if special.any():
            found.append(np.flatnonzero(special) + start)
    return np.concatenate(found)


def _texts_between(keys: Mapping[str, str | None]) -> list[str]:
    """What stands before, between and after the columns of a line."""
    texts = ["{"]
    for place, (name, fixed) in enumerate(keys.items()):
        texts[-1] += f'{"," if place else ""}"{name}":"'
        if fixed is None:
            texts.append('"')
        else:
            texts[-1] += "".join(_ESCAPES[ord(c)].decode() if ord(c) in _ESCAPES else c for c in fixed) + '"'
    texts[-1] += "}\n"
    return texts
