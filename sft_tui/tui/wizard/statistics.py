"""What the examples are like as a whole, over the preview: lengths, doubtful rows, and what to set because of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.problems import Problem
from sft_tui.tui.jobs import Job
from sft_tui.tui.look.text import clean
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.lines import Lines, ReadingLines
from sft_tui.tui.wizard import statistics_words as words

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset import Progress
    from sft_tui.dataset.stats.content_checks import Finding
    from sft_tui.dataset.stats.data_statistics import Statistics, Suggestion
    from sft_tui.tui.services import Machine, Services

LETTERS = "abcdefghij"
ROWS_SHOWN = 6


class StatisticsScreen(BaseScreen):
    """Letters show the rows of what is doubtful, digits set what is suggested and take it back."""

    HELP_ID = "statistics"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again_from_start", N_("Count again")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: Statistics | None = None
        self.job: words.Job | None = None
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
        self._begin()

    def first_field(self) -> Widget | None:
        """What is read."""
        return self.query_one(ReadingLines)

    # -- counting -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether it is still being counted."""
        return self.jobs.busy("count")

    def _begin(self) -> None:
        app = self.sft
        problems, answers = app.draft.to_look_at()
        if answers is None:
            self._refuse(tuple(problems))
            return
        self._wait(_("looking for what is known already"))
        look = partial(_look, app.services, app.machine, answers, app.draft.answers_path, dict(app.statistics))
        self.jobs.start("count", look, self._done, refused=self._refuse, told=self._progress)
        self.refresh_bindings()
        self.refresh_actions()

    def _progress(self, now: Progress | None) -> None:
        text = _("starting the model's tokenizer and template: about 10 seconds")
        self._wait(text if now is None else _progress_text(now, self.sft.signs))

    def _wait(self, text: str) -> None:
        box = self.query_one("#statistics-wait", Static)
        box.display = True
        box.update(Content(clean(text)))

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        self._wait("\n".join(f"{p.message} {p.hint or ''}".strip() for p in problems))
        self.query_one("#statistics-wait").add_class("error")
        self.refresh_bindings()
        self.refresh_actions()

    def _done(self, result: tuple[words.Job, Statistics]) -> None:
        self.job, self.found = result
        self.sft.statistics[self.job.mark] = self.found
        tokens = self.found.tokens
        if tokens is not None and tokens.rows:
            self.sft.tokens_known(MeanTokens(str(self.sft.draft.get("data.source")), tokens.mean, True))
        self.query_one("#statistics-wait").display = False
        self._show()
        self.refresh_bindings()
        self.refresh_actions()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Counting again makes sense once it is over."""
        return action != "again_from_start" or not self.waiting

    def action_again_from_start(self) -> None:
        """`r`: count once more, whatever is known."""
        if not self.waiting:
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
        self.sft.save_draft()
        self._show()

    def _go_to(self, label: str, rows: tuple[int, ...]) -> None:
        from sft_tui.tui.wizard.preview import PreviewScreen

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
        return _("Cancel") if self.waiting else _("Back")

    def next_text(self) -> str:
        """What can be done here."""
        if self.waiting:
            return _("Every row is looked at; the file is only read. Esc cancels.")
        return _("Back to the rows. What is set here stands in the settings.") if self.found is not None else ""


def _progress_text(now: Progress, signs: Any) -> str:
    text = _("looking at the rows: {rows:,}").format(rows=now.rows)
    if not now.bytes_total:
        return text
    share = min(1.0, now.bytes_read / now.bytes_total)
    text += f" {signs.bar(share, 20)} {share:.0%}"
    return text + (" " + _("(adding up the tokens)") if share >= 1 else "")


def _look(
    services: Services,
    machine: Machine | None,
    answers: Answers,
    path: Path,
    known: Mapping[tuple[str, ...], Statistics],
    job: Job,
) -> tuple[words.Job, Statistics]:
    """In a thread: the known statistics of the same rows, or those of all rows. Tells None before a slow start."""
    asked = services.statistics_job(answers, path, machine or services.machine())
    found = known.get(asked.mark)
    if found is None:
        if asked.model is not None and asked.python is not None:
            job.tell(None)
        found = services.statistics(asked, job.now_and_then())
    return asked, found
