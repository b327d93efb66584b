"""Just enough YAML for LLaMA-Factory's flat config files, without a dependency."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_flat_yaml(path: Path) -> dict[str, Any]:
    """The top-level `key: value` pairs; a list or mapping below a key becomes its text."""
    options: dict[str, Any] = {}
    key = ""
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        if line[0] in " -":
            options[key] = f"{options.get(key) or ''}\n{line}"
            continue
        key, _, text = line.partition(":")
        key = key.strip()
        options[key] = scalar(text.strip())
    return options


def scalar(text: str) -> Any:
    """The value of a plain or quoted scalar."""
    if text.startswith('"'):
        end = text.rfind('"')
        return json.loads(text[: end + 1])
    if text.startswith("'"):
        return text[1 : text.rfind("'")].replace("''", "'")
    text = text.split(" #", 1)[0].strip()
    words = {"true": True, "false": False, "null": None, "~": None, "": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
