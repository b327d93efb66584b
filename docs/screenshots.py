"""Pictures of the real app for the README: `python docs/screenshots.py` writes docs/screenshots/*.svg.

The wizard runs on the demo in a temporary project, on a machine with two cards that are not there, and nothing is
started. The clock stands still, so that the pictures change only when the screens do.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sft_tui.tui.app import SftApp  # noqa: E402
from sft_tui.tui.wizard.demo import demo_draft  # noqa: E402
from tests.tui.helpers import TWO_CARDS, WizardApp, settle, wizard  # noqa: E402
from tests.tui.runs.apps import run_app  # noqa: E402
from tests.tui.runs.run_dirs import make_run  # noqa: E402

OUT = Path(__file__).parent / "screenshots"
STEPS = ("welcome", "gpu", "model", "data", "preview", "config", "review")
SIZE = (80, 24)
FONTS = "DejaVu Sans Mono, Noto Sans Mono CJK SC"
_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
"""Fonts that the picture would load from elsewhere."""


async def picture_wizard(project: Path, language: str) -> None:
    """Every step of the wizard in `language`."""
    draft = demo_draft(project)
    for key in ("model.path", "data.source"):
        draft.set(key, Path(str(draft.get(key))).name)
    draft.set("hardware.gpus", "auto")
    draft.set("train", None)
    draft.set("preset", None)
    draft.set("run.name", "apples")
    app: WizardApp = wizard(project, report=TWO_CARDS, draft=draft, lang=language)
    async with app.run_test(size=SIZE) as pilot:
        for step in STEPS:
            app.show_step(step)
            await settle(pilot)
            save(app, f"{step}-{language}")


LOG = "\n".join(
    [
        "[INFO|2026-11-24 07:40:02] llamafactory.data.loader:143 >> Loading dataset apples_train.jsonl...",
        "***** Running training *****",
        "  Num examples = 900",
        "  Num Epochs = 3",
        "  Instantaneous batch size per device = 4",
        *(f"{{'loss': '{2.9 - 0.14 * n:.3f}', 'learning_rate': '9e-05', 'epoch': '{0.1 * n:.1f}'}}" for n in range(12)),
    ]
)


async def picture_run(project: Path, language: str) -> None:
    """A run in training, and its chart."""
    app = run_app(make_run(project, log=LOG), language=language)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.5)
        save(app, f"run-{language}")
        await pilot.press("c")
        await pilot.pause(1.5)
        save(app, f"chart-{language}")


def save(app: SftApp, name: str) -> None:
    """Write what `app` shows as an SVG."""
    OUT.mkdir(exist_ok=True)
    picture = _FONT_FACE.sub("", app.export_screenshot(title="sft-tui"))
    picture = picture.replace("Fira Code", FONTS).replace("<text ", '<text xml:space="preserve" ')
    (OUT / f"{name}.svg").write_text(picture, encoding="utf-8")


def main() -> None:
    """All pictures in both languages."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    scratch = Path(tempfile.gettempdir()) / "sft-tui-pictures"
    project = scratch / "apples"
    try:
        shutil.copytree(ROOT / "data" / "demo" / "model", project / "model")
        shutil.copy(ROOT / "data" / "demo" / "demo.parquet", project / "demo.parquet")
        for language in ("en", "zh_CN"):
            asyncio.run(picture_wizard(project, language))
            asyncio.run(picture_run(scratch / f"run-{language}", language))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
