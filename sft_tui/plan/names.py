"""What the answers name, found: files by their paths, a run and a dataset by names that are free or are theirs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_tui.dataset.request import IN_ARCHIVE, named_files
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout

if TYPE_CHECKING:
    from sft_tui.answers import Answers


def resolve_path(text: str, places: Iterable[Path]) -> Path | None:
    """The existing file or directory that `text` names, looked for in `places` in turn."""
    path = Path(text).expanduser()
    for place in places:
        candidate = path if path.is_absolute() else place / path
        if candidate.exists():
            return Path(candidate).resolve()
    return None


def resolve_command(command: Sequence[str], base: Path, project: Path) -> tuple[str, ...]:
    """`command` with its program relative to the project or absolute; a bare name is looked for on PATH when it runs.

    A program with a slash is looked for like every file of the answers.
    """
    if not command or "/" not in command[0]:
        return tuple(command)
    found = resolve_path(command[0], (base, project))
    return (portable(found, project) if found else command[0], *command[1:])


def resolve_source(text: str, base: Path, project: Path) -> str:
    """The source as an absolute path, or several with commas between; a hub name or an address stays as it is.

    A missing file starts at `base`, a glob as well.
    """
    if text.startswith("hub:") or "://" in text:
        return text
    found = resolve_path(text, (base, project))
    if found is not None:
        return str(found)
    archive, mark, member = text.partition(IN_ARCHIVE)
    held = resolve_path(archive, (base, project)) if mark else None
    if held is not None:
        return f"{held}{mark}{member}"
    path = Path(text).expanduser()
    if (
        any(c in text for c in "*?[")
        and not path.is_absolute()
        and not any(base.glob(text))
        and any(project.glob(text))
    ):
        return str(project / path)
    parts = [resolve_path(part, (base, project)) for part in named_files(text)]
    if "," in text and all(parts):
        return ",".join(map(str, parts))
    return str(path if path.is_absolute() else base / path)


def portable(path: Path, project: Path) -> str:
    """`path` relative to the project where it is inside it (`./model`), otherwise absolute."""
    if path.is_relative_to(project) and path != project:
        return f"./{path.relative_to(project).as_posix()}"
    return str(path)


def slug(text: str, limit: int = 40) -> str:
    """`text` as part of a run's name: small letters, digits, hyphens."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return cleaned[:limit].strip("-")


def choose_run_name(answers: Answers, project: Path, model: str, *, fresh: bool, adapter: str | None = None) -> str:
    """The run's name: as given, or the one that an earlier run with the same answers has, or a new one.

    The sources of the answers stand in them as they were found.
    """
    name, source = answers.run.name, answers.data.source
    if name is None:
        earlier = None if fresh else _same_run(answers, project, model, adapter)
        if earlier:
            return earlier
        parts = [slug(Path(model).name), slug(source_stem(source)), time.strftime("%Y%m%d-%H%M")]
        name = "-".join(part for part in parts if part)
    elif not fresh:
        return name
    return _unused(name, project)


def source_stem(source: str) -> str:
    """The name of a source without directories and suffixes: `raw/apples.jsonl.gz` is `apples`."""
    inside = source.rpartition(IN_ARCHIVE)[2]
    name = inside.removeprefix("hub:").rstrip("/").replace("\\", "/").rpartition("/")[2]
    return name.split(".")[0] or name.strip(".")


def _unused(name: str, project: Path) -> str:
    candidate, number = name, 2
    while RunLayout(project, candidate).run_dir.exists() or RunLayout(project, candidate).save_dir.exists():
        candidate = f"{name}-{number}"
        number += 1
    return candidate


def _same_run(answers: Answers, project: Path, model: str, adapter: str | None) -> str | None:
    """The newest run of the project that was planned from the same answers."""
    from sft_tui.answers import answers_hash
    from sft_tui.project.layout import runs_of

    wanted = answers_hash(answers, model, adapter)
    for layout in runs_of(project):
        plan = read_json(layout.plan)
        if isinstance(plan, dict) and plan.get("answers_hash") == wanted:
            return layout.name
    return None
