"""`sft-tui cache`: what the program keeps outside the projects."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.headless.arguments import add_json
from sft_tui.headless.output import put_json, put_table, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.places import cache_directory, state_directory
from sft_tui.support.kept import KINDS, Kept, Left, clear, kept_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `cache`."""
    parser.add_argument("--clear", action="store_true", help=_("remove it, but drafts and what a run needs now"))
    parser.add_argument("--drafts", action="store_true", help=_("with --clear: the wizard's drafts as well"))
    add_json(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Whether to remove what is kept."""

    clear: bool
    drafts: bool
    json: bool


def run(request: Request) -> int:
    """Show what is kept, or remove it; exit 3 where something could not be removed. Raises `Refusal`."""
    if request.drafts and not request.clear:
        raise refuse("usage", _("--drafts belongs to --clear."), key="--drafts")
    files = kept_files()
    left = clear(files, drafts=request.drafts) if request.clear else []
    stayed = {item.path for item in left}
    removed = [kept for kept in files if kept.path not in stayed] if request.clear else []
    if request.json:
        put_json(_as_json(files, removed, left))
    else:
        _tell(files, removed, left, cleared=request.clear)
    return int(ExitCode.PREFLIGHT if any(item.failed for item in left) else ExitCode.DONE)


def _tell(files: list[Kept], removed: list[Kept], left: list[Left], *, cleared: bool) -> None:
    from rich.filesize import decimal

    shown = removed if cleared else files
    if shown:
        titles = (_("what"), _("files"), _("size"), _("where"))
        rows = [(_(KINDS[k]), str(f["files"]), decimal(f["bytes"]), f["path"]) for k, f in _by_kind(shown).items()]
        put_table([titles, *rows])
    else:
        text = _("Nothing is kept outside the projects ({cache}, {state}).")
        say(text.format(cache=cache_directory(), state=state_directory()) if not left else _("Nothing was removed."))
    if cleared and shown:
        size = decimal(sum(kept.size_bytes for kept in removed))
        say(_("Removed: {count} files, {size}.").format(count=len(removed), size=size))
    for item in left:
        say(_("left: {path} ({why})").format(path=item.path, why=item.why))


def _by_kind(files: list[Kept]) -> dict[str, dict[str, Any]]:
    """How many files of each kind there are, how large they are together, and where."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        own = [kept for kept in files if kept.kind == kind]
        if own:
            place = Path(os.path.commonpath([kept.path.parent for kept in own]))
            size = sum(kept.size_bytes for kept in own)
            found[kind] = {"path": str(place), "files": len(own), "bytes": size}
    return found


def _as_json(files: list[Kept], removed: list[Kept], left: list[Left]) -> dict[str, Any]:
    def listed(some: list[Kept]) -> list[dict[str, Any]]:
        return [{"kind": kind, **figures} for kind, figures in _by_kind(some).items()]

    return {
        "cache": str(cache_directory()),
        "state": str(state_directory()),
        "kept": listed(files),
        "removed": listed(removed),
        "left": [{"kind": i.kind, "path": str(i.path), "why": i.why, "failed": i.failed} for i in left],
    }
