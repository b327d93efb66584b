"""What the program keeps outside the projects: seen, and removed on request, but never what somebody needs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sft_tui.project.identity import ProcessRef
from sft_tui.run.gpu_queue import Queue
from sft_tui.support.kept import Kept, clear
from sft_tui.tui.wizard.draft import Draft
from tests.headless import Project, make_project


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Places with one of everything; the ticket of this process is that of a run that waits."""
    homes = {"XDG_CACHE_HOME": str(tmp_path / "c"), "XDG_STATE_HOME": str(tmp_path / "s")}
    for name, place in homes.items():
        monkeypatch.setenv(name, place)
    cache, state = tmp_path / "c/sft-tui", tmp_path / "s/sft-tui"
    for file in (cache / "probe-1.json", cache / "lengths/a.json", state / "crash-1.log", state / "reports/r.txt"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 100)
    queue = Queue(cache / "queue")
    queue.enter("pears", 1)
    gone = {"run": "figs", "process": {**asdict(ProcessRef.of(os.getpid())), "pid": 1 << 22}}
    (cache / "queue" / "1-2.json").write_text(json.dumps(gone))
    Draft(tmp_path, {"model": {"path": "m"}}).save()
    return homes


def _ask(project: Project, *words: str) -> dict[str, Any]:
    result = project.sft("cache", *words, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert isinstance(found, dict)
    return found


def _files(homes: dict[str, str]) -> set[str]:
    return {path.name for home in homes.values() for path in Path(home).rglob("*") if path.is_file()}


def test_everything_is_shown_and_nothing_removed(tmp_path: Path, homes: dict[str, str]) -> None:
    project, before = make_project(tmp_path), _files(homes)
    found = _ask(project)
    kept = {item["kind"]: item for item in found["kept"]}
    assert {kind: item["files"] for kind, item in kept.items()} == {
        "probes": 1, "lengths": 1, "queue": 2, "drafts": 1, "crashes": 1, "reports": 1
    }  # fmt: skip
    assert kept["lengths"]["bytes"] == 100 and kept["lengths"]["path"] == f"{tmp_path}/c/sft-tui/lengths"
    assert sum(item["files"] for item in found["kept"]) == len(before)
    assert _files(homes) == before and found["removed"] == []
    said = project.sft("cache").out
    assert "100 bytes" in said and str(tmp_path / "s/sft-tui") in said


def test_clearing_leaves_drafts_and_who_waits(tmp_path: Path, homes: dict[str, str]) -> None:
    project = make_project(tmp_path)
    found = _ask(project, "--clear")
    assert {item["kind"] for item in found["removed"]} == {"probes", "lengths", "queue", "crashes", "reports"}
    assert {item["kind"] for item in found["left"]} == {"queue", "drafts"}
    waiting = next(item for item in found["left"] if item["kind"] == "queue")
    assert "pears" in waiting["why"] and Path(waiting["path"]).is_file()
    assert len(_files(homes)) == 2
    assert "--drafts" in project.sft("cache", "--clear").err
    _ask(project, "--clear", "--drafts")
    assert len(_files(homes)) == 1


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "crash-1.log").mkdir()  # no file, so that it cannot be removed as one
    (left,) = clear([Kept("crashes", tmp_path / "crash-1.log", 0)])
    assert left.failed and left.why


def test_drafts_alone_are_not_asked_for(tmp_path: Path, homes: dict[str, str]) -> None:
    assert make_project(tmp_path).sft("cache", "--drafts").code == 2


def test_nothing_kept_is_no_error(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    result = project.sft("cache", env={"XDG_CACHE_HOME": str(tmp_path / "n"), "XDG_STATE_HOME": str(tmp_path / "n")})
    assert result.code == 0 and "Nothing" in result.err
