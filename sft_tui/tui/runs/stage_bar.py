"""The stages of a run on one line: done, at work, waiting, failed, each with a sign and a word."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.project.state import Status
from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.view.outcome import stage_name, status_word
from sft_tui.view.watch import Snapshot, StageView


def status_sign(status: Status, signs: Signs) -> str:
    """The sign of a status."""
    return {
        Status.PENDING: signs.waiting,
        Status.WAITING: signs.waiting,
        Status.RUNNING: signs.here,
        Status.STOPPING: signs.here,
        Status.FINISHED: signs.done,
        Status.FAILED: signs.problem,
        Status.STOPPED: signs.warning,
        Status.LOST: signs.problem,
    }[status]


def status_style(status: Status) -> str:
    """The style that goes with the sign, never without it."""
    return {
        Status.RUNNING: "bold",
        Status.STOPPING: "bold",
        Status.FINISHED: "$success",
        Status.FAILED: "bold $error",
        Status.LOST: "bold $error",
        Status.STOPPED: "$warning",
    }.get(status, "")


def stage_part(stage: StageView, signs: Signs, *, times: bool, words: bool) -> Content:
    """`sign name time`, with the word for the status where it is not the usual one or `words` asks for it."""
    label = f"{status_sign(stage.status, signs)} {stage_name(stage.name)}"
    if words or stage.status in (Status.FAILED, Status.LOST, Status.STOPPED):
        label += f" {status_word(stage.status)}"
    if times and stage.seconds is not None:
        label += f" {text.seconds(stage.seconds)}"
    if stage.attempt > 1:
        label += " " + _("(attempt {number})").format(number=stage.attempt)
    return Content.styled(label, status_style(stage.status))


def stage_line(snapshot: Snapshot, signs: Signs, width: int) -> Content:
    """All stages on a line of at most `width` cells: with words and times where they fit."""
    line = Content("")
    for words, times in ((True, True), (False, True), (False, False)):
        parts = [stage_part(stage, signs, times=times, words=words) for stage in snapshot.stages]
        line = Content("   ").join(parts)
        if cell_len(line.plain) <= width:
            break
    return line


class StageBar(Widget):
    """Convert, train, export, verify."""

    DEFAULT_CSS = "StageBar { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._snapshot: Snapshot | None = None
        self._shown = Content("")

    def show(self, snapshot: Snapshot) -> None:
        """Show how the stages of `snapshot` stand; nothing is drawn where they stand the same."""
        self._snapshot = snapshot
        if self._build() != self._shown:
            self.refresh()

    def _build(self) -> Content:
        return stage_line(self._snapshot, signs_of(self), self.size.width) if self._snapshot else Content("")

    def render(self) -> Content:
        """The line for the present width."""
        self._shown = self._build()
        return self._shown
