"""A wizard on known ground: two cards that are not there, a quick environment check, a clock that stands still."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widget import Widget

from sft_tui.factory.options import snapshot
from sft_tui.machine.gpus import Gpu, GpuProcess, GpuReport
from sft_tui.machine.system import System
from sft_tui.plan.assess import Assessment
from sft_tui.presets import load_presets
from sft_tui.project.layout import RunLayout
from sft_tui.support.doctor import DoctorLine
from sft_tui.tui.app import SftApp
from sft_tui.tui.look.signs import UNICODE, Signs
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.services import Machine, Services
from sft_tui.tui.wizard.draft import Draft

MODEL = Path(__file__).parents[2] / "data" / "demo" / "model"
GIB = 2**30
NOON = 1_800_000_000.0


def card(index: int, used_gib: float, processes: tuple[GpuProcess, ...] = ()) -> Gpu:
    """An 80 GiB card."""
    used = int(used_gib * GIB)
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name="NVIDIA H100 80GB HBM3",
        total_bytes=80 * GIB,
        used_bytes=used,
        free_bytes=80 * GIB - used,
        utilisation=97 if used_gib > 10 else 0,
        temperature_c=40,
        power_w=100.0,
        compute_capability=(9, 0),
        processes=processes,
    )


BUSY = card(0, 60.0, (GpuProcess(4711, "eve", "python train.py --x [/b] \x1b[31m", int(59.5 * GIB)),))
TWO_CARDS = GpuReport((BUSY, card(1, 0.5)), driver="580.65")
NO_CARD = GpuReport((), "No NVIDIA driver is installed here (libnvidia-ml.so.1 is missing).", "no_library")
FINDINGS = (
    DoctorLine("Python", "ok", "3.11.7"),
    DoctorLine("LLaMA-Factory", "problem", "not found", 'pip install "sft-tui[train]"'),
    DoctorLine("disk", "warning", "18 GiB free", "A merged 7B model needs 15 GiB."),
)


class FakeServices(Services):
    """The real files, another machine; nothing is started."""

    def __init__(self, report: GpuReport = NO_CARD) -> None:
        self.report = report
        self.started: list[Assessment] = []
        self.forced: list[bool] = []

    def now(self) -> float:
        """Always the same moment."""
        return NOON

    def gpus(self) -> GpuReport:
        """The cards of the test."""
        return self.report

    def diagnose(self, project: Path) -> Iterator[DoctorLine]:
        """One good line, one bad, one doubtful."""
        yield from FINDINGS

    def machine(self) -> Machine:
        """The shipped snapshot; LLaMA-Factory is not installed."""
        system = System(64 * GIB, 60 * GIB, 8, 500 * GIB, "/")
        return Machine(None, snapshot(), self.report, system, load_presets())

    def start(self, found: Assessment, *, force: bool = False) -> RunLayout:
        """Remember what would be started."""
        self.started.append(found)
        self.forced.append(force)
        assert found.plan is not None
        return RunLayout(Path(found.plan.project), found.plan.run)


class WizardApp(SftApp):
    """The app without the run screen, which has tests of its own."""

    opened: RunLayout | None = None

    def open_run(self, layout: RunLayout) -> None:
        """Remember which run would be shown."""
        self.opened = layout


def wizard(
    project: Path, *, report: GpuReport = NO_CARD, draft: Draft | None = None, signs: Signs = UNICODE, lang: str = "en"
) -> WizardApp:
    """The app in the directory `project`."""
    return WizardApp(project, services=FakeServices(report), draft=draft, signs=signs, language=lang)


def write_rows(path: Path, rows: list[tuple[str, str]], names: tuple[str, str] = ("question", "answer")) -> Path:
    """A CSV file with two columns."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
    return path


def thirty_rows(project: Path) -> Path:
    """`rows.csv`: thirty questions and answers."""
    return write_rows(project / "rows.csv", [(f"What is {i} plus one?", f"It is {i + 1}.") for i in range(30)])


def filled(project: Path, **more: Any) -> Draft:
    """A draft with model and file."""
    thirty_rows(project)
    draft = Draft(project, answers_path=project / "answers.yaml")
    draft.set("hardware.gpus", "none")
    draft.set("model.path", str(MODEL))
    draft.set("data.source", "rows.csv")
    draft.set("data.format", "columns")
    draft.set("data.columns", {"input": "question", "output": "answer"})
    draft.set("data.test_size", 0.1)
    for key, value in more.items():
        draft.set(key.replace("__", "."), value)
    return draft


async def settle(pilot: Pilot[int]) -> None:
    """Wait until workers, threads, timers of forms and messages are done."""
    quiet, deadline = 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        await pilot.pause(0.01)
        busy = any(t.name.startswith("job ") and t.name != "job watch" for t in threading.enumerate())
        busy = busy or bool(getattr(pilot.app.screen, "waiting", False))
        busy = busy or (isinstance(pilot.app, SftApp) and pilot.app.typeahead.holding)
        quiet = 0 if busy else quiet + 1
        if quiet == 2:
            return


def lines(app: SftApp) -> list[str]:
    """The screen as plain text."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


def text(app: SftApp) -> str:
    """The screen as one plain text."""
    return "\n".join(lines(app))


def shown(app: SftApp) -> BaseScreen:
    """The present screen, typed."""
    assert isinstance(app.screen, BaseScreen)
    return app.screen


def in_view(app: SftApp, widget: Widget) -> bool:
    """Whether at least one row of `widget` is on the screen and inside everything that clips it."""
    place = app.screen.find_widget(widget)
    visible = place.region.intersection(place.clip).intersection(app.screen.region)
    return visible.height >= 1 and visible.width >= 1
