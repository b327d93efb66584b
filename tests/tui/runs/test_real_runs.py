"""The run screen on runs of the real supervisor, with a fake LLaMA-Factory: stop, resume, repair, result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft_tui.project.layout import RunLayout
from sft_tui.tui.app import SftApp
from tests.headless import Project, make_project
from tests.tui.runs.apps import screen_text, settle


def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: dict[str, Any], **answers: Any
) -> tuple[Project, SftApp]:
    """A run that was started by the headless front end, and the app at its screen."""
    project = make_project(tmp_path, scenario)
    project.answer(**answers)
    result = project.run("--detach")
    assert result.code == 0, result.err
    for name, value in project.fake.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.path)
    layout = RunLayout(project.path, "apples")

    def open_run(app: SftApp) -> None:
        app.push_screen(app.make("run", layout))

    return project, SftApp(project.path, language="en", start=open_run)


def shown(app: SftApp, *texts: str) -> bool:
    """Whether each of `texts` is on the screen."""
    screen = screen_text(app)
    return all(text in screen for text in texts)


async def test_stop_and_save_then_resume_to_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, app = start(tmp_path, monkeypatch, {"steps": 400, "step_s": 0.05, "lines_per_step": 1})
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "running: train", "loss ", "step ", "/400"), 30)
        await settle(pilot, lambda: shown(app, "the quick brown fox"), 10)
        await pilot.press("s", "enter")
        await settle(pilot, lambda: shown(app, "Stopped as asked", "Enter: Resume"), 30)
        assert project.state()["status"] == "stopped"
        project.fake.set_scenario({"steps": 20})
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "Everything is done"), 40)
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "apples: result", "has passed all checks"), 10)
        assert shown(app, "before: I do not know [/b]", "after: 红色。")
        merged = project.path / "models" / "apples" / "model.safetensors"
        before = merged.stat().st_mtime_ns
        await pilot.press("x")
        await settle(pilot, lambda: shown(app, "Merge the adapter into the model again?"))
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "Everything is done"), 40)
        assert merged.stat().st_mtime_ns > before


async def test_out_of_memory_is_repaired_with_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = {"oom_above": {"per_device_train_batch_size": 2}}
    project, app = start(tmp_path, monkeypatch, scenario, train={"per_device_train_batch_size": 4})
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "Training failed", "Enter: Change and resume"), 30)
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "Change this and resume?"))
        assert shown(app, "+ per_device_train_batch_size: ")
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "Everything is done"), 40)
    assert project.state()["status"] == "finished"


async def test_a_killed_trainer_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _project, app = start(tmp_path, monkeypatch, {"fail": {"at_step": 2, "signal": 9}})
    async with app.run_test(size=(60, 20)) as pilot:
        await settle(pilot, lambda: shown(app, "signal 9", "r Resume"), 30)
