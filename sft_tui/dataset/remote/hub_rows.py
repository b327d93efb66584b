"""Print the rows of a data set of a hub as JSON Lines, streamed, through the library `datasets`.

Stand-alone: runs with the training environment's Python. Usage: `hub_rows.py NAME SUBSET SPLIT`; an empty SUBSET is
the default one. With USE_MODELSCOPE_HUB=1 the hub is ModelScope. Columns that hold pictures, sounds or films are left
out: a line on stderr, `left out: ` and a JSON list, names them before the first row comes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, cast


def rows_of(name: str, subset: str, split: str) -> Iterable[Any]:
    """The rows, without pictures and sounds being decoded."""
    if os.environ.get("USE_MODELSCOPE_HUB", "").lower() in ("1", "true", "y"):
        modelscope = importlib.import_module("modelscope")
        found = modelscope.MsDataset.load(name, subset_name=subset or None, split=split, use_streaming=True)
        return cast(Iterable[Any], found)
    rows: Any = importlib.import_module("datasets").load_dataset(name, subset or None, split=split, streaming=True)
    media = [column for column, feature in (rows.features or {}).items() if holds_media(feature)]
    if media:
        sys.stderr.write(f"left out: {json.dumps(media)}\n")
        sys.stderr.flush()
        if hasattr(rows, "decode"):  # otherwise they are decoded before they are removed
            rows = rows.decode(False)
        rows = rows.remove_columns(media)
    return cast(Iterable[Any], rows)


def holds_media(feature: Any) -> bool:
    """Whether `feature` is or holds pictures, sounds or films."""
    if type(feature).__name__ in ("Image", "Audio", "Video", "Pdf"):
        return True
    if isinstance(feature, dict):
        return any(map(holds_media, feature.values()))
    if isinstance(feature, (list, tuple)):
        return any(map(holds_media, feature))
    return hasattr(feature, "feature") and holds_media(feature.feature)


def plain(value: Any) -> str:
    """What JSON cannot hold, as text."""
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def main() -> None:
    """Print the rows; whatever else is printed goes to stderr."""
    name, subset, split = sys.argv[1:4]
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    for row in rows_of(name, subset, split):
        out.write(json.dumps(row, ensure_ascii=False, default=plain) + "\n")
    out.flush()
    os._exit(0)  # streaming leaves threads that would keep the process alive


if __name__ == "__main__":
    main()
