"""Keys that are typed faster than screens come: none is lost, none lands where it was not meant for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual import events

from sft_tui.tui.services import Machine
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.wizard.draft import Draft
from sft_tui.tui.wizard.model_check import ModelFinding
from tests.tui.helpers import MODEL, FakeServices, WizardApp, filled, settle, shown, text, thirty_rows, wizard

NAMES = {"/": "slash", ".": "full_stop", "-": "minus", "_": "underscore"}


def type_at_once(app: WizardApp, *keys: str) -> None:
    """All keys in one go, as a slow line hands them over."""
    for key in keys:
        character = key if len(key) == 1 else None
        app.post_message(events.Key(NAMES.get(key, key), character))


async def test_the_whole_wizard_can_be_typed_ahead(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        type_at_once(app, "enter", "enter", *str(MODEL), "enter", *"rows.csv", "enter", "enter", "enter")
        for _round in range(3000):
            await pilot.pause(0.02)
            if shown(app).STEP == "config" and not app.typeahead.holding:
                break
        await settle(pilot)
        assert shown(app).STEP == "config", text(app)
    assert app.draft.get("model.path") == str(MODEL)
    assert app.draft.get("data.source") == "rows.csv"


class SlowLook(FakeServices):
    """Looks at a model as long as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def look_at_model(self, text: str, draft: Draft, machine: Machine) -> ModelFinding:
        self.gate.wait(60)
        return super().look_at_model(text, draft, machine)


@pytest.mark.parametrize("model", [str(MODEL), "nowhere/at/all"])
async def test_what_is_typed_while_a_model_is_looked_at_is_for_afterwards(tmp_path: Path, model: str) -> None:
    app = WizardApp(tmp_path, services=SlowLook())
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await pilot.pause(0.1)
        type_at_once(app, *model, "enter", *"rows")
        await pilot.pause(0.2)
        assert app.screen.query_one("#model-input", LineInput).value == model
        app.services.gate.set()  # type: ignore[attr-defined]
        await settle(pilot)
        found = model != "nowhere/at/all"
        assert ("data" if found else "model") == shown(app).STEP
        field = app.screen.query_one("#source-input" if found else "#model-input", LineInput)
        assert field.value.endswith("rows")


async def test_esc_gives_up_waiting(tmp_path: Path) -> None:
    app = WizardApp(tmp_path, services=SlowLook())
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await pilot.pause(0.1)
        type_at_once(app, *str(MODEL), "enter", *"xyz")
        await pilot.pause(0.3)
        type_at_once(app, "escape")
        for _round in range(500):
            await pilot.pause(0.02)
            if shown(app).STEP == "gpu":
                break
        assert shown(app).STEP == "gpu"
        app.services.gate.set()  # type: ignore[attr-defined]


async def test_f10_and_f1_work_in_a_question(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.confirm("Really?", ["It is asked."], "yes", lambda: None)
        await settle(pilot)
        await pilot.press("f1")
        await settle(pilot)
        assert "Enter" in text(app) and "Help" in text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert "Really?" in text(app)
        await pilot.press("f10")
        await pilot.pause()
    assert app.return_code == 0


async def test_up_above_the_first_field_stays_there_and_typing_is_not_lost(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await settle(pilot)
        await pilot.press("up", "up", *"abc")
        await settle(pilot)
        assert app.screen.query_one("#model-input", LineInput).value == "abc"


async def test_help_and_a_long_row_scroll_by_keys(tmp_path: Path) -> None:
    draft = filled(tmp_path)
    (tmp_path / "rows.csv").write_text(
        "question,answer\n" + '"q","' + "\n".join(f"line {i}" for i in range(60)) + '"\n', encoding="utf-8"
    )
    app = wizard(tmp_path, draft=draft)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("preview")
        await settle(pilot)
        assert "line 1" in text(app) and "line 40" not in text(app)
        await pilot.press("pagedown", "pagedown")
        await settle(pilot)
        assert "line 30" in text(app)
        await pilot.press("down", "up", "f1")
        await settle(pilot)
        before = text(app)
        await pilot.press("pagedown")
        await settle(pilot)
        assert text(app) != before


async def test_arrows_move_in_a_list_while_the_filter_keeps_the_focus(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p")
        await settle(pilot)
        await pilot.press("down", "down", "up", *"gpu")
        await settle(pilot)
        assert app.screen.query_one(LineInput).value == "gpu" and "Go to: GPU" in text(app)
        assert "Go to: Model" not in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "gpu"


async def test_the_commands_of_a_screen_are_among_all_commands(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("preview")
        await settle(pilot)
        await pilot.press("ctrl+p")
        await settle(pilot)
        await pilot.press(*"statis", "enter")
        await settle(pilot)
        assert "Statistics of the examples" in text(app)
