"""The fifth step: rows as they are read beside the samples that they become, and which are dropped and why."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.problems import Problem
from sft_tui.tui.look.text import clean
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.wizard.base import WizardScreen
from sft_tui.tui.wizard.records import as_content, as_text, as_tokens
from sft_tui.tui.wizard.statistics_words import guess_tokens

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset import PreviewPage, PreviewRow
    from sft_tui.factory.rendering import Rendered

PAGE = 50
SURVEY_ROWS = 1000
DROPS: dict[str, str] = {
    "empty_input": N_("no question"),
    "empty_output": N_("no answer"),
    "malformed": N_("unreadable"),
    "bad_roles": N_("turns out of order"),
    "duplicate": N_("occurs twice"),
}
"""Why rows are dropped, in words."""


class PreviewScreen(WizardScreen):
    """One row at a time; Left and Right go through them."""

    STEP = "preview"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "", show=False),
        Binding("right", "step(1)", N_("Rows"), key_display="←→"),
        Binding("n", "next_marked", N_("Next of these")),
        Binding("t", "statistics", N_("Statistics")),
        Binding("m", "tokens", N_("Tokens")),
        Binding("x", "dropped", N_("Dropped")),
        Binding("slash", "find", N_("Search")),
        Binding("g", "jump", N_("Go to")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.number = 1
        self._start = 1
        self._page: PreviewPage | None = None
        self._answers: Answers | None = None
        self._survey = ""
        self._broken = False
        self._mode = ""
        self._marked: tuple[int, ...] = ()
        self._mark = ""
        self._tokens = False

    def compose_body(self) -> ComposeResult:
        """Which row this is, the row, the sample."""
        yield Field(_("Search"), LineInput(id="preview-find"), help_id="preview.search", id="find-field")
        yield Static(_("reading"), id="preview-head", classes="title", markup=False)
        with Container(id="preview-columns"):
            with Vertical(classes="half"):
                yield Static(_("Row of the file"), classes="title", markup=False)
                yield Static("", id="preview-source", markup=False)
            with Vertical(classes="half"):
                yield Static(_("What the model learns from"), classes="title", markup=False)
                yield Static("", id="preview-sample", markup=False)

    def on_mount(self) -> None:
        """Read the first rows."""
        self.query_one("#find-field").display = False
        problems, self._answers = self.sft.draft.to_look_at()
        if self._answers is None:
            self._refuse(tuple(problems))
            return
        self._load(1, 1)
        page = partial(self.sft.services.preview, self._answers, self.sft.draft.base, self.sft.project, 1, SURVEY_ROWS)
        self.jobs.start("survey", lambda _job: page(), self._has_surveyed)
        self.sft.learn_lengths()

    # -- reading ------------------------------------------------------------------------------------------------------

    def _load(self, start: int, show: int) -> None:
        app, answers = self.sft, self._answers
        if answers is not None:
            page = partial(app.services.preview, answers, app.draft.base, app.project, start, PAGE)
            then = partial(self._has_loaded, start, show)
            self.jobs.start("page", lambda _job: page(), then, refused=self._refuse)

    def _has_loaded(self, start: int, show: int, page: PreviewPage) -> None:
        if page.rows:
            self._broken = False
            self._page, self._start = page, start
            self.number = max(start, min(show, start + len(page.rows) - 1))
            self._show()
        elif self._page is not None:
            self.say(_("There is no row {number}.").format(number=show), "warning")
        else:
            self.query_one("#preview-head", Static).update(_("The file has no rows."))

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        self._broken = True
        text = "\n".join(f"{p.message} {p.hint or ''}".strip() for p in problems)
        head = self.query_one("#preview-head", Static)
        head.update(Content(clean(f"{self.sft.signs.problem} {text}")))
        head.add_class("error")
        self.say(_("Esc goes back to the file and its columns."), "error")

    def _has_surveyed(self, page: PreviewPage) -> None:
        mean = guess_tokens([as_text(row.sample) for row in page.rows if row.sample is not None])
        if mean is not None:
            self.sft.tokens_known(MeanTokens(str(self.sft.draft.get("data.source")), mean, False))
        dropped = Counter(row.drop for row in page.rows if row.drop is not None)
        total = dropped.total()
        of = _("the first {count:,} rows") if page.more else _("{count:,} rows")
        of = of.format(count=len(page.rows))
        if not total:
            self._survey = _("None of {rows} is dropped.").format(rows=of)
        else:
            reasons = ", ".join(f"{_(DROPS.get(k, k))}: {n:,}" for k, n in sorted(dropped.items()))
            self._survey = _("Of {rows} {count:,} are dropped ({reasons}).").format(
                rows=of, count=total, reasons=reasons
            )
        if not self._broken:
            self.refresh_actions()

    # -- showing ------------------------------------------------------------------------------------------------------

    def _row(self) -> PreviewRow | None:
        index = self.number - self._start
        rows = self._page.rows if self._page is not None else ()
        return rows[index] if 0 <= index < len(rows) else None

    def _show(self) -> None:
        row, signs = self._row(), self.sft.signs
        if row is None:
            return
        total = self.sft.rows[1] if self.sft.rows and self.sft.rows[0] == self.sft.draft.get("data.source") else None
        where = _("Row {number:,} of {total:,}") if total else _("Row {number:,}")
        where = where.format(number=row.number, total=total or 0)
        if count := len(self.sft.draft.sources):
            where += _(", ") + _("source {number} of {count}").format(number=self.sft.draft.looked_at + 1, count=count)
        head = self.query_one("#preview-head", Static)
        if row.drop is None:
            head.update(Content(clean(f"{where}{self._marked_text()}  {signs.done} " + _("becomes a sample"))))
        else:
            text = _("is dropped: {reason}").format(reason=row.why or _(DROPS.get(row.drop, row.drop)))
            head.update(Content(clean(f"{where}  {signs.problem} {text}")))
        head.set_class(row.drop is not None, "warning")
        self.query_one("#preview-source", Static).update(as_content(row.source))
        sample = as_content(row.sample) if row.sample is not None else Content.styled(_("nothing"), "dim")
        self.query_one("#preview-sample", Static).update(sample)
        if self._tokens:
            self._ask_for_tokens(row)
        self.query_one("#body").scroll_home(animate=False)
        if not self._broken and not self.jobs.busy("tokens"):
            self.refresh_actions()

    def _marked_text(self) -> str:
        if self.number not in self._marked:
            return ""
        return f"  {self._mark} {self._marked.index(self.number) + 1}/{len(self._marked)}"

    def show_rows(self, label: str, rows: tuple[int, ...]) -> None:
        """Go to the first of `rows`, which are what `label` says; `n` goes on to the next."""
        self._mark, self._marked = label, rows
        self.refresh_bindings()
        if rows:
            self._go_to(rows[0])

    def action_next_marked(self) -> None:
        """`n`: the next of the rows that were chosen in the statistics."""
        after = [row for row in self._marked if row > self.number]
        if self._marked:
            self._go_to(after[0] if after else self._marked[0])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`n` only where there is something to go through."""
        return action != "next_marked" or bool(self._marked)

    def action_statistics(self) -> None:
        """`t`: what the rows are like as a whole."""
        if self._broken:
            self.say(_("These rows cannot be used: Esc goes back to the file and its columns."), "error")
        else:
            self.sft.open("statistics")

    def action_tokens(self) -> None:
        """`m`: the tokens that the model is trained on, or the sample again."""
        self._tokens = not self._tokens
        self._show()

    def _ask_for_tokens(self, row: PreviewRow) -> None:
        app, answers, page, machine = self.sft, self._answers, self._page, self.sft.machine
        if answers is None or page is None or row.sample is None:
            return
        path, place, services = app.draft.answers_path, self.number - self._start, app.services
        self.say(_("asking LLaMA-Factory for the tokens: about 10 seconds the first time"))
        self.jobs.start(
            "tokens",
            lambda _job: services.tokens(answers, path, machine or services.machine(), page, place),
            self._show_tokens,
            refused=self._search_failed,
            alone=True,
        )

    def _show_tokens(self, tokens: Rendered) -> None:
        if self._tokens:
            self.query_one("#preview-sample", Static).update(as_tokens(tokens))
            self.refresh_actions()

    def action_step(self, step: int) -> None:
        """Left and Right."""
        self._go_to(self.number + step)

    def _go_to(self, number: int) -> None:
        if number < 1:
            self.say(_("This is the first row."))
            return
        count = len(self._page.rows) if self._page is not None else 0
        if self._start <= number < self._start + count:
            self.number = number
            self._show()
        elif number >= self._start + count and self._page is not None and not self._page.more and count:
            self.say(_("The file ends at row {number:,}.").format(number=self._start + count - 1))
        else:
            self._load(max(1, number - PAGE // 2 if number < self._start else number), number)

    # -- looking for rows ---------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        """`/`: a text to look for."""
        self._ask("find", _("Search for"))

    def action_jump(self) -> None:
        """`g`: a row's number."""
        self._ask("jump", _("Go to row"))

    def _ask(self, mode: str, label: str) -> None:
        self._mode = mode
        field = self.query_one("#find-field", Field)
        field.label = label
        field.show("")
        field.display = True
        self.query_one("#body").scroll_home(animate=False)
        control = self.query_one("#preview-find", LineInput)
        control.value = ""
        self.set_focus(control)
        self.refresh_actions()

    def _close_question(self) -> None:
        self._mode = ""
        self.query_one("#find-field").display = False
        self.set_focus(None)
        self.focus_first()
        self.refresh_actions()

    def action_dropped(self) -> None:
        """`x`: the next row that is dropped."""
        self.say(_("looking for the next dropped row"))
        self._start_search("")

    def _answer_question(self) -> None:
        text = self.query_one("#preview-find", LineInput).value.strip()
        if self._mode == "jump":
            if not text.isdigit() or int(text) < 1:
                message = _("`{text}` is no row number; type a whole number from 1.").format(text=text)
                self.query_one("#find-field", Field).show(message, "error")
                return
            self._close_question()
            self._go_to(int(text))
        elif text:
            self._close_question()
            self.say(_("searching"))
            self._start_search(text)
        else:
            self._close_question()

    def _start_search(self, text: str) -> None:
        """The next row with `text` in it (or, for "", one that is left out)."""
        app, answers = self.sft, self._answers
        if answers is not None:
            find = partial(app.services.find_row, answers, app.draft.base, app.project, self.number, text)
            self.jobs.start("search", lambda job: find(job.check), self._has_found, refused=self._search_failed)

    def _has_found(self, row: int | None) -> None:
        if row is not None:
            self._go_to(row)
        else:
            self.say(_("Nothing more was found up to the end of the file."), "warning")

    def _search_failed(self, problems: tuple[Problem, ...]) -> None:
        self.say(" ".join(f"{p.message} {p.hint or ''}".strip() for p in problems), "error")

    # -- on and back --------------------------------------------------------------------------------------------------

    def primary(self) -> None:
        """Answer the question where one is asked, else go on."""
        if self._mode:
            self._answer_question()
        else:
            super().primary()

    def back(self) -> None:
        """Close the question where one is asked, else go back."""
        if self._mode:
            self._close_question()
        else:
            super().back()

    def check(self) -> bool:
        """A source that cannot be read leads back to it."""
        if self._broken:
            self.say(_("These rows cannot be used: Esc goes back to the file and its columns."), "error")
        return not self._broken

    def primary_label(self) -> str:
        """Enter goes on, or looks."""
        return _("Look") if self._mode else _("Continue")

    def next_text(self) -> str:
        """What is dropped, and what comes next."""
        return f"{self._survey} " + _("Next: the settings of the training")
