"""The seventh step: everything that will be run and written, before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.plan.assess import Assessment, Assessor
from sft_tui.problems import Problem, Refusal
from sft_tui.project.layout import RunLayout
from sft_tui.tui.app import step_of_key
from sft_tui.tui.cost_screen import CostScreen, copied
from sft_tui.tui.draft import Draft
from sft_tui.tui.review_pages import HUB, MEMORY, problem_lines, review_pages
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.widgets.tabs import Page, TabBar, Tabs


class ReviewScreen(CostScreen):
    """Pages with the plan; Enter starts it."""

    STEP = "review"
    CSS_PATH = "review.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", N_("Save answers")),
        Binding("f", "force", N_("Start anyway")),
        Binding("pageup", "scroll(-1)", "", show=False),
        Binding("pagedown", "scroll(1)", "", show=False),
    ]

    class Assessed(Message):
        """What the answers amount to, with everything that speaks against it."""

        def __init__(self, found: Assessment, info: str, data: dict[str, Any]) -> None:
            super().__init__()
            self.found = found
            self.info = info
            self.data = data

    class Started(Message):
        """The run has begun, or why it has not."""

        def __init__(self, layout: RunLayout | None, problems: tuple[Problem, ...]) -> None:
            super().__init__()
            self.layout = layout
            self.problems = problems

    def __init__(self) -> None:
        super().__init__()
        self.found: Assessment | None = None
        self._looked_at: dict[str, Any] = {}
        self._starting = False
        self._saving = False
        self._overwrite: str | None = None
        self._refused: tuple[Problem, ...] = ()

    def compose_body(self) -> ComposeResult:
        """Where to save (hidden), and the pages."""
        yield Field(_("Save the answers as"), LineInput(id="save-path"), help_id="review.save", id="save-field")
        yield Static(_("looking at everything once more"), id="review-wait", classes="note", markup=False)
        yield Tabs(id="review-tabs")

    def on_mount(self) -> None:
        """Look at everything once more."""
        self.query_one("#save-field").display = False
        super().on_mount()
        self._look_again()

    def _look_again(self) -> None:
        rows = self.sft.rows
        source = self.sft.draft.get("data.source")
        self._assess(copied(self.sft.draft.data), rows[1] if rows is not None and rows[0] == source else None)

    def first_field(self) -> Widget:
        """The pages."""
        return self.query_one(TabBar)

    @work(thread=True, group="assess", exclusive=True)
    def _assess(self, data: dict[str, Any], rows: int | None) -> None:
        assessor, path, tokens = Assessor(self.sft.services.gpus), self.sft.draft.answers_path, self.sft.mean_tokens
        found = assessor.assess(data, path, rows, deep=True, tokens=tokens)
        info = ""
        try:
            info = self.sft.services.dataset_info(found)
        except Refusal as refusal:
            info = str(refusal)
        self.post_message(self.Assessed(found, info, data))

    @on(Assessed)
    def _has_assessed(self, event: Assessed) -> None:
        if event.data != self.sft.draft.data:
            return  # the answers are others by now, and are being looked at
        self.found, self._looked_at = event.found, event.data
        self.query_one("#review-wait").display = False
        pages = review_pages(event.found, event.info, self.size.width - 4, self.sft.signs)
        self.query_one(Tabs).set_pages(pages)
        self.refresh_bindings()
        self.refresh_actions()

    @property
    def fit(self) -> str:
        """What the estimate says."""
        plan = self.found.plan if self.found is not None else None
        return plan.estimate.fit if plan is not None and plan.estimate is not None else ""

    def draft_changed(self) -> None:
        """Everything once more with the other training options."""
        self.found, self._refused = None, ()
        self.query_one("#review-wait").display = True
        self.refresh_actions()
        self._look_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Starting anyway makes sense where nothing but an estimate or a hub is in the way."""
        return self._forceable if action == "force" else super().check_action(action, parameters)

    @property
    def _forceable(self) -> bool:
        """Whether what is in the way may turn out not to be."""
        return bool(self._errors) and all(problem.code in {MEMORY, *HUB} for problem in self._errors)

    @property
    def _only_memory(self) -> bool:
        """Whether the estimate of the memory is all that is in the way."""
        return bool(self._errors) and all(problem.code == MEMORY for problem in self._errors)

    def action_scroll(self, direction: int) -> None:
        """PgUp and PgDn."""
        body = self.query_one("#body")
        if direction < 0:
            body.scroll_page_up(animate=False)
        else:
            body.scroll_page_down(animate=False)

    # -- saving -------------------------------------------------------------------------------------------------------

    def action_save(self) -> None:
        """`s`: write the answers to a file without starting."""
        if self.found is None or self.found.answers is None:
            self.say(_("The answers have mistakes; put them right first."), "error")
            return
        self._saving, self._overwrite = True, None
        field = self.query_one("#save-field", Field)
        field.display = True
        field.show("")
        control = self.query_one("#save-path", LineInput)
        control.value = str(self._proposal())
        self.query_one("#body").scroll_home(animate=False)
        self.set_focus(control)
        self.refresh_actions()

    def _proposal(self) -> Path:
        draft = self.sft.draft
        if draft.opened_from is not None:
            return draft.opened_from
        return draft.answers_path

    def _save(self) -> None:
        from sft_tui.answers import dump_answers
        from sft_tui.project.files import write_atomically

        field = self.query_one("#save-field", Field)
        text = self.query_one("#save-path", LineInput).value.strip()
        path = (self.sft.project / Path(text).expanduser()).absolute()
        if not text or path.is_dir():
            field.show(_("Type the name of a file, for example answers.yaml."), "error")
            return
        if path.exists() and self._overwrite != text:
            self._overwrite = text
            field.show(_("{path} exists. Enter again overwrites it.").format(path=path), "warning")
            return
        assert self.found is not None and self.found.answers is not None
        try:
            write_atomically(path, dump_answers(self._moved(path)))
        except OSError as error:
            field.show(_("{path} cannot be written: {reason}.").format(path=path, reason=error.strerror), "error")
            return
        self._close_saving()
        self.say(_("Saved. To run it: sft-tui --non-interactive {path}").format(path=path))

    def _moved(self, path: Path) -> Any:
        """The answers with paths that hold where the file is written."""
        found, draft = self.found, self.sft.draft
        assert found is not None and found.answers is not None and found.situation is not None
        answers = found.answers
        if path.parent == draft.base.absolute():
            return answers
        from sft_tui.plan.sources import located, parts_of

        model = str(found.situation.model.directory or answers.model.path)
        answers = located(answers, parts_of(answers, found.situation))
        run = answers.run.model_copy(update={"dir": str(found.situation.project)})
        return answers.model_copy(update={"model": answers.model.model_copy(update={"path": model}), "run": run})

    def _close_saving(self) -> None:
        self._saving = False
        self.query_one("#save-field").display = False
        self.set_focus(self.query_one(TabBar))
        self.refresh_actions()

    # -- starting -----------------------------------------------------------------------------------------------------

    def primary(self) -> None:
        """Save where that was asked for; lead to the first mistake; or start."""
        if self._saving:
            self._save()
        elif self.found is None or self._starting:
            self.say(_("one moment"))
        elif self._looked_at != self.sft.draft.data:
            self.draft_changed()
        elif self._only_memory:
            self.action_memory()
        elif self._errors:
            key = next((p.key for p in self._errors if p.key), None)
            step = step_of_key(key)
            self.sft.go(step, *([key] if step == "config" and key else []))
        else:
            self._begin(force=False)

    def _begin(self, *, force: bool) -> None:
        if self.found is not None and not self._starting:
            self._starting = True
            self.say(_("starting"))
            self._start_run(self.found, force, self.sft.draft)

    def action_force(self) -> None:
        """`f`: start though the memory seems too small or the hub does not answer, after asking."""
        from sft_tui.tui.screens.confirm import ConfirmScreen

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._begin(force=True)

        lines = [problem.message for problem in self._errors]
        if any(problem.code == MEMORY for problem in self._errors):
            lines.append(_("If the memory runs out, the training ends with an error; nothing that was there is lost."))
        if any(problem.code in HUB for problem in self._errors):
            lines.append(_("If the model cannot be loaded, the training ends with an error."))
        self.app.push_screen(ConfirmScreen(_("Start all the same?"), lines, _("start anyway")), answered)

    @property
    def _errors(self) -> list[Problem]:
        return [*self._refused, *(self.found.errors if self.found is not None else [])]

    @work(thread=True, group="start", exclusive=True)
    def _start_run(self, found: Assessment, force: bool, draft: Draft) -> None:
        try:
            layout = self.sft.services.start(found, force=force)
        except Refusal as refusal:
            self.post_message(self.Started(None, refusal.problems))
            return
        draft.finish()  # here, because the window may be closed before the message arrives
        self.post_message(self.Started(layout, ()))

    @on(Started)
    def _has_started(self, event: Started) -> None:
        self._starting = False
        if event.layout is None:
            width = max(40, self.size.width - 4)
            lines = problem_lines(event.problems, width, self.sft.signs)
            tabs = self.query_one(Tabs)
            tabs.set_pages([Page(_("Summary"), Content("\n").join(lines)), *tabs.pages[1:]])
            tabs.show(0)
            self.say(_("It was not started; nothing was written."), "error")
            return
        self.sft.new_draft()
        self.sft.kept = None
        self.sft.open_run(event.layout)

    def back(self) -> None:
        """Close the question, or go back."""
        if self._saving:
            self._close_saving()
        elif not self._starting:
            super().back()

    def primary_label(self) -> str:
        """Start, unless something is in the way."""
        if self._saving:
            return _("Save")
        if self.found is None:
            return _("Wait")
        if self._only_memory:
            return _("What helps")
        return _("Put it right") if self._errors else _("Start training")

    def next_text(self) -> str:
        """What Start does."""
        if self._saving or self.found is None:
            return ""
        if self.notice:
            return self.notice
        if self._only_memory:
            return _("It seems not to fit: F7 makes it fit, f starts anyway.")
        if self._errors:
            return _("{count} in the way of starting. Enter leads there.").format(count=len(self._errors))
        return _("Start writes the files and trains. Closing this window does not stop it.")
