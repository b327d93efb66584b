"""The logs in tests/corpora/logs: `<entry id>[.<variant>].log`, and healthy ones."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3] / "corpora" / "logs"
FAILED = sorted(ROOT.glob("*.log"))
HEALTHY = sorted((ROOT / "healthy").glob("*.log"))


def entry_of(path: Path) -> str:
    """The id of the catalogue's entry that a log shows."""
    return path.name.partition(".")[0]
