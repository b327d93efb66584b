"""The command that installs this program again, from where the running one came: no index need have its name."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_NAME = "sft-tui"


def install_command(extra: str = "train") -> str:
    """What to type to have the program with `extra`: `pip install -e '/src/sft-tui[train]'`."""
    return f"pip install {_requirement(extra)}"


def _requirement(extra: str) -> str:
    origin = _origin()
    url = origin.get("url", "")
    if url.startswith("file:"):
        place = unquote(urlsplit(url).path)
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return editable + shlex.quote(f"{place}[{extra}]")
    if url:
        vcs = origin.get("vcs_info", {})
        at = f"{vcs['vcs']}+{url}@{vcs.get('commit_id', 'HEAD')}" if vcs.get("vcs") else url
        return shlex.quote(f"{_NAME}[{extra}] @ {at}")
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return "-e " + shlex.quote(f"{checkout}[{extra}]")
    return shlex.quote(f"{_NAME}[{extra}]")  # from an index, which has it


def _origin() -> dict[str, Any]:
    """What pip noted of where the program came from (PEP 610, direct_url.json); empty for an index."""
    try:
        text = metadata.distribution(_NAME).read_text("direct_url.json")
        data = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
