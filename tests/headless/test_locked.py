"""Files and directories of somebody else's: a sentence and exit 3, never a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sft_tui.factory.check import CheckContext, check_train_options
from sft_tui.factory.probe import load_factory
from sft_tui.headless.check_command import check_file
from sft_tui.problems import ExitCode, Refusal, exit_code_for, locked_problem, refusing_locked
from tests.headless import Project, make_project

DENIED = PermissionError(13, "Permission denied", "/somebody/elses")


def _deny(*_arguments: object, **_more: object) -> Any:
    raise DENIED


def test_it_becomes_a_refusal() -> None:
    with pytest.raises(Refusal) as refused, refusing_locked():
        _deny()
    assert refused.value.exit_code is ExitCode.PREFLIGHT
    assert "/somebody/elses: Permission denied" in refused.value.problems[0].message
    assert exit_code_for([locked_problem(DENIED)]) is ExitCode.PREFLIGHT


def test_a_check_keeps_what_it_found_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_tui.factory.check.check_adapters", _deny)
    context = CheckContext(factory=load_factory(), base_dir=tmp_path)
    codes = [p.code for p in check_train_options({"stage": "sft", "lora_rank": -3}, context)]
    assert "no_permission" in codes and len(codes) > 1


@pytest.mark.parametrize("place", ["sft_tui.plan.context.read_peaks", "sft_tui.plan.preflight.check_train_options"])
def test_answers_are_checked_as_far_as_one_may_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    project = make_project(tmp_path)
    monkeypatch.setattr(place, _deny)
    assert "no_permission" in [p.code for p in check_file(project.path / "answers.yaml")]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[Project, Path]]:
    project = make_project(tmp_path)
    path = project.path / "locked"
    path.mkdir()
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    yield project, path
    path.chmod(0o700)


@pytest.mark.parametrize(
    "change",
    [
        lambda project: project.answer(model={"path": "locked/model"}),
        lambda project: project.answer(data={"source": "locked/rows.csv"}),
    ],
)
def test_a_locked_directory(locked: tuple[Project, Path], change: Callable[[Project], object]) -> None:
    project, _path = locked
    change(project)
    checked = project.sft("check", "answers.yaml", "--json")
    assert checked.code in (2, 3) and json.loads(checked.out)["ok"] is False
    assert "Permission denied" in checked.out
    run = project.run("--dry-run")
    assert run.code in (2, 3) and "Permission denied" in run.err
