"""Where the user can go from a run, by how it stands: the sentence, what Enter is called, what it does."""

from __future__ import annotations

from dataclasses import dataclass

from sft_tui.i18n import _
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import Status
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import clean
from sft_tui.view.failure_report import FailureReport
from sft_tui.view.outcome import stage_name
from sft_tui.view.watch import Snapshot

AFTER_TRAINING = ("export", "verify")
PATIENCE_S = 30.0
"""How long a run may wait for its supervisor before that is worth a word."""


@dataclass(frozen=True, slots=True)
class Way:
    """`text` says what is next, `label` what Enter is, `action` what it does: a name of `RunScreen.action_...`."""

    text: str
    label: str
    action: str


def way_on(layout: RunLayout, snapshot: Snapshot | None, report: FailureReport | None) -> Way:
    """The way on from a run that stands as in `snapshot` (None: not looked at yet)."""
    if snapshot is None:
        return Way(_("Looking at the run"), _("Runs"), "runs")
    if snapshot.problem:
        text = _("There is no run {run} in {project}.").format(run=layout.name, project=layout.project)
        return Way(text, _("Runs"), "runs")
    if snapshot.alive:
        text = _("You can close this window: the run goes on. Come back with: sft-tui attach {run}")
        return Way(text.format(run=layout.name), _("Full log"), "log")
    if snapshot.status is Status.FINISHED:
        return Way(_("Everything is done. Next: what it has learned, and how to use it"), _("Result"), "result")
    if snapshot.status is not Status.FAILED:
        return Way(_("Next: go on from the last checkpoint, or e to edit the answers"), _("Resume"), "resume")
    if snapshot.lacked_memory:
        text = _("Nothing was started. Next: try again when the memory is free, or f to start anyway, e to edit")
        return Way(text, _("Try again"), "resume")
    return _after_failure(report)


def _after_failure(report: FailureReport | None) -> Way:
    if report is not None and report.offers:
        text = _("Next: a change from above by its number, e to edit the answers, r to try again as it is")
        return Way(text, _("Change and resume"), "first_offer")
    if report is not None and report.stage in AFTER_TRAINING:
        text = _("What was trained is saved. Next: try {stage} again, or o for what there is so far")
        return Way(text.format(stage=stage_name(report.stage)), _("Try again"), "resume")
    return Way(_("Next: back to the answers, or r to try again as it is"), _("Edit answers"), "edit")


def remarks(snapshot: Snapshot, signs: Signs, now: float, asked: str | None) -> list[str]:
    """The latest warning, what is odd about the run's processes, and what was asked for and is not done yet."""
    said = [
        f"{clean(remark.message, ' ')} {clean(remark.hint or '', ' ')}".rstrip() for remark in snapshot.warnings[-1:]
    ]
    earlier = len(snapshot.warnings) - 1
    if earlier > 0:
        said[0] += " " + _("(and {count} earlier)").format(count=earlier)
    if snapshot.status.active and not snapshot.supervised:
        said.append(_("The supervisor is gone, the training goes on; r takes it over again."))
    if snapshot.status is Status.PENDING and not snapshot.supervised and now - snapshot.created > PATIENCE_S:
        said.append(_("Nothing has started this run; r starts it."))
    if snapshot.status is Status.RUNNING and snapshot.stage == "train" and snapshot.figures.step is None:
        asked = asked or _("LLaMA-Factory loads libraries, model and data; figures come with the first logged step.")
    return [f"{signs.warning} {text}" for text in said] + ([f"{signs.here} {asked}"] if asked else [])
