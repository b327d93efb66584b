"""Arrow arrays of texts: what readers hand on, and what cleaning and writing work on, a column at a time.

Arrays and scalars are made of buffers: for whatever is made of Python's or numpy's values, pyarrow imports pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sft_tui.dataset.rows.text import WHITESPACE

if TYPE_CHECKING:
    import numpy as np


def table_of(columns: Mapping[str, Any]) -> Any:
    """A record batch of `columns`, which are equally long."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def missing(height: int) -> Any:
    """A column in which nothing is."""
    import pyarrow as pa

    return pa.nulls(height, pa.large_string())


def trimmed(column: Any) -> Any:
    """The texts of `column` (any kind of text) without outer whitespace, "" for what is missing: large texts."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(column, pa.large_string())
    filled = compute.fill_null(texts, large("")) if texts.null_count else texts
    return compute.utf8_trim(filled, characters=WHITESPACE)


def blanks(texts: Any) -> np.ndarray:
    """Where large `texts` are ""."""
    import numpy as np

    ends, _text = text_buffer(texts)
    return np.asarray(ends[1:] == ends[:-1])


def large(text: str) -> Any:
    """One `text`, to go with columns of large texts."""
    import numpy as np

    raw = text.encode()
    return of_buffer(np.array([0, len(raw)], np.int64), raw)[0]


def mask(marks: np.ndarray) -> Any:
    """`marks`, true or false for each row, to choose with."""
    import numpy as np
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(marks), [None, pa.py_buffer(np.packbits(marks, bitorder="little"))])


def indices(numbers: np.ndarray) -> Any:
    """`numbers` of rows (64 bits, from 0), to take them."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


def joined(pieces: Sequence[Any]) -> Any:
    """`pieces`, columns of large texts and fixed texts, put together row by row."""
    from pyarrow import compute

    found = [large(piece) if isinstance(piece, str) else piece for piece in pieces]
    return compute.binary_join_element_wise(*found, large(""))


def text_buffer(texts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where large `texts` begin in their bytes and where the last one ends (numbers from 0), and these bytes."""
    import numpy as np

    if not len(texts):
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    _valid, bounds, data = texts.buffers()
    ends = np.frombuffer(bounds, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    text = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    return ends - ends[0] if ends[0] else ends, text


def of_buffer(ends: np.ndarray, text: bytes) -> Any:
    """The large texts that stand in `text` between `ends` (rising from 0)."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(text)])
