"""All runs of the project: state, loss, time; attach, stop, logs, result, or a new wizard from one of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.problems import Refusal
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.project.state import RunState, Status, present_status, read_state
from sft_tui.run.adoption import looked_after
from sft_tui.tui.jobs import Job
from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import clean, one_line, pad
from sft_tui.tui.runs.stage_bar import status_sign
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.services import Services
from sft_tui.tui.widgets.bars import ActionBar, KeyBar, StepBar
from sft_tui.tui.widgets.lines import Lines
from sft_tui.tui.widgets.list_box import ListBox, Row
from sft_tui.view.outcome import stage_name, status_word

POLL_S = 2.0
_NAME_CELLS = 26


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as it is now."""

    name: str
    status: Status
    stage: str | None
    step: float | None
    total_steps: float | None
    first_loss: float | None
    loss: float | None
    created: float
    seconds: float | None
    message: str | None
    model: str
    dataset: str


def read_rows(project: Path, now: float) -> tuple[RunRow, ...]:
    """The runs of `project`, the newest first."""
    states = [(layout, read_state(layout)) for layout in runs_of(project)]
    return tuple(_row(layout, looked_after(layout, state), now) for layout, state in states if state is not None)


def _row(layout: RunLayout, state: RunState, now: float) -> RunRow:
    status, metrics = present_status(state), state.metrics
    end = state.finished or state.updated if status.final else now
    return RunRow(
        name=layout.name,
        status=status,
        stage=state.stage,
        step=metrics.get("step"),
        total_steps=metrics.get("total_steps"),
        first_loss=metrics.get("first_loss"),
        loss=metrics.get("loss"),
        created=state.created,
        seconds=max(0.0, end - state.created) if state.created else None,
        message=state.message,
        model=state.model,
        dataset=state.dataset,
    )


def row_cells(row: RunRow, signs: Signs) -> tuple[str, ...]:
    """State, name, progress, loss, when and how long."""
    state = f"{status_sign(row.status, signs)} {status_word(row.status)}"
    if row.status not in (Status.PENDING, Status.FINISHED) and row.stage:
        state += f": {stage_name(row.stage)}"
    steps = f"{text.whole(row.step)}/{text.whole(row.total_steps)}" if row.step is not None else text.UNKNOWN
    if row.loss is None:
        losses = text.UNKNOWN
    else:
        first = f"{text.short_loss(row.first_loss)} {signs.arrow} " if row.first_loss is not None else ""
        losses = first + text.short_loss(row.loss)
    when = time.strftime("%m-%d %H:%M", time.localtime(row.created)) if row.created else text.UNKNOWN
    name = one_line(row.name, _NAME_CELLS, signs.ellipsis)
    return name, state, steps, losses, when, text.seconds(row.seconds)


_EXPENDABLE = (4, 5, 2)
"""Columns that a narrow terminal does without, the first to go first: when it began, how long, steps."""


def table(rows: Sequence[RunRow], signs: Signs, width: int) -> list[str]:
    """A line of titles and a line a run, in columns, in at most `width` cells where that can be."""
    titles = (_("run"), _("state"), _("step"), _("loss"), _("begun"), _("time"))
    cells = [titles, *(row_cells(row, signs) for row in rows)]
    widths = [max(cell_len(line[i]) for line in cells) for i in range(len(titles))]
    kept = list(range(len(titles)))
    for column in _EXPENDABLE:
        if sum(widths[i] + 2 for i in kept) - 2 > width:
            kept.remove(column)
    return ["  ".join(pad(line[i], widths[i]) for i in kept).rstrip() for line in cells]


