"""Writing files so that a reader sees the old or the new content, never a half."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str) -> None:
    """Write `text` beside `path`, flush it to the disk and rename it. Raises `OSError`; then `path` is unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON, atomically."""
    write_atomically(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def set_aside(directory: Path) -> Path:
    """Rename `directory` to the first free `<name>.before-N` beside it, and return that. Raises `OSError`."""
    number = 1
    while (kept := directory.with_name(f"{directory.name}.before-{number}")).exists():
        number += 1
    directory.rename(kept)
    return kept
