"""Where the program keeps what belongs to the user and to no project, and where what ships with it is."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path, user_state_path


def cache_directory() -> Path:
    """Where probes, lengths and the queue of waiting runs are: `$XDG_CACHE_HOME/sft-tui`, or `~/.cache/sft-tui`."""
    return user_cache_path("sft-tui", appauthor=False)


def state_directory() -> Path:
    """Where drafts, crash logs and error reports are: `$XDG_STATE_HOME/sft-tui`, or `~/.local/state/sft-tui`."""
    return user_state_path("sft-tui", appauthor=False)


def shipped(*names: str) -> Path:
    """A directory that ships with the program: in an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package.joinpath(*names)
    return inside if inside.is_dir() else package.parent.joinpath(*names)
