"""Print the rows of a data set of a hub as JSON Lines, streamed, through the library `datasets`.

Stand-alone: runs with the training environment's Python. Usage: `hub_rows.py NAME SUBSET SPLIT`; an empty SUBSET is
the default one. With USE_MODELSCOPE_HUB=1 the hub is ModelScope.
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
    for column, feature in (rows.features or {}).items():
        if type(feature).__name__ in ("Image", "Audio", "Video"):
            rows = rows.remove_columns(column)
    return cast(Iterable[Any], rows)


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