class RunsScreen(BaseScreen):
    """The runs of the project. Enter opens the one at the `>`."""

    HELP_ID = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", N_("Stop and save")),
        Binding("o", "result", N_("Result")),
        Binding("l", "log", N_("Log")),
        Binding("e", "edit", N_("New run from this")),
        Binding("w", "wizard", N_("Wizard")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[RunRow, ...] | None = None

    def heading(self) -> str:
        """Which project."""
        return _("Runs in {project}").format(project=self.sft.project)

    def compose(self) -> ComposeResult:
        """Titles, list, what is to be said about the current one."""
        yield StepBar("", self.heading())
        with Vertical(id="runs-main"):
            yield Static("", id="runs-head", markup=False)
            yield ListBox(id="runs-list")
            yield Lines(id="runs-detail")
        yield ActionBar()
        yield KeyBar()

    def on_mount(self) -> None:
        """Read now, and go on reading."""
        work = partial(_watch, self.sft.project, self.sft.services)
        self.jobs.start("watch", work, lambda _never: None, told=self._show)

    def first_field(self) -> Widget:
        """The list."""
        return self.query_one(ListBox)

    def _show(self, rows: tuple[RunRow, ...]) -> None:
        self.rows = rows
        box = self.query_one(ListBox)
        head, *lines = table(rows, self.sft.signs, self.size.width - 6)
        self.query_one("#runs-head", Static).update(Content(head if lines else ""))
        at = box.current.id if box.current else None
        box.set_rows([Row(row.name, line) for row, line in zip(rows, lines, strict=True)], at)
        self._describe()

    def on_resize(self) -> None:
        """Other columns may fit."""
        if self.rows is not None:
            self._show(self.rows)

    @on(ListBox.Moved)
    def _describe(self) -> None:
        row = self.current
        lines = []
        if row is not None:
            about = [part for part in (row.model, row.dataset) if part]
            lines = [Content(clean("   ".join(about), " "))] if about else []
            if row.message:
                lines.append(Content(clean(row.message, " ")))
        self.query_one("#runs-detail", Lines).show(lines)
        self.refresh_actions()
        self.refresh_bindings()

    @on(ListBox.Picked)
    def _picked(self) -> None:
        self.primary()

    @property
    def current(self) -> RunRow | None:
        """The run at the `>`."""
        row = self.query_one(ListBox).current
        return next((r for r in self.rows or () if row is not None and r.name == row.id), None)

    def _layout(self) -> RunLayout | None:
        row = self.current
        return RunLayout(self.sft.project, row.name) if row else None

    # -- what happens next ------------------------------------------------------------------------------------------

    def next_text(self) -> str:
        """What Enter would show."""
        if self.rows is None:
            return _("Looking for runs")
        row = self.current
        if row is None:
            return _("There are no runs here yet. Next: the wizard")
        if not row.status.final:
            return _("Next: watch {run}").format(run=row.name)
        if row.status is Status.FINISHED:
            return _("Next: what {run} has learned").format(run=row.name)
        return _("Next: why {run} ended, and how to go on").format(run=row.name)

    def primary_label(self) -> str:
        """What Enter does."""
        if self.rows is not None and self.current is None:
            return _("Wizard")
        return _("Open")

    def primary(self) -> None:
        """Open the current run: as it is now, or its result."""
        row, layout = self.current, self._layout()
        if row is None or layout is None:
            self.action_wizard()
        elif row.status is Status.FINISHED:
            self.sft.open_result(layout)
        else:
            self.sft.open_run(layout)

    def back(self) -> None:
        """Where the list was opened from, or the wizard."""
        if len(self.sft.screen_stack) > 2:
            self.sft.leave_overlay()
        else:
            self.action_wizard()

    # -- keys -------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that make sense for the current run."""
        if action in ("stop", "result", "log", "edit"):
            row = self.current if self.rows is not None and self.is_mounted else None
            if row is None:
                return False
            return not row.status.final if action == "stop" else True
        return True

    def action_wizard(self) -> None:
        """The wizard, where it was left."""
        self.sft.show_wizard("welcome")

    def action_stop(self) -> None:
        """Stop and save, after asking."""
        from sft_tui.run.lifecycle import what_a_stop_means

        layout = self._layout()
        if layout is None:
            return
        lines = [what_a_stop_means(layout)]
        question = _("Stop {run} and save?").format(run=layout.name)
        self.sft.confirm(question, lines, _("stop and save"), partial(self._request, layout))

    def _request(self, layout: RunLayout) -> None:
        from sft_tui.run.lifecycle import stop

        try:
            stop(layout)
        except (OSError, Refusal) as error:
            self.say(_("The request could not be left: {reason}").format(reason=error), "error")
        else:
            self.say(_("Asked {run} to stop.").format(run=layout.name))

    def action_result(self) -> None:
        """What the current run has made so far."""
        layout = self._layout()
        if layout is not None:
            self.sft.open_result(layout)

    def action_log(self) -> None:
        """The current run's logs."""
        layout, row = self._layout(), self.current
        if layout is not None and row is not None:
            self.sft.open_log(layout, row.stage or "train")

    def action_edit(self) -> None:
        """A new wizard with the current run's answers."""
        layout = self._layout()
        if layout is not None:
            self.sft.start_from(layout)


def _watch(project: Path, services: Services, job: Job) -> None:
    """In a thread: tell the runs as they are whenever that is different."""
    job.watch(lambda: read_rows(project, services.now()), lambda _rows: POLL_S, lambda rows: rows)
