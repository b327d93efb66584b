"""The app, opened at a run screen, with a machine that is always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

from sft_tui.machine.gpus import GpuReport
from sft_tui.project.layout import RunLayout
from sft_tui.tui.app import SftApp
from sft_tui.tui.look.signs import ASCII, UNICODE
from sft_tui.tui.services import Services
from tests.tui.runs.run_dirs import BEGAN, CARD


class FixedServices(Services):
    """One H100, and a clock that stands still."""

    def now(self) -> float:
        return BEGAN + 245

    def gpus(self) -> GpuReport:
        return GpuReport((CARD,), driver="570.1")


def app_at(
    project: Path,
    name: str,
    *arguments: object,
    language: str = "en",
    ascii: bool = False,
) -> SftApp:
    """The app, which opens the screen `name` (a name for `SftApp.make`)."""

    def start(app: SftApp) -> None:
        app.push_screen(app.make(name, *arguments))

    signs = ASCII if ascii else UNICODE
    return SftApp(project, services=FixedServices(), language=language, signs=signs, start=start)


def run_app(layout: RunLayout, **options: object) -> SftApp:
    """The app at the screen of a run."""
    return app_at(layout.project, "run", layout, **options)  # type: ignore[arg-type]


async def settle(pilot: Pilot[int], condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until `condition` holds; fails after `seconds`."""
    for _ in range(int(seconds / 0.05)):
        await pilot.pause(0.05)
        if condition():
            return
    raise AssertionError("the screen did not get there:\n" + screen_text(pilot.app))


def screen_text(app: App[int]) -> str:
    """What is on the screen, as plain text, a line a row."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips(app.size))
