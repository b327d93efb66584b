"""Pictures of the screens of runs, with clock and cursor frozen. Renew them with `pytest --snapshot-update`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sft_tui.project.layout import RunLayout
from sft_tui.project.state import Status
from tests.tui.runs.apps import app_at, run_app
from tests.tui.runs.run_dirs import OOM, OOM_LOG, make_run
from tests.unit.view.test_result import finished_run

Compare = Callable[..., bool]
SIZES = [(80, 24), (60, 20), (140, 40)]
LANGUAGES = ["en", "zh_CN"]


@pytest.fixture(autouse=True)
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC, and a project with the same name everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    yield
    monkeypatch.undo()
    time.tzset()


def after(*keys: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """Press `keys` once the run is shown, and wait until everything is drawn."""

    async def before(pilot: Pilot[Any]) -> None:
        await pilot.pause(0.7)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
        await pilot.pause(0.5)

    return before


def failed() -> RunLayout:
    message = "Training failed: it ended with exit code 1. The log is logs/apples/train.log."
    return make_run(Path("project"), status=Status.FAILED, log=OOM_LOG, diagnoses=(OOM,), message=message)


@pytest.mark.parametrize(("size", "language"), [*((size, "en") for size in SIZES), ((80, 24), "zh_CN")])
def test_run(snap_compare: Compare, size: tuple[int, int], language: str) -> None:
    app = run_app(make_run(Path("project")), language=language)
    assert snap_compare(app, terminal_size=size, run_before=after())


def test_run_in_ascii(snap_compare: Compare) -> None:
    app = run_app(make_run(Path("project")), ascii=True)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after())


@pytest.mark.parametrize("language", LANGUAGES)
def test_failure(snap_compare: Compare, language: str) -> None:
    assert snap_compare(run_app(failed(), language=language), terminal_size=(80, 24), run_before=after())


def test_question(snap_compare: Compare) -> None:
    assert snap_compare(run_app(failed()), terminal_size=(80, 24), run_before=after("1"))


def test_chart(snap_compare: Compare) -> None:
    assert snap_compare(run_app(make_run(Path("project"))), terminal_size=(80, 24), run_before=after("c"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_result(snap_compare: Compare, language: str) -> None:
    layout = finished_run(Path("project"))
    used = sum(path.stat().st_size for path in layout.run_dir.rglob("*") if path.is_file())
    layout.supervisor_log.write_bytes(b" " * (4096 - used))  # the state holds names of the computer
    app = app_at(Path("project"), "result", layout, language=language)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after())


@pytest.mark.parametrize(("size", "language"), [((80, 24), "en"), ((60, 20), "en"), ((80, 24), "zh_CN")])
def test_runs(snap_compare: Compare, size: tuple[int, int], language: str) -> None:
    failed()
    make_run(Path("project"), "pears", status=Status.FINISHED, stage="verify", steps=282)
    make_run(Path("project"), "plums", status=Status.RUNNING, steps=20)
    app = app_at(Path("project"), "runs", language=language)
    assert snap_compare(app, terminal_size=size, run_before=after())
