"""All logs of a run at full size: search, line numbers, any length."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import N_, _
from sft_tui.project.layout import RunLayout
from sft_tui.tui.look.text import clean
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.bars import KeyBar, StepBar
from sft_tui.tui.widgets.full_log import FullLog
from sft_tui.tui.widgets.lines import Lines
from sft_tui.tui.widgets.log_view import LogView
from sft_tui.view.outcome import stage_name
from sft_tui.view.watch import STAGES

LOGS = (*STAGES, "supervisor")
SUPERVISOR = N_("supervisor")


class LogScreen(BaseScreen):
    """One log at a time; digits choose which. Esc goes back to where it was opened from."""

    HELP_ID = "log"

    def __init__(self, layout: RunLayout, stage: str = "train") -> None:
        super().__init__()
        self.layout_of_run = layout
        self.stage = stage if stage in LOGS else "train"

    def compose(self) -> ComposeResult:
        """The logs there are, and the chosen one."""
        yield StepBar("", self.layout_of_run.name)
        with Vertical(id="log-main"):
            yield Lines(id="log-names")
            path = self._path(self.stage)
            yield FullLog(path, path.name)
        yield KeyBar()

    def on_mount(self) -> None:
        """Say which logs there are."""
        self._show_names()

    def first_field(self) -> Widget:
        """The log."""
        return self.query_one(LogView)

    def again(self) -> BaseScreen:
        """The same log."""
        return LogScreen(self.layout_of_run, self.stage)

    def primary_label(self) -> str:
        """There is no other way on from here."""
        return _("Back")

    def primary(self) -> None:
        """Enter goes back."""
        self.back()

    def _path(self, stage: str) -> Path:
        return self.layout_of_run.supervisor_log if stage == "supervisor" else self.layout_of_run.stage_log(stage)

    def _show_names(self) -> None:
        parts: list[Content] = []
        for number, stage in enumerate(LOGS, 1):
            name = _(SUPERVISOR) if stage == "supervisor" else stage_name(stage)
            here = stage == self.stage
            mark = self.sft.signs.here if here else " "
            missing = "" if self._path(stage).exists() else " " + _("(none)")
            parts.append(Content.styled(f"{mark}{number} {clean(name)}{missing}", "bold" if here else ""))
        self.query_one("#log-names", Lines).show([Content("  ").join(parts)])

    def on_key(self, event: events.Key) -> None:
        """A digit opens that log."""
        if event.character and event.character in "12345"[: len(LOGS)]:
            event.stop()
            self.stage = LOGS[int(event.character) - 1]
            path = self._path(self.stage)
            self.query_one(FullLog).open(path, path.name)
            self._show_names()
