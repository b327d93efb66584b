"""Rules that hold on every screen of a run: nothing foreign is markup, the way on is in view, nothing stirs at rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.machine.gpus import GpuProcess, GpuReport
from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import write_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import Status, read_state, write_state
from sft_tui.tui.app import SftApp
from sft_tui.tui.widgets.bars import Primary
from tests.tui.runs.apps import FixedServices, app_at, screen_text, settle
from tests.tui.runs.run_dirs import CARD, OOM, make_run
from tests.unit.view.test_result import finished_run

NASTY = "[/b] [0] [type=int] [bold $x] \x1b[31mred\x1b[0m \x07 苹果\u202e [@click=app.bell]x[/]"
SEEN = "[/b] [0] [type=int] [bold $x]"
SIZES = [(80, 24), (60, 20), (140, 40)]


class NastyServices(FixedServices):
    """A machine whose every name is odd."""

    def gpus(self) -> GpuReport:
        process = GpuProcess(7, NASTY, NASTY, 2**30)
        return GpuReport((replace(CARD, name=NASTY, processes=(process,)),), NASTY)


def nasty_run(project: Path, status: Status) -> RunLayout:
    """A run in which every text that is not ours is odd."""
    fixes = [
        {"kind": "set", "key": "cutoff_len", "value": NASTY, "text": NASTY},
        {"kind": "unset", "key": "learning_rate", "value": None, "text": NASTY},
        {"kind": "env", "key": NASTY, "value": NASTY, "text": NASTY},
    ]
    diagnosis = {**OOM, "title": NASTY, "cause": NASTY, "line": NASTY, "source": f"http://{NASTY}", "fixes": fixes}
    log = (NASTY + "\n") * 30
    layout = make_run(project, status=status, log=log, message=NASTY, diagnoses=(diagnosis,))
    state = read_state(layout)
    assert state is not None
    state.model = state.dataset = NASTY
    write_state(layout, state)
    append_event(layout.events, make_event("warning", id=NASTY, message=NASTY, hint=NASTY))
    return layout


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED])
@pytest.mark.parametrize("size", SIZES)
async def test_nothing_foreign_is_markup(tmp_path: Path, size: tuple[int, int], status: Status) -> None:
    layout = nasty_run(tmp_path, status)
    app = app_at(tmp_path, "run", layout)
    app.services = NastyServices()
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: SEEN in screen_text(app))
        asked = ("1", "escape") if status is Status.FAILED else ("s", "escape")
        for key in (
            "g",
            "escape",
            "l",
            "5",
            "2",
            "slash",
            "[",
            "enter",
            "n",
            "escape",
            "escape",
            *asked,
            "c",
            "escape",
        ):
            await pilot.press(key)
            await pilot.pause(0.15)
            text = screen_text(app)
            assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
        await settle(pilot, lambda: SEEN in screen_text(app) and "apples" in screen_text(app))
        await pilot.press("escape")
        await settle(pilot, lambda: SEEN in screen_text(app) and "Runs in" in screen_text(app))


async def test_nothing_foreign_in_a_result_is_markup(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    sample = {"prompt": NASTY, "reference": NASTY, "before": NASTY, "after": NASTY + "\n" * 3 + NASTY}
    checks = [{"name": NASTY, "status": status, "message": NASTY} for status in ("failed", "skipped", NASTY)]
    write_json(layout.verify_result, {"ok": False, "checks": checks, "samples": [sample], "error": NASTY})
    plan = json.loads(layout.plan.read_text(encoding="utf-8")) | {"template": NASTY, "model": NASTY}
    write_json(layout.plan, plan)
    app = app_at(tmp_path, "result", layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: screen_text(app).count(SEEN) > 5)
        for _ in range(5):
            await pilot.press("pagedown")
        assert "\x1b" not in screen_text(app)


def screens(project: Path) -> dict[str, SftApp]:
    """An app at each screen that is not a question."""
    running, failed = make_run(project, "pears"), nasty_run(project, Status.FAILED)
    return {
        "running": app_at(project, "run", running),
        "failed": app_at(project, "run", failed),
        "lost": app_at(project, "run", make_run(project, "plums", status=Status.LOST)),
        "result": app_at(project, "result", finished_run(project)),
        "runs": app_at(project, "runs"),
    }


@pytest.mark.parametrize("name", ["running", "failed", "lost", "result", "runs"])
@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("language", ["en", "zh_CN"])
async def test_the_way_on_and_the_focus_are_in_view(
    tmp_path: Path, name: str, size: tuple[int, int], language: str
) -> None:
    app = screens(tmp_path)[name]
    app.language = language
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: app.focused is not None and app.screen.query_one(Primary).region.height > 0)
        await pilot.pause(0.3)
        primary, focused = app.screen.query_one(Primary), app.focused
        assert focused is not None
        for widget in (primary, focused):
            visible = app.screen.find_widget(widget).visible_region
            assert visible.height >= 1 and visible.width >= 8, widget
        assert primary.region.width <= size[0] and app.screen.region.contains_region(primary.region)


async def test_an_ended_run_draws_nothing_at_rest(tmp_path: Path) -> None:
    app = app_at(tmp_path, "run", make_run(tmp_path, status=Status.FAILED, message="Training failed."))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: "Training failed." in screen_text(app))
        await pilot.pause(1.0)
        drawn = [widget._repaint_regions.copy() for widget in app.screen.query("*")]
        before = screen_text(app)
        await pilot.pause(4.0)
        assert screen_text(app) == before
        assert [widget._repaint_regions for widget in app.screen.query("*")] == drawn
