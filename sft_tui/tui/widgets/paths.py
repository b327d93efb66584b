"""Completing and listing paths, as a shell would; pure functions that only look at directories."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sft_tui.dataset.readers.source_file import is_readable_name

MOST = 5000
"""So many entries of a directory are shown; the others are found by typing a part of their names."""
_OURS = ("configs", "saves", "logs", "runs")
_DIRECTORIES = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory's entry: the text that names it (with `/` at the end for a directory), and whether it is wanted."""

    text: str
    directory: bool
    wanted: bool
    size: int | None = None


def is_model(path: Path) -> bool:
    """Whether `path` looks like a model: a directory with config.json."""
    return (path / "config.json").is_file()


def place_of(text: str, bases: Sequence[Path]) -> tuple[Path, str, str]:
    """(directory, its text, the started name) of a path that is being typed; relative ones start at a base."""
    head, _slash, tail = text.rpartition("/")
    typed = head + "/" if "/" in text else ""
    directory = Path(typed or ".").expanduser()
    if directory.is_absolute():
        return directory, typed, tail
    for base in bases:
        if (base / directory).is_dir():
            return base / directory, typed, tail
    return (bases[0] if bases else Path.cwd()) / directory, typed, tail


def entries(directory: Path, *, models: bool, typed: str = "", start: str = "", part: str = "") -> list[Entry]:
    """The directories of `directory` and its wanted files; those wanted come first.

    Only those whose names begin with `start` and hold `part` (upper and lower case are the same), at most `MOST`. A
    directory is wanted where models are looked for and it is one. Hidden names only where `start` has a dot.
    """
    found: list[Entry] = []
    try:
        with os.scandir(directory) as scan:
            for item in scan:
                if not item.name.startswith(start) or (item.name.startswith(".") and not start.startswith(".")):
                    continue
                entry = _entry(item, models, typed) if part.lower() in item.name.lower() else None
                if entry is not None:
                    found.append(entry)
                if len(found) == MOST:
                    break
    except OSError:
        return []
    return sorted(found, key=lambda e: (not e.wanted, e.text.lower()))


def sources_here(project: Path) -> list[str]:
    """The files with examples in the project directory and in its directories, without what conversions wrote."""
    made = ("_train.jsonl", "_test.jsonl", "dataset_info.json")
    found = [name for name in _wanted_below(project, models=False) if not name.endswith(made)]
    return [name for name in found if Path(name).name not in ("package.json", "pyproject.json")]


def models_here(project: Path) -> list[str]:
    """The models in the project directory and in its directories, then those in the hub's cache."""
    from sft_tui.machine.hub_cache import cached_ids

    return [*_wanted_below(project, models=True), *cached_ids()]


def _wanted_below(project: Path, *, models: bool) -> list[str]:
    here = entries(project, models=models)
    below = [entry.text for entry in here if entry.directory and not entry.wanted][:_DIRECTORIES]
    for name in below:
        if name.rstrip("/") not in _OURS and (models or not is_model(project / name)):
            here += entries(project / name, models=models, typed=name)
    return [entry.text.rstrip("/") for entry in here if entry.wanted]


def _entry(item: os.DirEntry[str], models: bool, typed: str) -> Entry | None:
    try:
        directory = item.is_dir()
        if directory:
            return Entry(f"{typed}{item.name}/", True, models and is_model(Path(item.path)))
        if not models and is_readable_name(item.name):
            return Entry(typed + item.name, False, True, item.stat().st_size)
    except OSError:
        return None
    return None


@dataclass(frozen=True, slots=True)
class Completions:
    """What a typed text can become: `paths` begin with it, `names` hold it; `exact` if it is a path already."""

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    exact: bool = False

    @property
    def all(self) -> tuple[str, ...]:
        """Paths first."""
        return self.paths + self.names

    def longer(self, text: str) -> str | None:
        """What Tab makes of `text`: as much as all paths share, else the first of them; None where it goes on."""
        if self.exact or not self.all:
            return None
        shared = common_start(self.paths)
        return shared if len(shared) > len(text) else self.all[0]


def complete(text: str, bases: Sequence[Path], *, models: bool, extra: Iterable[str] = ()) -> Completions:
    """What `text` can become: paths that begin with it, then the names in `extra` that hold it."""
    directory, typed, start = place_of(text, bases)
    found = entries(directory, models=models, typed=typed, start=start)
    paths = tuple(entry.text.rstrip("/") if entry.wanted else entry.text for entry in found)
    names = tuple(name for name in extra if len(text) >= 2 and text.lower() in name.lower())
    return Completions(
        tuple(p for p in paths if p != text), tuple(n for n in names if n != text), text in paths or text in names
    )


def common_start(names: Sequence[str]) -> str:
    """What all `names` begin with, character by character."""
    if not names:
        return ""
    first, last = min(names), max(names)
    count = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]
