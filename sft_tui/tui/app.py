"""The app: one screen at a time, imported when it is shown, and the few things that all screens share."""

from __future__ import annotations

import asyncio
import errno
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.filter import Monochrome, NoColor
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.widgets import Input

from sft_tui.i18n import N_, _, language_from_environment, set_language
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.problems import ExitCode
from sft_tui.tui.jobs import Crashed, CrashHook, Jobs
from sft_tui.tui.look.signs import UNICODE, AsciiScrollBar, Signs
from sft_tui.tui.navigation import Navigation
from sft_tui.tui.screen import BaseScreen, help_topic
from sft_tui.tui.services import Machine, Services
from sft_tui.tui.typeahead import TypeAhead
from sft_tui.tui.widgets.bars import KeyBar
from sft_tui.tui.widgets.cover import Cover, too_small
from sft_tui.tui.wizard.draft import Draft, kept_draft

if TYPE_CHECKING:
    from sft_tui.dataset.stats.data_statistics import Statistics


DISK_S = 1.0
"""So long leaving waits for the disk on which the draft is kept."""


class SftApp(Navigation):
    """The wizard and the screens of runs.

    Screens find here: `project` (the directory that runs belong to), `draft` (the answers so far), `services` (the rest
    of the program), `signs` (what to draw with), `farewell` (lines printed after the end).
    """

    CSS_PATH = Path(__file__).with_name("style.tcss")
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
        Binding("ctrl+p", "commands", N_("Commands")),
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
        self._lengths_asked = ""
        self.jobs = Jobs(self)
        self.typeahead = TypeAhead(self)
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
        if isinstance(event, events.Key) and not event.is_forwarded and self.typeahead.hold(event):
            return
        await super().on_event(event)

    async def type_key(self, key: events.Key) -> None:
        """Handle a key that was held."""
        await super().on_event(key)

    def on_unmount(self) -> None:
        """Errors in threads are no longer ours, nor is what was started for answers."""
        self.services.close()
        self._hook.remove()

    @on(Crashed)
    def _crashed(self, event: Crashed) -> None:
        if isinstance(event.error, OSError) and event.error.errno == errno.EIO:
            self.told_to_go()  # the terminal went away while something was drawn on it
        else:
            raise event.error

    def tokens_known(self, tokens: MeanTokens) -> None:
        """The samples are so long; a guess does not replace what was counted."""
        known = self.mean_tokens
        if known is not None and known.source == tokens.source and known.counted:
            return
        self.mean_tokens = tokens
        if isinstance(self.screen, BaseScreen):
            self.screen.tokens_known()

    def learn_lengths(self) -> None:
        """Count quietly how long the samples are, once for each source and model: memory and time rest on it."""
        _problems, answers = self.draft.complete_enough()
        mark = repr((answers.data, answers.model)) if answers is not None else ""
        if answers is not None and mark != self._lengths_asked:
            self._lengths_asked = mark
            count = partial(self.services.count_tokens, answers, self.draft.answers_path)
            self.jobs.start("lengths", lambda _job: count(), self._lengths_counted)

    def _lengths_counted(self, tokens: MeanTokens | None) -> None:
        if tokens is not None:
            self.tokens_known(tokens)

    # -- keys that work everywhere ----------------------------------------------------------------------------------

    def action_help_field(self) -> None:
        """F1: help for the focused field, with the keys that work there."""
        screen = self.screen
        if getattr(screen, "HELP_ID", "") != "help":
            bars = screen.query(KeyBar)
            keys = [(name, text) for bar in bars for _key, name, text in bar.shown_keys(translated=False)]
            self.push_screen(self.make("help", help_topic(screen), keys))

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
        from sft_tui.tui.dialogs.commands import commands

        self.pick(_("Commands"), commands(self), None, self._run_command)

    def _run_command(self, command: str | None) -> None:
        if command is not None:
            from sft_tui.tui.dialogs.commands import run_command

            run_command(self, command)

    def action_leave(self) -> None:
        """F10: leave; a run that is on goes on, a half-finished wizard is kept."""
        self.keep()
        saving = threading.Thread(target=self.draft.to_be_saved(), daemon=True)
        saving.start()
        saving.join(DISK_S)
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
