"""Pictures of the steps, with clock and cursor still: 80x24 in both languages, the narrowest and a wide terminal.

After a wanted change: `pytest tests/tui/test_snapshots.py --snapshot-update`, and look at the pictures.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sft_tui.tui.look.signs import ASCII, UNICODE
from tests.tui.helpers import MODEL, NO_CARD, TWO_CARDS, WizardApp, filled, settle, wizard

PICTURES = (
    ("welcome", "en", (80, 24)),
    ("gpu", "en", (80, 24)),
    ("model", "en", (80, 24)),
    ("data", "en", (80, 24)),
    ("preview", "en", (80, 24)),
    ("config", "en", (80, 24)),
    ("review", "en", (80, 24)),
    ("welcome", "zh_CN", (80, 24)),
    ("data", "zh_CN", (80, 24)),
    ("config", "zh_CN", (80, 24)),
    ("config", "en", (60, 20)),
    ("data", "en", (60, 20)),
    ("data", "en", (140, 40)),
    ("config", "en", (140, 40)),
)


def prepared(project: Path, step: str, lang: str, *, ascii: bool = False) -> WizardApp:
    """The app with everything answered, so that nothing on it depends on where or when the test runs."""
    shutil.copytree(MODEL, project / "model")
    draft = filled(project, run__name="apples", train__learning_rate=0.0002)
    draft.set("model.path", "model")
    report = TWO_CARDS if step == "gpu" else NO_CARD
    if step == "gpu":
        draft.set("hardware.gpus", [1])
    return wizard(project, report=report, draft=draft, lang=lang, signs=ASCII if ascii else UNICODE)


def opening(step: str) -> Any:
    """What to do before the picture is taken."""

    async def run(pilot: Pilot[int]) -> None:
        app = pilot.app
        assert isinstance(app, WizardApp)
        app.show_step(step)
        await settle(pilot)
        if step == "review":
            await pilot.press("2")
            await settle(pilot)

    return run


@pytest.mark.parametrize(("step", "lang", "size"), PICTURES)
def test_picture(snap_compare: Any, tmp_path: Path, step: str, lang: str, size: tuple[int, int]) -> None:
    app = prepared(tmp_path, step, lang)
    assert snap_compare(app, terminal_size=size, run_before=opening(step))


def test_picture_in_ascii(snap_compare: Any, tmp_path: Path) -> None:
    app = prepared(tmp_path, "config", "en", ascii=True)
    assert snap_compare(app, terminal_size=(80, 24), run_before=opening("config"))
