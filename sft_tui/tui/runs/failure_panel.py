"""What went wrong with a run: the sentence, the cause, the lines that matter, and what can be done on one key."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from sft_tui.i18n import _
from sft_tui.project.state import Status
from sft_tui.tui.look.text import clean
from sft_tui.tui.runs.stage_bar import status_sign, status_style
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.tui.widgets.lines import Lines
from sft_tui.view.failure_report import Cause, FailureReport
from sft_tui.view.outcome import headline
from sft_tui.view.watch import Snapshot


def failure_lines(snapshot: Snapshot, report: FailureReport, sign: str) -> list[Content]:
    """The panel's text."""
    style = status_style(snapshot.status)
    head = headline(snapshot.run, snapshot.status, snapshot.message, report.stage)
    lines = [Content.styled(f"{sign} {clean(head, ' ')}", style)]
    for cause in report.causes:
        lines += [Content(""), *_cause_lines(cause)]
    if snapshot.lacked_memory:
        return [*lines, Content(""), Content(_("The training was not started, so there is no log of it."))]
    if not report.causes and snapshot.status is Status.FAILED:
        lines += [Content(""), Content(_("The cause is not one of those known to sft-tui; the log's last lines say:"))]
    if report.offers:
        lines += [Content(""), Content.styled(_("What can be changed now (press the number; it asks first):"), "bold")]
    for number, offer in enumerate(report.offers, 1):
        lines.append(Content.assemble((f" {number} ", "reverse"), f" {clean(offer.text, ' ')}"))
        lines += [Content(f"      {clean(line, ' ')}") for line in offer.diff]
    if report.lines:
        lines += [Content(""), Content.styled(_("From {log} (l shows all of it):").format(log=report.log), "bold")]
        lines += [Content.styled(f"  {line}", "dim") for line in report.lines]
    return lines


def _cause_lines(cause: Cause) -> list[Content]:
    lines = [Content.assemble((_("Why: {title}").format(title=clean(cause.title, " ")), "bold"))]
    lines.append(Content(clean(cause.text, " ")))
    if cause.line:
        lines.append(Content.styled(_("The log says: {line}").format(line=clean(cause.line.strip()[:300], " ")), "dim"))
    lines += [Content(f"  - {clean(step, ' ')}") for step in cause.advice]
    if cause.source.startswith("http"):
        lines.append(Content.styled(_("See {address}").format(address=clean(cause.source, " ")), "dim"))
    return lines


class FailurePanel(VerticalScroll, can_focus=True):
    """Scrolls through the report of a failure."""

    def compose(self) -> ComposeResult:
        """The text."""
        yield Lines(id="failure-lines")

    def show(self, snapshot: Snapshot, report: FailureReport) -> None:
        """Show what is known of the failure of `snapshot`."""
        sign = status_sign(snapshot.status, signs_of(self))
        self.query_one(Lines).show(failure_lines(snapshot, report, sign))
