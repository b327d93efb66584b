"""What a finished run has made: loss and answers before and after, where it is, how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from sft_tui.i18n import N_, _
from sft_tui.problems import Refusal
from sft_tui.project.layout import RunLayout
from sft_tui.tui.runs.result_text import result_lines
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.lines import Lines, ReadingLines
from sft_tui.tui.widgets.loss_spark import LossSpark
from sft_tui.view.result import RunResult, read_result, write_usage

if TYPE_CHECKING:
    from sft_tui.tui.runs.export import ExportChoice


class ResultScreen(BaseScreen):
    """The result of the run of `layout`."""

    HELP_ID = "result"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "export", N_("Export again")),
        Binding("w", "write", N_("Write commands")),
        Binding("e", "edit", N_("New run from this")),
        Binding("l", "log", N_("Log")),
        Binding("c", "chart", N_("Chart")),
    ]

    def __init__(self, layout: RunLayout) -> None:
        super().__init__()
        self.layout_of_run = layout
        self.result: RunResult | None = None

    def heading(self) -> str:
        """Which run."""
        return _("{run}: result").format(run=self.layout_of_run.name)

    def compose_body(self) -> ComposeResult:
        """The curve, then the text."""
        yield LossSpark(id="result-loss")
        yield ReadingLines(id="result-lines")

    def on_mount(self) -> None:
        """Look at what there is."""
        self._look()

    def _look(self) -> None:
        layout = self.layout_of_run
        self.jobs.start("result", lambda _job: read_result(layout), self._show)

    def _show(self, result: RunResult) -> None:
        self.result = result
        self.query_one(LossSpark).show(result.snapshot.train_loss, result.snapshot.eval_loss)
        self.query_one("#result-lines", Lines).show(result_lines(result, self.sft.signs))
        self.call_after_refresh(self.focus_first)
        self.refresh_actions()

    def first_field(self) -> Widget:
        """The text, so that the keys scroll it."""
        return self.query_one("#result-lines")

    def focus_first(self) -> None:
        """Put the focus on the text without scrolling to it: the curve above it stays in view."""
        if self.focused is None:
            self.set_focus(self.first_field(), scroll_visible=False)

    def next_text(self) -> str:
        """Where one can go from here."""
        if self.result is None:
            return _("Looking at what the run has made")
        if not self.result.trained:
            return _("This run has saved nothing yet.")
        return _("The files stay where they are. Next: the list of runs")

    def primary_label(self) -> str:
        """What Enter does."""
        return _("Runs")

    def primary(self) -> None:
        """The list of runs."""
        self.sft.open_runs()

    def back(self) -> None:
        """The list of runs."""
        self.primary()

    def again(self) -> BaseScreen:
        """The same result."""
        return ResultScreen(self.layout_of_run)

    def action_edit(self) -> None:
        """A new wizard with this run's answers."""
        self.sft.start_from(self.layout_of_run)

    def action_log(self) -> None:
        """All logs."""
        self.sft.open_log(self.layout_of_run, "train")

    def action_chart(self) -> None:
        """The large chart."""
        self.sft.open_chart(self.layout_of_run)

    def action_write(self) -> None:
        """Write the commands to a file, because selecting text over SSH is hard."""
        if self.result is None or not self.result.usages:
            return
        title = _("How to use {run}").format(run=self.layout_of_run.name)
        try:
            path = write_usage(self.layout_of_run, self.result, title, _("Type these in the project directory:"))
        except OSError as error:
            self.say(_("The file could not be written: {reason}").format(reason=error.strerror or error), "error")
        else:
            self.say(_("Written to {path}").format(path=path.relative_to(self.layout_of_run.project)))

    def action_export(self) -> None:
        """Ask for the options of another export."""

        def answered(choice: ExportChoice | None) -> None:
            if choice is not None:
                self.say(_("Starting the export"))
                self._export(choice)

        if self.result is not None:
            self.sft.ask_export(self.result.exported, answered)

    def _export(self, choice: ExportChoice) -> None:
        """Plan the export and launch a supervisor for it."""
        from sft_tui.run.lifecycle import export_again

        layout = self.layout_of_run
        self.jobs.start(
            "export",
            lambda _job: export_again(
                layout, size_gb=choice.size_gb, device=choice.device, verify=choice.verify, overwrite=True
            ),
            lambda _layout: self.sft.open_run(layout),
            refused=lambda problems: self.say(str(Refusal(problems)), "error"),
        )
