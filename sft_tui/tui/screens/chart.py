"""The large chart of a run: raw and smoothed loss, evaluations, learning rate; live, at most once a second."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.worker import get_current_worker

from sft_tui.i18n import _
from sft_tui.project.layout import RunLayout
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.bars import KeyBar
from sft_tui.tui.widgets.big_chart import BigChart, Curves
from sft_tui.tui.widgets.figures import KeyFigures
from sft_tui.tui.widgets.run_header import RunHeader
from sft_tui.view.watch import RunWatch, Snapshot

POLL_S = 1.0


class ChartScreen(BaseScreen):
    """As much chart as fits; Esc or Enter goes back to the run."""

    HELP_ID = "chart"
    CSS_PATH = "chart.tcss"

    @dataclass
    class Seen(Message):
        """The run as it is now."""

        snapshot: Snapshot

    def __init__(self, layout: RunLayout) -> None:
        super().__init__()
        self.layout_of_run = layout
        self._wake = threading.Event()

    def compose(self) -> ComposeResult:
        """Header, figures, chart."""
        yield RunHeader(self.layout_of_run.name)
        with Vertical(id="chart-main"):
            yield KeyFigures()
            yield BigChart()
        yield KeyBar()

    def on_mount(self) -> None:
        """Start to watch."""
        super().on_mount()
        self._watch()

    def on_unmount(self) -> None:
        """Let the watching thread end at once."""
        self._wake.set()

    @work(thread=True, group="watch", exclusive=True)
    def _watch(self) -> None:
        worker = get_current_worker()
        watch = RunWatch(self.layout_of_run, now=self.sft.services.now)
        last: Snapshot | None = None
        while not worker.is_cancelled and self.is_attached:
            snapshot = watch.poll()
            if snapshot != last:
                self.post_message(self.Seen(snapshot))
                last = snapshot
            self._wake.wait(POLL_S)
            self._wake.clear()

    @on(Seen)
    def _show(self, event: ChartScreen.Seen) -> None:
        snapshot = event.snapshot
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
