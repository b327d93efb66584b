"""Whether the files of a tokenizer are complete, and of one piece with the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.check.weights import is_lfs_pointer
from sft_tui.i18n import _

_MAX_PARSED = 24 << 20
_SIDE_FILES = ("special_tokens_map.json", "added_tokens.json")


def tokenizer_faults(directory: Path, names: list[str], rows: int | None) -> Iterator[tuple[Path, str]]:
    """`(file, sentence)` for each file that is broken; `rows` is the size of the model's embedding."""
    for name in names:
        path = directory / name
        size = path.stat().st_size
        if size == 0 or is_lfs_pointer(path):
            yield path, _("{file} of the tokenizer is empty or a Git LFS pointer.").format(file=name)
        elif path.suffix == ".json" and (message := _json_fault(path, size, rows)) is not None:
            yield path, message
    for name in _SIDE_FILES:
        path = directory / name
        if path.is_file() and _parsed(path) is None:
            yield path, _("{file} of the tokenizer is not complete.").format(file=name)


def _json_fault(path: Path, size: int, rows: int | None) -> str | None:
    incomplete = _("{file} of the tokenizer is not complete.").format(file=path.name)
    if size > _MAX_PARSED:
        with path.open("rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
            file.seek(size - 64)
            return None if head.startswith(b"{") and file.read().rstrip().endswith(b"}") else incomplete
    data = _parsed(path)
    if data is None or (path.name == "tokenizer.json" and not isinstance(data.get("model"), dict)):
        return incomplete
    if path.name != "tokenizer.json" or rows is None:
        return None
    highest = _highest_id(data["model"].get("vocab"))
    if highest is None or highest < rows:
        return None
    text = _("The tokenizer has tokens up to number {highest}, the model's embedding only {rows} rows.")
    return text.format(highest=highest, rows=rows)


def _parsed(path: Path) -> dict[str, Any] | None:
    try:
        data = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (OSError, orjson.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None


def _highest_id(vocabulary: Any) -> int | None:
    """The highest token number of a BPE or WordPiece vocabulary (a mapping) or of a unigram one (a list)."""
    if isinstance(vocabulary, dict) and vocabulary:
        numbers = vocabulary.values()
        return max(numbers) if all(number.__class__ is int for number in numbers) else None
    return len(vocabulary) - 1 if isinstance(vocabulary, list) and vocabulary else None
