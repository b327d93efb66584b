"""Where the values of lines of JSON that are all alike stand, found for all at once, and the values as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sft_tui.dataset.rows.texts import indices

if TYPE_CHECKING:
    import numpy as np

QUOTE, BACKSLASH, LINE_END = 34, 92, 10
_WORD = 8
_MOST_FIELDS = 64


def places_of(codes: np.ndarray, code: int) -> np.ndarray:
    """The places of `code` in `codes` (bytes), rising. Looks at eight at a time, because it is rare."""
    import numpy as np

    found = codes == code
    whole = len(found) - len(found) % _WORD
    words = np.flatnonzero(found[:whole].view(np.uint64) != 0)
    inner = np.flatnonzero(found[:whole].reshape(-1, _WORD)[words])
    places: np.ndarray = words[inner // _WORD] * _WORD + inner % _WORD
    rest = np.flatnonzero(found[whole:])
    return np.concatenate([places, rest + whole]) if len(rest) else places


def text_columns(block: bytes, bounds: np.ndarray) -> list[Any]:
    """The texts of `block`, valid UTF-8, between `bounds`: a row each with start, end, start, end, ... (rising)."""
    import numpy as np
    import pyarrow as pa

    width = bounds.shape[1]
    offsets = np.empty(bounds.size + 1, np.int32)
    offsets[:-1] = bounds.ravel()
    offsets[-1] = offsets[-2]
    cells = pa.Array.from_buffers(pa.string(), bounds.size, [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    return [cells.take(indices(np.arange(offset, bounds.size, width))) for offset in range(0, width, 2)]


def line_values(block: bytes, count: int | None = None) -> tuple[list[str], np.ndarray] | None:
    """The keys of the objects of `block`, one a line, and start and end of their values in each line.

    None unless all lines (and `count` of them, if given) hold the same keys in the same spelling, with texts without
    escapes for values: what a program writes. Then all lines but the values are the same bytes, and one that is parsed
    proves all of them.
    """
    import numpy as np
    import orjson

    if BACKSLASH in block or not block.endswith(b"\n"):
        return None
    codes = np.frombuffer(block, np.uint8)
    ends, quotes = places_of(codes, LINE_END), places_of(codes, QUOTE)
    count = len(ends) if count is None else count
    fields = len(quotes) // (4 * max(count, 1))
    if len(ends) != count or not 0 < fields <= _MOST_FIELDS or len(quotes) != 4 * fields * count:
        return None
    try:
        first = orjson.loads(block[: ends[0]])
    except orjson.JSONDecodeError:
        return None
    if not isinstance(first, dict) or len(first) != fields or not all(isinstance(v, str) for v in first.values()):
        return None
    values = quotes.reshape(count, fields, 4)[..., 2:]
    starts = np.concatenate([[0], ends[:-1] + 1])
    between = np.empty((count, fields + 1, 2), np.int64)
    between[:, 0, 0], between[:, -1, 1] = starts, ends
    between[:, :-1, 1], between[:, 1:, 0] = values[..., 0] + 1, values[..., 1]
    if not all(_all_same(block, codes, between[:, place]) for place in range(fields + 1)):
        return None
    values[..., 0] += 1
    return list(first), values


def _all_same(block: bytes, codes: np.ndarray, spans: np.ndarray) -> bool:
    """Whether the bytes within all `spans` (rows of start and end) are the same."""
    import numpy as np

    starts, lengths = spans[:, 0], spans[:, 1] - spans[:, 0]
    length = int(lengths[0])
    if length < 0 or (lengths != length).any():
        return False
    if length < _WORD:
        return all(bool((codes[starts + at] == codes[starts[0] + at]).all()) for at in range(length))
    words = np.ndarray((len(block) - _WORD + 1,), np.uint64, block, strides=(1,))
    steps = [*range(0, length - _WORD, _WORD), length - _WORD]
    return all(bool((words[starts + at] == words[starts[0] + at]).all()) for at in steps)
