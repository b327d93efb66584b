"""What the examples are like as a whole, over the preview: lengths, doubtful rows, and what to set because of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.problems import Problem, Refusal
from sft_tui.tui import statistics as words
from sft_tui.tui.background import Task, in_background
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.text import clean
from sft_tui.tui.widgets.lines import Lines, ReadingLines

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset import Progress
    from sft_tui.dataset.stats.content_checks import Finding
    from sft_tui.dataset.stats.data_statistics import Statistics, Suggestion
    from sft_tui.tui.app import SftApp

EVERY_S = 0.5
LETTERS = "abcdefghij"
ROWS_SHOWN = 6


class StatisticsScreen(BaseScreen):
    """Letters show the rows of what is doubtful, digits set what is suggested and take it back."""

    HELP_ID = "statistics"
    CSS_PATH = "statistics.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again_from_start", N_("Count again")),
    ]

    class Counted(Message):
        """How far it is."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Done(Message):
        """What was found, or why nothing was."""

        def __init__(self, job: words.Job | None, found: Statistics | None, problems: tuple[Problem, ...] = ()) -> None:
            super().__init__()
            self.job = job
            self.found = found
            self.problems = problems

    def __init__(self) -> None:
        super().__init__()
        self.found: Statistics | None = None
        self.job: words.Job | None = None
        self._counting: Task | None = None
        self._set: dict[str, Any] = {}
        self._to_look_at: list[tuple[str, Finding]] = []
        self._suggested: tuple[Suggestion, ...] = ()

    def compose_body(self) -> ComposeResult:
        """How far it is, then what was found."""
        yield Static("", id="statistics-wait", classes="note", markup=False)
        yield ReadingLines(id="statistics-lines")
        yield Lines(id="statistics-found")

    def heading(self) -> str:
        """What the top line says."""
        return _("Statistics of the examples")

    def on_mount(self) -> None:
        """Begin to count, or show what was counted before."""
        super().on_mount()
        self._begin()

    def on_unmount(self) -> None:
        """Nobody waits any more."""
        if self._counting is not None:
            self._counting.cancel()

    def first_field(self) -> Widget | None:
        """What is read."""
        return self.query_one(ReadingLines)

    # -- counting -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether it is still being counted."""
        return self._counting is not None

    def _begin(self) -> None:
        problems, answers = self.sft.draft.to_look_at()
        if answers is None:
            self._done(self.Done(None, None, tuple(problems)))
            return
        self._wait(_("looking for what is known already"))
        self._counting = in_background(self, self._look, self.sft, answers)
        self.refresh_bindings()
        self.refresh_actions()

    def _look(self, task: Task, app: SftApp, answers: Answers) -> None:
        """In a thread: the cached statistics of the same rows, or those of all rows."""
        last = 0.0

        def progress(now: Progress) -> None:
            nonlocal last
            if task.cancelled:
                raise _Cancelled
            if time.monotonic() - last >= EVERY_S:
                last = time.monotonic()
                task.post(self.Counted(_progress_text(now, app.signs)))

        try:
            machine = app.machine or app.services.machine()
            job = app.services.statistics_job(answers, app.draft.answers_path, machine)
            found = app.statistics.get(job.mark)
            if found is None:
                if job.model is not None and job.python is not None:
                    task.post(self.Counted(_("starting the model's tokenizer and template: about 10 seconds")))
                found = app.services.statistics(job, progress)
        except Refusal as refusal:
            task.post(self.Done(None, None, refusal.problems))
        except _Cancelled:
            pass
        else:
            task.post(self.Done(job, found))

    @on(Counted)
    def _counted(self, event: Counted) -> None:
        if self._counting is not None:
            self._wait(event.text)

    def _wait(self, text: str) -> None:
        box = self.query_one("#statistics-wait", Static)
        box.display = True
        box.update(Content(clean(text)))

    @on(Done)
    def _done(self, event: Done) -> None:
        self._counting = None
        if event.found is None or event.job is None:
            self._wait("\n".join(f"{p.message} {p.hint or ''}".strip() for p in event.problems))
            self.query_one("#statistics-wait").add_class("error")
        else:
            self.found, self.job = event.found, event.job
            self.sft.statistics[event.job.mark] = event.found
            tokens = event.found.tokens
            if tokens is not None and tokens.rows:
                source = str(self.sft.draft.get("data.source"))
                self.sft.post_message(words.TokensKnown(MeanTokens(source, tokens.mean, True)))
            self.query_one("#statistics-wait").display = False
            self._show()
        self.refresh_bindings()
        self.refresh_actions()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Counting again makes sense once it is over."""
        return action != "again_from_start" or self._counting is None

    def action_again_from_start(self) -> None:
        """`r`: count once more, whatever is known."""
        if self._counting is None:
            if self.job is not None:
                self.sft.statistics.pop(self.job.mark, None)
            self.query_one("#statistics-wait").remove_class("error")
            self.query_one(ReadingLines).show([])
            self.query_one("#statistics-found", Lines).show([])
            self.found = None
            self._begin()

    # -- showing ------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        found, job = self.found, self.job
        if found is None or job is None:
            return
        self._to_look_at = words.to_look_at(found)
        self._suggested = words.suggested(found, job)
        cutoff = words.whole(self._options.get("cutoff_len"), job.cutoff_len)
        lines = words.overview(found, job, self.sft.signs, cutoff)
        if count := len(self.sft.draft.sources):
            lines.insert(0, _("source {number} of {count}").format(number=self.sft.draft.looked_at + 1, count=count))
        self.query_one(ReadingLines).show([Content(clean(line)) for line in lines])
        self.query_one("#statistics-found", Lines).show([*self._suggestion_lines(), Content(""), *self._doubts()])
        if self.focused is None:
            self.focus_first()

    def _doubts(self) -> list[Content]:
        if not self._to_look_at:
            return [Content(f"{self.sft.signs.done} " + _("No doubtful answer and no likely personal data was found."))]
        lines = [Content.styled(_("To look at (a letter goes to the rows):"), "bold")]
        for letter, (label, finding) in zip(LETTERS, self._to_look_at, strict=False):
            rows = ", ".join(f"{row:,}" for row in finding.rows[:ROWS_SHOWN])
            more = ", " + self.sft.signs.ellipsis if finding.count > ROWS_SHOWN else ""
            text = _("{what}: {count:,} (rows {rows})").format(what=label, count=finding.count, rows=rows + more)
            lines.append(Content(clean(f"  {letter}  {text}")))
        return lines

    def _suggestion_lines(self) -> list[Content]:
        if not self._suggested:
            return []
        signs = self.sft.signs
        lines = [Content.styled(_("Suggested (a number sets it, and again takes it back):"), "bold")]
        for number, suggestion in enumerate(self._suggested, 1):
            key, value = suggestion.key, words.shown_value(suggestion.value)
            before = words.shown_value(self._options.get(key))
            if key in self._set:
                text, sign = _("{key}: {value} is set").format(key=key, value=value), signs.done
            elif words.already(suggestion, self._options):
                text, sign = _("{key}: {value}, as it is").format(key=key, value=value), " "
            else:
                text, sign = _("{key}: {value} (now {before})").format(key=key, value=value, before=before), " "
            style = "$success bold" if key in self._set else ""
            lines.append(Content.styled(f"{sign} {number}  {text}", style))
            lines.append(Content.styled(f"     {suggestion.text}", "dim"))
        return lines

    @property
    def _options(self) -> dict[str, Any]:
        """The training's options as they are with what was set here."""
        options = dict(self.job.options) if self.job is not None else {}
        return options | dict(self.sft.draft.get("train", {}) or {})

    # -- keys ---------------------------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Digits set, letters show rows."""
        character = event.character or ""
        if not character or self.found is None:
            return
        if character in "123456789"[: len(self._suggested)]:
            event.stop()
            self._apply(self._suggested[int(character) - 1])
        elif character in LETTERS[: len(self._to_look_at)]:
            event.stop()
            label, finding = self._to_look_at[LETTERS.index(character)]
            self._go_to(label, tuple(finding.rows))

    def _apply(self, suggestion: Suggestion) -> None:
        draft, key = self.sft.draft, f"train.{suggestion.key}"
        value = words.shown_value(suggestion.value)
        if suggestion.key in self._set:
            draft.set(key, self._set.pop(suggestion.key))
            self.say(_("Taken back: {key}.").format(key=suggestion.key))
        elif words.already(suggestion, self._options):
            self.say(_("{key} is {value} already.").format(key=suggestion.key, value=value))
        else:
            self._set[suggestion.key] = draft.get(key)
            draft.set(key, suggestion.value)
            text = _("Set: {key}: {value}. It stands in the settings, where it can be changed.")
            self.say(text.format(key=suggestion.key, value=value))
        draft.save()
        self._show()

    def _go_to(self, label: str, rows: tuple[int, ...]) -> None:
        from sft_tui.tui.screens.preview import PreviewScreen

        self.sft.leave_overlay()
        below = self.sft.screen
        if isinstance(below, PreviewScreen):
            below.show_rows(label, rows)

    # -- on and back --------------------------------------------------------------------------------------------------

    def primary(self) -> None:
        """Enter goes back to the preview."""
        self.back()

    def primary_label(self) -> str:
        """What Enter does."""
        return _("Cancel") if self._counting is not None else _("Back")

    def next_text(self) -> str:
        """What can be done here."""
        if self._counting is not None:
            return _("Every row is looked at; the file is only read. Esc cancels.")
        return _("Back to the rows. What is set here stands in the settings.") if self.found is not None else ""


def _progress_text(now: Progress, signs: Any) -> str:
    text = _("looking at the rows: {rows:,}").format(rows=now.rows)
    if not now.bytes_total:
        return text
    share = min(1.0, now.bytes_read / now.bytes_total)
    text += f" {signs.bar(share, 20)} {share:.0%}"
    return text + (" " + _("(adding up the tokens)") if share >= 1 else "")


class _Cancelled(Exception):
    """Nobody waits any more."""
