"""What a saved optimizer state is of: read from the names in it, without loading it."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_MAX_PICKLE = 4 << 20


@dataclass(frozen=True, slots=True)
class SavedOptimizer:
    """`kind` is `adam`, `adafactor`, `sgd` or "" (another one); `groups` its number of parameter groups."""

    kind: str
    groups: int


def read_optimizer(path: Path) -> SavedOptimizer | None:
    """The optimizer that `torch.save` wrote to `path`; None where it is not known. Nothing is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
            if entry.file_size > _MAX_PICKLE:
                return None
            counts = _texts(archive.read(entry))
    except (OSError, zipfile.BadZipFile, zlib.error, StopIteration, ValueError, EOFError, RuntimeError):
        return None
    kind = ""
    for name, sign in (("adafactor", "scale_parameter"), ("sgd", "nesterov"), ("adam", "betas")):
        if sign in counts:
            kind = name
            break
    return SavedOptimizer(kind, counts["params"])


def _texts(pickle: bytes) -> Counter[str]:
    """How often each text occurs in a pickle; repeated ones are references to a memo."""
    import pickletools

    counts: Counter[str] = Counter()
    memo: dict[int, str] = {}
    last: str | None = None
    for opcode, argument, _at in pickletools.genops(pickle):
        match opcode.name:
            case "BINUNICODE" | "SHORT_BINUNICODE":
                last = str(argument)
                counts[last] += 1
                continue
            case "BINPUT" | "LONG_BINPUT" if last is not None and isinstance(argument, int):
                memo[argument] = last
            case "BINGET" | "LONG_BINGET" if argument in memo:
                counts[memo[argument]] += 1
        last = None
    return counts
