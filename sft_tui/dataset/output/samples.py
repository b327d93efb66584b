"""Written samples by what is trained on: the same from any source, whatever its columns and its shape were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.dataset.output.spool import Numbers, Spool
from sft_tui.dataset.rows.roles import ASSISTANT, MESSAGES, SYSTEM, USER
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

if TYPE_CHECKING:
    import numpy as np

_BESIDE = ("tools", "images", "videos", "audios")
_LINES = 1 << 13


def sample_hashes(lines: Iterable[bytes]) -> np.ndarray:
    """A 64-bit hash of each written line."""
    import numpy as np
    import orjson

    digests = b"".join(hashlib.blake2b(_meaning(orjson.loads(line)), digest_size=8).digest() for line in lines)
    return np.frombuffer(digests, np.uint64)


def _meaning(row: dict[str, Any]) -> bytes:
    """What a row says, as bytes: the turns, the system prompt, what is beside them."""
    import orjson

    system = row.get("system") or ""
    if MESSAGES in row:
        turns = [[turn["from"], turn["value"]] for turn in row[MESSAGES]]
        if turns and turns[0][0] == SYSTEM:
            system = turns.pop(0)[1]
    else:
        prompt = "\n".join(text for text in (row.get("instruction"), row.get("input")) if text)
        pairs = [*(row.get("history") or ()), (prompt, row.get("output") or "")]
        turns = [[side, text] for pair in pairs for side, text in zip((USER, ASSISTANT), pair, strict=True)]
    return orjson.dumps([system, turns, [row.get(key) or None for key in _BESIDE]])


def written_hashes(paths: Iterable[Path]) -> np.ndarray:
    """The hashes of the samples in written files, each once."""
    import numpy as np

    return np.unique(np.concatenate([np.empty(0, np.uint64), *map(_hashes_of, paths)]))


def shared_samples(sets: Sequence[tuple[str, Mapping[str, Path]]]) -> list[Problem]:
    """What should be said of samples that several of the `sets` hold: each a source, and its written files by side."""
    import numpy as np

    held = {(at, side): _hashes_of(path) for at, (_name, paths) in enumerate(sets) for side, path in paths.items()}
    notes = []
    for (first, tested), before in held.items():
        for (second, side), after in held.items():
            if first == second or side != "train" or (tested == "train" and first > second):
                continue
            count = int(np.isin(after, before).sum())
            if not count:
                continue
            message = _("{count} training samples of {source} are also in {other}.")
            if tested == "test":
                message = _("{count} training samples of {source} are also in what is kept for testing of {other}.")
            text = message.format(count=count, source=sets[second][0], other=sets[first][0])
            hint = _("With `dedupe: true` under `data`, each sample is written once.")
            notes.append(Problem("shared_samples", text, Severity.WARNING, key="data.sources", hint=hint))
    return notes


def _hashes_of(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        return sample_hashes(stream)


def spooled_hashes(lines: Spool, lengths: Numbers) -> np.ndarray:
    """The hash of each line of `lines`, which have these `lengths` in bytes."""
    import numpy as np

    return np.concatenate([np.empty(0, np.uint64), *(sample_hashes(part) for part in _spooled(lines, lengths))])


def _spooled(lines: Spool, lengths: Numbers) -> Iterator[list[bytes]]:
    offset = 0
    for sizes in lengths.chunks(_LINES):
        part = lines.read(offset, int(sizes.sum()))
        offset += len(part)
        start, found = 0, []
        for size in sizes.tolist():
            found.append(part[start : start + size])
            start += size
        yield found
