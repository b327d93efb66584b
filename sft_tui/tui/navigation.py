"""The ways from screen to screen. A screen's module is imported when it is shown first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App

from sft_tui.tui.jobs import Jobs
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.steps import STEPS, step_of_key
from sft_tui.tui.wizard.draft import Draft

if TYPE_CHECKING:
    from sft_tui.project.layout import RunLayout
    from sft_tui.tui.runs.export import ExportChoice
    from sft_tui.tui.widgets.choice import Item

SCREENS = {
    "welcome": ("wizard.welcome", "WelcomeScreen"),
    "gpu": ("wizard.gpu", "GpuScreen"),
    "model": ("wizard.model", "ModelScreen"),
    "data": ("wizard.data", "DataScreen"),
    "sources": ("wizard.sources", "SourcesScreen"),
    "preview": ("wizard.preview", "PreviewScreen"),
    "statistics": ("wizard.statistics", "StatisticsScreen"),
    "memory": ("wizard.memory", "MemoryScreen"),
    "config": ("wizard.config", "ConfigScreen"),
    "review": ("wizard.review", "ReviewScreen"),
    "run": ("runs.run", "RunScreen"),
    "runs": ("runs.runs", "RunsScreen"),
    "result": ("runs.result", "ResultScreen"),
    "log": ("runs.log", "LogScreen"),
    "chart": ("runs.chart", "ChartScreen"),
    "gpus": ("runs.gpus", "GpusScreen"),
    "export": ("runs.export", "ExportScreen"),
    "confirm": ("dialogs.confirm", "ConfirmScreen"),
    "pick": ("dialogs.pick", "PickScreen"),
    "files": ("dialogs.files", "FilesScreen"),
    "options": ("dialogs.options", "OptionsScreen"),
    "help": ("dialogs.help", "HelpScreen"),
}
"""Screens by name: their module in `sft_tui.tui`, and their class."""


class Navigation(App[int]):
    """An app that moves between the screens of the wizard, those of runs, and what is shown over them."""

    project: Path
    draft: Draft
    jobs: Jobs
    saved: str = ""

    def make(self, name: str, *arguments: Any) -> Any:
        """A new screen of the kind `name`; its module is imported now."""
        if name == "data" and self.draft.sources:
            name = "sources"
        module, screen = SCREENS[name]
        return getattr(import_module(f"sft_tui.tui.{module}"), screen)(*arguments)

    # -- the wizard ---------------------------------------------------------------------------------------------------

    def go(self, name: str, *arguments: Any) -> None:
        """Replace the present screen by the wizard's step `name`, after storing what the present one holds."""
        self.keep(name)
        self.switch_screen(self.make(name, *arguments))

    def go_step(self, offset: int) -> None:
        """Go `offset` steps through the wizard from the present screen."""
        names = [name for name, _label in STEPS]
        step = self.screen.STEP if isinstance(self.screen, BaseScreen) else ""
        if step in names:
            wanted = names.index(step) + offset
            if 0 <= wanted < len(names):
                self.go(names[wanted])

    def show_wizard(self, step: str, *arguments: Any) -> None:
        """Leave all overlays and show the wizard's `step`."""
        while len(self.screen_stack) > 2:
            self.pop_screen()
        self.switch_screen(self.make(step, *arguments))

    def show_step(self, step: str) -> None:
        """Go to the wizard's `step` from anywhere; what the present screen holds is kept."""
        self.keep(step)
        self.show_wizard(step)

    def show_answer(self, key: str | None) -> None:
        """Go to the step on which the answer `key` is given, at its field where that step has many."""
        step = step_of_key(key)
        self.go(step, *([key] if step == "config" and key else []))

    def keep(self, step: str | None = None) -> None:
        """Store what the present screen holds and save the draft, which waits for no disk."""
        if isinstance(self.screen, BaseScreen) and self.screen.is_mounted and self.is_running:
            self.screen.store()
        self.save_draft(step)

    def save_draft(self, step: str | None = None) -> None:
        """Save the draft in the background."""
        write, self.saved = self.draft.to_be_saved(step), repr(self.draft.data)
        self.jobs.start("draft", lambda _job: write(), lambda _nothing: None)

    def new_draft(self) -> None:
        """Begin with empty answers."""
        self.draft = Draft(self.project, answers_path=self.project / "answers.yaml")

    def try_demo(self) -> None:
        """Begin with the answers of the demo that ships with sft-tui, and show what they are."""
        from sft_tui.tui.wizard.demo import demo_draft

        self.draft = demo_draft(self.project)
        self.go("gpu")

    def start_from(self, layout: RunLayout, key: str | None = None) -> None:
        """Open the wizard with the answers of a run: at the field `key` (dotted path), or at its beginning."""
        from sft_tui.tui.wizard.draft import draft_from_file

        draft, _problems = draft_from_file(self.project, layout.answers)
        draft.set("run", None)  # its `dir` led from runs/<run> to the project
        draft.answers_path = self.project / "answers.yaml"
        self.draft = draft
        step = step_of_key(key)
        self.show_wizard(step, *([key] if step == "config" else []))

    # -- runs ---------------------------------------------------------------------------------------------------------

    def open_run(self, layout: RunLayout) -> None:
        """Show a run as it is; replaces a wizard screen, covers the list of runs."""
        self.switch_screen(self.make("run", layout))

    def open_result(self, layout: RunLayout) -> None:
        """Show what a finished run has made."""
        self.switch_screen(self.make("result", layout))

    def open_runs(self) -> None:
        """Show the list of runs in place of one of them."""
        self.switch_screen(self.make("runs"))

    def open_log(self, layout: RunLayout, stage: str) -> None:
        """Show the logs of a run over it, that of `stage` first."""
        self.push_screen(self.make("log", layout, stage))

    def open_chart(self, layout: RunLayout) -> None:
        """Show the large chart of a run over it."""
        self.push_screen(self.make("chart", layout))

    # -- what is shown over another screen ----------------------------------------------------------------------------

    def open(self, name: str, *arguments: Any) -> None:
        """Show the screen `name` over the present one; Esc comes back."""
        if isinstance(self.screen, BaseScreen):
            self.screen.store()
        self.push_screen(self.make(name, *arguments))

    def leave_overlay(self) -> None:
        """Close the topmost screen; the first one stays, because Esc never leaves the app."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def confirm(self, question: str, lines: Sequence[str], yes: str, then: Callable[[], None]) -> None:
        """Ask `question`, explained by `lines`; `yes` says what Enter does, and `then` is called if that was chosen."""
        self.push_screen(self.make("confirm", question, lines, yes), lambda agreed: then() if agreed else None)

    def pick(self, title: str, items: Sequence[Item], value: str | None, then: Callable[[str | None], None]) -> None:
        """Let the user choose one of `items` on a screen of its own; `then` gets its id, or None."""
        self.push_screen(self.make("pick", title, items, value), then)

    def browse(self, value: str, bases: Sequence[Path], models: bool, then: Callable[[str | None], None]) -> None:
        """Let the user choose a model directory or a file from a list; `then` gets its path, or None."""
        self.push_screen(self.make("files", value, bases, models), then)

    def choose_option(self, factory: Any, options: dict[str, Any], then: Callable[[str | None], None]) -> None:
        """Let the user choose one of the options of `factory`, shown with their values in `options`."""
        self.push_screen(self.make("options", factory, options), then)

    def ask_export(self, replaces: bool, then: Callable[[ExportChoice | None], None]) -> None:
        """Ask for the options of another export; `replaces`: a merged model is there already."""
        self.push_screen(self.make("export", replaces), then)
