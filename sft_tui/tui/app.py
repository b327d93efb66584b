"""The app: one screen at a time, imported when it is shown, and the few things that all screens share."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.filter import Monochrome, NoColor
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.widgets import Input

from sft_tui.i18n import N_, _, language_from_environment, set_language
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.problems import ExitCode, Refusal
from sft_tui.tui.background import Crashed, CrashHook, Task, in_background
from sft_tui.tui.draft import Draft, kept_draft
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.services import Machine, Services
from sft_tui.tui.signs import UNICODE, AsciiScrollBar, Signs
from sft_tui.tui.statistics import TokensKnown
from sft_tui.tui.widgets.bars import STEPS, KeyBar
from sft_tui.tui.widgets.cover import Cover, too_small

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset.stats.data_statistics import Statistics
    from sft_tui.project.layout import RunLayout
    from sft_tui.tui.widgets.choice import Item

SCREEN_CLASSES = {
    "welcome": "WelcomeScreen",
    "gpu": "GpuScreen",
    "model": "ModelScreen",
    "data": "DataScreen",
    "sources": "SourcesScreen",
    "preview": "PreviewScreen",
    "config": "ConfigScreen",
    "review": "ReviewScreen",
    "run": "RunScreen",
    "result": "ResultScreen",
    "runs": "RunsScreen",
    "help": "HelpScreen",
    "options": "OptionsScreen",
    "pick": "PickScreen",
    "files": "FilesScreen",
    "statistics": "StatisticsScreen",
    "memory": "MemoryScreen",
}
"""Screen names, which are module names in `sft_tui.tui.screens`, and their classes."""


class SftApp(App[int]):
    """The wizard and the screens of runs.

    Screens find here: `project` (the directory that runs belong to), `draft` (the answers so far), `services` (the rest
    of the program), `signs` (what to draw with), `farewell` (lines printed after the end).
    """

    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "sft-tui"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help_field", N_("Help"), id="help"),
        Binding("f2", "language", N_("中文"), id="language"),
        Binding("f3", "runs", N_("Runs"), id="runs"),
        Binding("f10", "leave", N_("Quit"), id="quit"),
        Binding("ctrl+q", "leave", "", show=False, priority=True),
        Binding("ctrl+c", "leave", "", show=False, priority=True),
        Binding("ctrl+o", "report", N_("Save report"), show=False),
        Binding("ctrl+p", "commands", N_("Commands"), show=False),
    ]

    def __init__(
        self,
        project: Path,
        *,
        draft: Draft | None = None,
        services: Services | None = None,
        signs: Signs = UNICODE,
        theme: str = "ansi-dark",
        language: str | None = None,
        start: Callable[[SftApp], None] | None = None,
    ) -> None:
        self.language = language or language_from_environment()
        set_language(self.language)
        self.project = project
        self.draft = draft or Draft(project, answers_path=project / "answers.yaml")
        self.services = services or Services()
        self.signs = signs
        self.farewell: list[str] = []
        self.kept, self.set_aside = kept_draft(project) if draft is None else (None, None)
        self.machine: Machine | None = None
        self.rows: tuple[str, int] | None = None
        self.statistics: dict[tuple[str, ...], Statistics] = {}
        self.mean_tokens: MeanTokens | None = None
        self._lengths_asked: set[str] = set()
        self._start = start
        self._hook = CrashHook(self)
        ScrollBar.renderer = AsciiScrollBar if signs.ascii else ScrollBarRender
        super().__init__()
        if (
            self.no_color
        ):  # the base chose the filter by its own theme; ours has the terminal's colours, which have no grey
            self._filters = [NoColor() if isinstance(each, Monochrome) else each for each in self._filters]
        self.animation_level = "none"
        self.theme = theme

    def make(self, name: str, *arguments: Any) -> BaseScreen:
        """A new screen of the kind `name`; its module is imported now."""
        if name == "data" and self.draft.sources:
            name = "sources"
        module = import_module(f"sft_tui.tui.screens.{name}")
        screen = getattr(module, SCREEN_CLASSES[name])(*arguments)
        assert isinstance(screen, BaseScreen)
        return screen

    def on_mount(self) -> None:
        """Open what was asked for on the command line, or the wizard's first step."""
        self._hook.install()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                asyncio.get_running_loop().add_signal_handler(number, self.told_to_go)
        self.screen_change_signal.subscribe(self, lambda _screen: self.call_later(self._cover))
        if self._start is not None:
            self._start(self)
        else:
            self.push_screen(self.make("welcome"))

    def on_resize(self) -> None:
        """Cover what does not fit any more, and uncover it when it does."""
        self.call_later(self._cover)

    def _cover(self) -> None:
        screen, small = self.screen, too_small(self.size)
        covers = screen.query(Cover)
        if not small:
            covers.remove()
        elif covers:
            covers.first().refresh()
        elif screen.is_mounted:
            screen.mount(Cover())

    async def on_event(self, event: events.Event) -> None:
        """While a screen is covered, only what is typed into a field and leaving reach it: nothing starts unseen.

        What is typed while leaving reaches none.
        """
        if self._exit and isinstance(event, events.Key):
            return
        if isinstance(event, events.Key) and not event.is_forwarded and too_small(self.size):
            types = isinstance(self.focused, Input) and (event.is_printable or event.key == "backspace")
            if not types and event.key not in ("f10", "ctrl+q", "ctrl+c"):
                return
        await super().on_event(event)

    def on_unmount(self) -> None:
        """Errors in threads are no longer ours."""
        self._hook.remove()

    @on(Crashed)
    def _crashed(self, event: Crashed) -> None:
        if isinstance(event.error, OSError) and event.error.errno == errno.EIO:
            self.told_to_go()  # the terminal went away while something was drawn on it
        else:
            raise event.error

    @on(TokensKnown)
    def _tokens_known(self, event: TokensKnown) -> None:
        known = self.mean_tokens
        if known is not None and known.source == event.tokens.source and known.counted:
            return
        self.mean_tokens = event.tokens
        if isinstance(self.screen, BaseScreen):
            self.screen.tokens_known()

    def learn_lengths(self) -> None:
        """Count quietly how long the samples are, once for each source and model: memory and time rest on it."""
        _problems, answers = self.draft.complete_enough()
        mark = repr((answers.data, answers.model)) if answers is not None else ""
        if answers is not None and mark not in self._lengths_asked:
            self._lengths_asked.add(mark)
            in_background(self, _count_tokens, self, answers)

    # -- moving between screens -------------------------------------------------------------------------------------

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

    def open(self, name: str, *arguments: Any) -> None:
        """Show the screen `name` over the present one; Esc comes back."""
        if isinstance(self.screen, BaseScreen):
            self.screen.store()
        self.push_screen(self.make(name, *arguments))

    def pick(self, title: str, items: Sequence[Item], value: str | None, then: Callable[[str | None], None]) -> None:
        """Let the user choose one of `items` on a screen of its own; `then` gets its id, or None."""
        self.push_screen(self.make("pick", title, items, value), then)

    def browse(self, value: str, bases: Sequence[Path], models: bool, then: Callable[[str | None], None]) -> None:
        """Let the user choose a model directory or a file from a list; `then` gets its path, or None."""
        self.push_screen(self.make("files", value, bases, models), then)

    def leave_overlay(self) -> None:
        """Close the topmost screen; the first one stays, because Esc never leaves the app."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def open_run(self, layout: RunLayout) -> None:
        """Show a run as it is; replaces a wizard screen, covers the list of runs."""
        self.switch_screen(self.make("run", layout))

    def open_result(self, layout: RunLayout) -> None:
        """Show what a finished run has made."""
        self.switch_screen(self.make("result", layout))

    def start_from(self, layout: RunLayout, key: str | None = None) -> None:
        """Open the wizard with the answers of a run: at the field `key` (dotted path), or at its beginning."""
        from sft_tui.tui.draft import draft_from_file

        draft, _problems = draft_from_file(self.project, layout.answers)
        draft.set("run", None)
        draft.set("run.dir", None)  # it led from runs/<run> to the project
        draft.answers_path = self.project / "answers.yaml"
        self.draft = draft
        step = step_of_key(key)
        self.show_wizard(step, *([key] if step == "config" else []))

    def new_draft(self) -> None:
        """Begin with empty answers."""
        self.draft = Draft(self.project, answers_path=self.project / "answers.yaml")

    def try_demo(self) -> None:
        """Begin with the answers of the demo that ships with sft-tui, and show what they are."""
        from sft_tui.tui.demo import demo_draft

        self.draft = demo_draft(self.project)
        self.go("gpu")

    def show_wizard(self, step: str, *arguments: Any) -> None:
        """Leave all overlays and show the wizard's `step`."""
        while len(self.screen_stack) > 2:
            self.pop_screen()
        self.switch_screen(self.make(step, *arguments))

    def show_step(self, step: str) -> None:
        """Go to the wizard's `step` from anywhere; what the present screen holds is kept."""
        self.keep(step)
        self.show_wizard(step)

    def keep(self, step: str | None = None) -> None:
        """Store what the present screen holds and save the draft."""
        if isinstance(self.screen, BaseScreen) and self.screen.is_mounted and self.is_running:
            self.screen.store()
        self.draft.save(step)

    # -- keys that work everywhere ----------------------------------------------------------------------------------

    def action_help_field(self) -> None:
        """F1: help for the focused field, with the keys that work there."""
        screen = self.screen
        if isinstance(screen, BaseScreen) and type(screen).__name__ != "HelpScreen":
            bars = screen.query(KeyBar)
            keys = [(name, text) for bar in bars for _key, name, text in bar.shown_keys(translated=False)]
            self.push_screen(self.make("help", screen.help_topic(), keys))

    def action_report(self) -> None:
        """Ctrl+O: write what can be attached to an issue, and say where it is."""
        path = self.write_report(None)
        if path is not None and isinstance(self.screen, BaseScreen):
            self.screen.say(_("A report for an issue was written, without names and secrets: {path}").format(path=path))

    def write_report(self, error: BaseException | None) -> Path | None:
        """Write a report about the present screen and `error`; it is named again after the end."""
        from sft_tui.tui.report import Moment, write_report

        screen = self.screen if self.screen_stack else None
        messages = screen.messages() if isinstance(screen, BaseScreen) else ()
        path = write_report(Moment(self.project, type(screen).__name__, messages, self.draft.data, error))
        if path is not None:
            self.farewell.append(_("Report: {path}").format(path=path))
        return path

    def _handle_exception(self, error: Exception) -> None:
        """An error that nobody expected: leave in order, with a report in a file instead of a traceback."""
        if self._exit and isinstance(error, NoMatches):
            return  # a key or an answer arrived while the screens are being taken down
        first = self._exception is None
        self._return_code = 1
        if first:
            self._exception = error
            self._exception_event.set()
            self.farewell.append(
                _("An error in sft-tui itself ended the screens; a run that is on goes on without them.")
            )
            self.write_report(error)
            self.farewell += self._goodbye()
        self._close_messages_no_wait()

    def action_language(self) -> None:
        """F2: the other language; the screen is made anew from what it holds, and those below when they are seen."""
        if not isinstance(self.screen, BaseScreen):
            return
        self.language = "en" if self.language == "zh_CN" else "zh_CN"
        set_language(self.language)
        self.in_new_language()

    def in_new_language(self) -> None:
        """Make the present screen anew; one that gives an answer back is closed without an answer."""
        screen = self.screen
        if not isinstance(screen, BaseScreen):
            return
        self.keep()
        if screen.REMADE:
            self.switch_screen(screen.again())
        else:
            screen.back()

    def action_runs(self) -> None:
        """F3: the runs of this project."""
        if type(self.screen).__name__ != "RunsScreen":
            self.open("runs")

    def action_commands(self) -> None:
        """Ctrl+P: everything that can be done from anywhere, by name."""
        from sft_tui.tui.commands import commands

        self.pick(_("Commands"), commands(self), None, self._run_command)

    def _run_command(self, command: str | None) -> None:
        if command is not None:
            from sft_tui.tui.commands import run_command

            run_command(self, command)

    def action_leave(self) -> None:
        """F10: leave; a run that is on goes on, a half-finished wizard is kept."""
        self.keep()
        self.farewell.extend(self._goodbye())
        self.exit(0)

    def told_to_go(self) -> None:
        """By a signal, or because the terminal went away: as by F10, with the exit code of who is interrupted."""
        self.action_leave()
        self.exit(int(ExitCode.INTERRUPTED))

    def _goodbye(self) -> list[str]:
        from sft_tui.project.state import present_status, read_state

        lines = []
        for layout in self.services.runs(self.project)[:20]:
            state = read_state(layout)
            if state is not None and not present_status(state).final:
                text = _("The run {run} goes on without this window. To see it again: sft-tui attach {run}")
                lines.append(text.format(run=layout.name))
        return lines


def _count_tokens(task: Task, app: SftApp, answers: Answers) -> None:
    """In a thread of the app, which goes on when the screen that asked has been left."""
    try:
        found = app.services.count_tokens(answers, app.draft.answers_path)
    except Refusal:
        return
    if found is not None:
        task.post(TokensKnown(found))


STEP_OF_SECTION = {
    "hardware": "gpu",
    "model": "model",
    "preset": "model",
    "data": "data",
    "train": "config",
    "export": "config",
    "on_failure": "config",
    "run": "config",
}
"""The step of the wizard on which each section of the answers is given."""


def step_of_key(key: str | None) -> str:
    """The wizard's step on which the answer `key` is given; the first one of them where it is not known."""
    return STEP_OF_SECTION.get((key or "").partition(".")[0], "gpu")
