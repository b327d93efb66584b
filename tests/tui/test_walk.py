"""From nothing to Start, mostly by pressing Enter; forwards and backwards without losing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_tui.tui.steps import STEPS
from sft_tui.tui.widgets.bars import Primary
from sft_tui.tui.widgets.field import LineInput
from tests.tui.helpers import MODEL, FakeServices, filled, in_view, settle, shown, text, thirty_rows, wizard

SIZES = ((80, 24), (60, 20), (140, 40))
WIZARD_STEPS = [name for name, _label in STEPS if name != "run"]


async def test_a_first_run_needs_a_model_a_file_and_at_most_twelve_control_keys(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    app = wizard(tmp_path)
    keys = 0
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        typed = {"model": str(MODEL), "data": "rows.csv"}
        while app.opened is None:
            assert keys <= 12, shown(app).STEP
            step = shown(app).STEP
            if step in typed:
                await pilot.press(*typed.pop(step))
            await pilot.press("enter")
            keys += 1
            await settle(pilot)
    services = app.services
    assert isinstance(services, FakeServices)
    plan = services.started[0].plan
    assert plan is not None
    assert plan.template == "qwen"
    assert plan.conversion["columns"]["input"] == "question"
    assert keys <= 9


@pytest.mark.parametrize("size", SIZES)
async def test_the_way_on_and_the_focused_field_are_in_view(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=size) as pilot:
        for step in WIZARD_STEPS:
            app.show_step(step)
            await settle(pilot)
            assert step == shown(app).STEP
            button = app.screen.query_one(Primary)
            assert in_view(app, button), text(app)
            assert button.region.right <= size[0]
            for _tab in range(len(app.screen.focus_chain)):
                assert app.screen.focused is not None
                assert in_view(app, app.screen.focused), (app.screen.focused, text(app))
                await pilot.press("tab")


async def test_escape_goes_back_to_the_start_and_no_further(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.show_step("review")
        await settle(pilot)
        seen = []
        for _press in range(10):
            seen.append(shown(app).STEP)
            await pilot.press("escape")
            await settle(pilot)
        assert seen[:7] == list(reversed(WIZARD_STEPS))
        assert seen[-1] == "welcome"
        assert app.is_running
        assert "F10" in text(app)


async def test_back_and_forth_loses_nothing(tmp_path: Path) -> None:
    draft = filled(tmp_path, train__learning_rate=3e-4, train__lora_rank=32, data__system="Speak plainly.")
    before = draft.as_text().split("saved")[1].split("\n", 1)[1]
    app = wizard(tmp_path, draft=draft)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for step in (*WIZARD_STEPS[1:], *reversed(WIZARD_STEPS)):
            app.show_step(step)
            await settle(pilot)
    data = app.draft.data
    assert data["train"] == {"learning_rate": 3e-4, "lora_rank": 32}
    assert data["data"]["system"] == "Speak plainly."
    assert data["data"]["columns"] == {"input": "question", "output": "answer"}
    assert data["hardware"] == {"gpus": "none"}
    assert str(MODEL) in before


async def test_going_back_to_the_start_and_on_again_keeps_the_setup(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press(*str(MODEL), "escape")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "Go on with this setup" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "model"
        assert app.screen.query_one("#model-input", LineInput).value == str(MODEL)


async def test_f1_explains_every_field_and_comes_back(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        for step in WIZARD_STEPS:
            app.show_step(step)
            await settle(pilot)
            for widget in app.screen.focus_chain:
                app.screen.set_focus(widget)
                await pilot.press("f1")
                assert type(app.screen).__name__ == "HelpScreen"
                assert "There is no help" not in text(app), widget
                await pilot.press("escape")
                assert app.screen.focused is widget


async def test_the_language_switches_on_every_step_and_keeps_the_answers(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        for step in WIZARD_STEPS:
            app.show_step(step)
            await settle(pilot)
            english = text(app)
            await pilot.press("f2")
            await settle(pilot)
            chinese = text(app)
            await pilot.press("f2")
            await settle(pilot)
            assert step == shown(app).STEP
            assert "Continue" not in chinese and "Start training" not in chinese
            assert text(app).split("\n")[0] == english.split("\n")[0]
    assert app.draft.get("data.source") == "rows.csv"


async def test_the_language_switches_over_a_step_too(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, train__lora_rank=32))
    async with app.run_test(size=(80, 24)) as pilot:
        for step, key in (("config", "f1"), ("config", "f6"), ("config", "f5"), ("preview", "t"), ("data", "f4")):
            app.show_step(step)
            await settle(pilot)
            await pilot.press(key)
            await settle(pilot)
            await pilot.press("f2")
            await settle(pilot)
            while step != shown(app).STEP:
                await pilot.press("escape")
                await settle(pilot)
            assert "继续" in text(app) and "F10 退出" in text(app), (step, key, text(app))
            await pilot.press("f2")
            await settle(pilot)
            assert "Enter: Continue" in text(app)
    assert app.draft.get("train.lora_rank") == 32
