"""A terminal that becomes too small while the wizard runs, and large again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_tui.tui.widgets.field import LineInput
from tests.tui.helpers import filled, settle, shown, text, wizard


@pytest.mark.parametrize("size", [(59, 24), (80, 19), (30, 5)])
async def test_a_sentence_covers_what_does_not_fit_and_the_rest_stays(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        field = app.screen.query_one("#source-input", LineInput)
        before = text(app)
        await pilot.resize_terminal(*size)
        await settle(pilot)
        seen = " ".join(text(app).split())
        assert f"too small ({size[0]}x{size[1]}; 60x20 is needed)" in seen
        assert "Which examples" not in seen and "F10 Quit" not in seen
        assert app.screen.focused is field
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "".join(text(app).split()) == "".join(before.split())
        await pilot.press("x")
        assert field.value == "rows.csvx"
        assert shown(app).STEP == "data"


async def test_what_is_typed_is_kept_and_nothing_starts_unseen(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        field = app.screen.query_one("#source-input", LineInput)
        await pilot.resize_terminal(50, 15)
        await settle(pilot)
        await pilot.press("x", "enter", "f1", "escape")
        await settle(pilot)
        assert field.value == "rows.csvx"
        assert shown(app).STEP == "data" and len(app.screen_stack) == 2
        app.show_step("review")
        await settle(pilot)
        assert "too small" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert app.opened is None
        await pilot.press("f10")
        await pilot.pause()
    assert app.return_code == 0


async def test_a_screen_that_opens_meanwhile_is_covered_too(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("config")
        await settle(pilot)
        await pilot.resize_terminal(50, 15)
        await settle(pilot)
        app.open("memory")
        await settle(pilot)
        assert "too small" in text(app) and "memory: -" not in text(app)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "too small" not in text(app) and "memory: -" in text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert shown(app).STEP == "config" and "too small" not in text(app)
