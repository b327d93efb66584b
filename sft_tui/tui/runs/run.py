"""A run as it is: stages, figures, loss, GPUs, log; and what went wrong. It reads files and leaves requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import N_, _
from sft_tui.problems import Refusal
from sft_tui.project.layout import RunLayout
from sft_tui.project.requests import RequestKind
from sft_tui.project.state import Status, read_state
from sft_tui.run.adoption import looked_after
from sft_tui.tui.jobs import Job
from sft_tui.tui.runs.failure_panel import FailurePanel
from sft_tui.tui.runs.gpu_line import GpuLine
from sft_tui.tui.runs.header import RunHeader
from sft_tui.tui.runs.key_figures import KeyFigures
from sft_tui.tui.runs.stage_bar import StageBar
from sft_tui.tui.runs.ways import Way, remarks, way_on
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.services import Services
from sft_tui.tui.widgets.bars import ActionBar, KeyBar
from sft_tui.tui.widgets.big_chart import BigChart, Curves
from sft_tui.tui.widgets.lines import Lines
from sft_tui.tui.widgets.log_tail import LogTail
from sft_tui.tui.widgets.log_view import LogView
from sft_tui.tui.widgets.loss_spark import LossSpark
from sft_tui.view.failure_report import FailureReport, failure_report
from sft_tui.view.watch import RunWatch, Snapshot

ALIVE_POLL_S, ENDED_POLL_S = 1.0, 3.0
_ENDED_BADLY = (Status.FAILED, Status.STOPPED, Status.LOST)


@dataclass(frozen=True, slots=True)
class Seen:
    """The run as it is now; `report` comes with a run that ended badly."""

    snapshot: Snapshot
    report: FailureReport | None


class RunScreen(BaseScreen):
    """Shows the run of `layout`, live, whoever started it. Closing it changes nothing about the run."""

    STEP = "run"
    HELP_ID = "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", N_("Stop and save")),
        Binding("r", "resume", N_("Resume")),
        Binding("f", "force", N_("Start anyway")),
        Binding("e", "edit", N_("Edit answers")),
        Binding("d", "detach", N_("Detach")),
        Binding("l", "log", N_("Full log")),
        Binding("c", "chart", N_("Chart")),
        Binding("o", "result", N_("Result")),
        Binding("g", "gpus", N_("GPUs")),
        Binding("x", "stop_now", N_("Stop now")),
    ]

    def __init__(self, layout: RunLayout) -> None:
        super().__init__()
        self.layout_of_run = layout
        self.snapshot: Snapshot | None = None
        self.report: FailureReport | None = None
        self._asked: str | None = None
        self._resuming = False

    # -- the frame --------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Header, stages, figures beside or above the log; the failure in their place."""
        yield RunHeader(self.layout_of_run.name)
        with Vertical(id="run-main"):
            yield StageBar(id="run-stages")
            with Vertical(id="run-live"):
                with Vertical(id="run-figures"):
                    yield KeyFigures(id="run-key-figures")
                    yield LossSpark(id="run-loss")
                    yield GpuLine(id="run-gpus")
                    yield Lines(id="run-remarks")
                    yield BigChart(id="run-chart")
                yield LogTail(self.layout_of_run.stage_log("convert"), "convert.log", id="run-log")
            yield FailurePanel(id="run-failure")
        yield ActionBar()
        yield KeyBar()

    def on_mount(self) -> None:
        """Start to watch."""
        work = partial(_watch, self.layout_of_run, self.sft.services)
        self.jobs.start("watch", work, lambda _never: None, told=self._show)

    def first_field(self) -> Widget | None:
        """The log, so that its keys work; after a failure what is said about it."""
        return self.query_one(FailurePanel) if self.report else self.query_one(LogView)

    def again(self) -> BaseScreen:
        """The same run."""
        return RunScreen(self.layout_of_run)

    def _show(self, seen: Seen) -> None:
        before, self.snapshot, self.report = self.snapshot, seen.snapshot, seen.report
        snapshot = seen.snapshot
        if before is not None and any(remark not in before.warnings for remark in snapshot.warnings):
            self.app.bell()
        if before is None or before.status != snapshot.status:
            self._status_changed(snapshot)
        self.query_one(RunHeader).show(snapshot, self.sft.services.now())
        self.query_one(StageBar).show(snapshot)
        if seen.report is not None:
            self.query_one(FailurePanel).show(snapshot, seen.report)
        else:
            self._show_live(snapshot)
        if before is None or (before.status, before.stage) != (snapshot.status, snapshot.stage):
            self._open_log(snapshot)
            self.refresh_actions()

    def _status_changed(self, snapshot: Snapshot) -> None:
        self._asked = None
        self.set_class(self.report is not None, "-failed")
        self.refresh_bindings()
        field = self.first_field()
        if field is not None and (self.focused is None or not self.focused.is_on_screen or self.report):
            self.call_after_refresh(self.set_focus, field)

    def _show_live(self, snapshot: Snapshot) -> None:
        self.query_one(KeyFigures).show(snapshot)
        self.query_one(LossSpark).show(snapshot.train_loss, snapshot.eval_loss)
        self.query_one(GpuLine).update_from(snapshot)
        said = remarks(snapshot, self.sft.signs, self.sft.services.now(), self._asked)
        self.query_one("#run-remarks", Lines).show([Content(text) for text in said])
        chart = self.query_one("#run-chart", BigChart)
        if chart.display:
            chart.show(Curves(snapshot.train_loss, snapshot.eval_loss, snapshot.learning_rate))

    def _open_log(self, snapshot: Snapshot) -> None:
        """The log of the stage that is at work, or was last."""
        stage = snapshot.stage or "convert"
        self.query_one(LogTail).open(self.layout_of_run.stage_log(stage), f"{stage}.log")

    # -- what happens next ------------------------------------------------------------------------------------------

    def _way(self) -> Way:
        return way_on(self.layout_of_run, self.snapshot, self.report)

    def next_text(self) -> str:
        """That closing is safe and how to come back; or what to do about how it ended."""
        return self._way().text

    def primary_label(self) -> str:
        """What Enter does."""
        return self._way().label

    def primary(self) -> None:
        """Enter."""
        getattr(self, f"action_{self._way().action}")()

    def _offers(self) -> int:
        return len(self.report.offers) if self.report else 0

    def back(self) -> None:
        """Esc: the list of runs."""
        self.action_runs()

    def action_runs(self) -> None:
        """The list of runs."""
        self.sft.open_runs()

    def action_result(self) -> None:
        """What the run has made."""
        self.sft.open_result(self.layout_of_run)

    def action_first_offer(self) -> None:
        """The change that helps most likely."""
        self._offer(0)

    # -- keys -------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that make sense now."""
        snapshot = self.snapshot
        if action in ("stop", "stop_now"):
            return snapshot is not None and snapshot.alive and not snapshot.problem
        if action == "resume":
            if snapshot is None or snapshot.problem:
                return False
            return snapshot.status in _ENDED_BADLY or (snapshot.alive and not snapshot.supervised)
        if action == "force":
            return snapshot is not None and snapshot.lacked_memory
        if action in ("edit", "result"):
            return snapshot is not None and not snapshot.alive and not snapshot.problem
        return True

    def action_stop(self) -> None:
        """Stop and save, after asking."""
        from sft_tui.run.lifecycle import what_a_stop_means

        lines = [what_a_stop_means(self.layout_of_run)]
        self._ask(_("Stop {run} and save?"), lines, _("stop and save"), RequestKind.STOP)

    def action_stop_now(self) -> None:
        """Stop at once, after asking."""
        from sft_tui.run.lifecycle import what_a_stop_means

        lines = [_("The process is ended at once."), what_a_stop_means(self.layout_of_run, now=True)]
        self._ask(_("Stop {run} now, without saving?"), lines, _("stop now"), RequestKind.STOP_NOW)

    def _ask(self, question: str, lines: list[str], yes: str, kind: RequestKind) -> None:
        self.sft.confirm(question.format(run=self.layout_of_run.name), lines, yes, partial(self._request, kind))

    def _request(self, kind: RequestKind) -> None:
        from sft_tui.run.lifecycle import stop

        try:
            stop(self.layout_of_run, now=kind is RequestKind.STOP_NOW)
        except (OSError, Refusal) as error:
            self.say(_("The request could not be left: {reason}").format(reason=error), "error")
            return
        self._asked = _("Asked to stop; waiting for the run to do so.")
        if self.snapshot is not None:
            self._show_live(self.snapshot)
        self.jobs.wake("watch")

    def action_detach(self) -> None:
        """Leave the app; the run goes on."""
        self.sft.action_leave()

    def action_log(self) -> None:
        """The whole log."""
        stage = self.snapshot.stage if self.snapshot else None
        failed = self.report.stage if self.report else None
        self.sft.open_log(self.layout_of_run, failed or stage or "convert")

    def action_chart(self) -> None:
        """The large chart."""
        self.sft.open_chart(self.layout_of_run)

    def action_gpus(self) -> None:
        """All cards of the machine."""
        self.sft.open("gpus")

    def action_edit(self) -> None:
        """Back to the answers, at the one that the failure is about."""
        self.sft.start_from(self.layout_of_run, self.report.key if self.report else None)

    def on_key(self, event: events.Key) -> None:
        """Digits choose among the offered changes."""
        if event.character and event.character in "123456789" and int(event.character) <= self._offers():
            event.stop()
            self._offer(int(event.character) - 1)

    def _offer(self, index: int) -> None:
        report = self.report
        if report is None or index >= len(report.offers):
            return
        offer = report.offers[index]
        lines = [offer.text, "", *offer.diff, "", _("Then the run goes on at the stage that failed.")]
        then = partial(self._resume, offer.changes)
        self.sft.confirm(_("Change this and resume?"), lines, _("change and resume"), then)

    def action_resume(self) -> None:
        """Go on at the first stage that is not done, without a change."""
        self._resume(None)

    def action_force(self) -> None:
        """Go on though the GPU memory seems too small, after asking."""
        message = self.snapshot.message if self.snapshot is not None else None
        lines = [message or "", "", _("If the memory runs out, the training ends with an error; nothing is lost.")]
        self.sft.confirm(_("Start all the same?"), lines, _("start anyway"), partial(self._resume, None, force=True))

    def _resume(self, changes: Mapping[str, Any] | None, *, force: bool = False) -> None:
        if self._resuming:
            return
        self._resuming = True
        self.say(_("Starting again"))
        from sft_tui.run.lifecycle import resume

        layout, changed = self.layout_of_run, dict(changes) if changes else None
        self.jobs.start(
            "resume",
            lambda _job: resume(layout, changed, force=force),
            lambda _resumed: self._resumed(""),
            refused=lambda problems: self._resumed(str(Refusal(problems))),
        )

    def _resumed(self, problem: str) -> None:
        self._resuming = False
        if problem:
            self.say(problem, "error")
        else:
            self.refresh_actions()
        self.jobs.wake("watch")


def _watch(layout: RunLayout, services: Services, job: Job) -> None:
    """In a thread: look at the run's files about once a second, tell what has changed."""
    watch = RunWatch(layout, read_gpus=services.gpus, now=services.now)

    def look() -> Snapshot:
        snapshot = watch.poll()
        if snapshot.alive and not snapshot.supervised and (state := read_state(layout)) is not None:
            looked_after(layout, state)
        return snapshot

    def seen(snapshot: Snapshot) -> Seen:
        bad = snapshot.status in _ENDED_BADLY
        return Seen(snapshot, failure_report(layout, snapshot) if bad else None)

    job.watch(look, lambda snapshot: ALIVE_POLL_S if snapshot.alive else ENDED_POLL_S, seen)
