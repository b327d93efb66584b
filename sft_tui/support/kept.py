"""What the program keeps outside the projects, and what of it can go."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sft_tui.i18n import N_, _
from sft_tui.project.places import cache_directory, state_directory
from sft_tui.run.gpu_queue import waiting_run

KINDS = {
    "probes": N_("what the installed LLaMA-Factory can do"),
    "lengths": N_("token lengths of data"),
    "queue": N_("places in the queue for GPU memory"),
    "drafts": N_("answers that the wizard has not finished"),
    "crashes": N_("unexpected errors"),
    "reports": N_("reports of screens that failed"),
    "other": N_("something else"),
}
"""Each kind of file, and what it holds."""
_SETTLED_S = 60.0
"""What nobody knows and was written just now may be on its way to its own name."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a kind."""

    kind: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Left:
    """A file that was not removed, and why; `failed` where it should have been."""

    kind: str
    path: Path
    why: str
    failed: bool = False


def kept_files() -> list[Kept]:
    """Every file outside the projects, by kind and name."""
    found = [_kept(place, path) for place in {cache_directory(), state_directory()} for path in _files(place)]
    order = list(KINDS)
    return sorted((kept for kept in found if kept), key=lambda kept: (order.index(kept.kind), kept.path))


def clear(files: list[Kept], *, drafts: bool = False) -> list[Left]:
    """Remove `files` but those that somebody needs, and the `drafts` only where they are meant too; what is left."""
    left: list[Left] = []
    for kept in files:
        why = _needed(kept, drafts)
        if why:
            left.append(Left(kept.kind, kept.path, why))
            continue
        try:
            kept.path.unlink(missing_ok=True)
        except OSError as error:
            left.append(Left(kept.kind, kept.path, error.strerror or str(error), failed=True))
    return left


def _needed(kept: Kept, drafts: bool) -> str:
    """Why a file must stay; "" where it can go."""
    if kept.kind == "drafts" and not drafts:
        return _("answers that somebody may want to finish; `--drafts` removes them")
    if kept.kind == "queue" and (run := waiting_run(kept.path)) is not None:
        return _("the run {run} waits, or has its cards by it").format(run=run)
    if kept.kind == "other" and time.time() - _changed(kept.path) < _SETTLED_S:
        return _("somebody has written it just now")
    return ""


def _files(place: Path) -> Iterator[Path]:
    for folder, _folders, names in os.walk(place):
        yield from (Path(folder) / name for name in names)


def _kept(place: Path, path: Path) -> Kept | None:
    first = path.relative_to(place).parts[0]
    if first in KINDS:
        kind = first if path.suffix in (".json", ".yaml", ".txt") else "other"
    else:
        known = {"probe-": "probes", "crash-": "crashes"}
        kind = next((kind for start, kind in known.items() if first.startswith(start)), "other")
    try:
        return Kept(kind, path, path.lstat().st_size)
    except OSError:
        return None


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
