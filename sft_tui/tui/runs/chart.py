"""The large chart of a run: raw and smoothed loss, evaluations, learning rate; live, at most once a second."""

from __future__ import annotations

from functools import partial

from textual.app import ComposeResult
from textual.containers import Vertical

from sft_tui.i18n import _
from sft_tui.project.layout import RunLayout
from sft_tui.tui.jobs import Job
from sft_tui.tui.runs.header import RunHeader
from sft_tui.tui.runs.key_figures import KeyFigures
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.services import Services
from sft_tui.tui.widgets.bars import KeyBar
from sft_tui.tui.widgets.big_chart import BigChart, Curves
from sft_tui.view.watch import RunWatch, Snapshot

POLL_S = 1.0


class ChartScreen(BaseScreen):
    """As much chart as fits; Esc or Enter goes back to the run."""

    HELP_ID = "chart"

    def __init__(self, layout: RunLayout) -> None:
        super().__init__()
        self.layout_of_run = layout

    def compose(self) -> ComposeResult:
        """Header, figures, chart."""
        yield RunHeader(self.layout_of_run.name)
        with Vertical(id="chart-main"):
            yield KeyFigures()
            yield BigChart()
        yield KeyBar()

    def on_mount(self) -> None:
        """Start to watch."""
        self.jobs.start(
            "watch", partial(_watch, self.layout_of_run, self.sft.services), lambda _never: None, told=self._show
        )

    def _show(self, snapshot: Snapshot) -> None:
        self.query_one(RunHeader).show(snapshot, self.sft.services.now())
        self.query_one(KeyFigures).show(snapshot)
        self.query_one(BigChart).show(Curves(snapshot.train_loss, snapshot.eval_loss, snapshot.learning_rate))

    def primary(self) -> None:
        """Enter goes back."""
        self.back()

    def primary_label(self) -> str:
        """There is no other way on from here."""
        return _("Back")

    def again(self) -> BaseScreen:
        """The same chart."""
        return ChartScreen(self.layout_of_run)


def _watch(layout: RunLayout, services: Services, job: Job) -> None:
    """In a thread: tell the run as it is whenever that is different."""
    job.watch(RunWatch(layout, now=services.now).poll, lambda _snapshot: POLL_S, lambda snapshot: snapshot)
