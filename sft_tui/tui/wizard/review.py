"""The seventh step: everything that will be run and written, before anything is."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.plan.assess import Assessment, Assessor
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.problems import Problem, Refusal
from sft_tui.project.layout import RunLayout
from sft_tui.tui.services import Services
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.widgets.tabs import Page, TabBar, Tabs
from sft_tui.tui.wizard.base import CostScreen
from sft_tui.tui.wizard.draft import Draft
from sft_tui.tui.wizard.review_pages import HUB, MEMORY, problem_lines, review_pages


class ReviewScreen(CostScreen):
    """Pages with the plan; Enter starts it."""

    STEP = "review"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", N_("Save answers")),
        Binding("f", "force", N_("Start anyway")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: Assessment | None = None
        self._looked_at: dict[str, Any] = {}
        self._starting = False
        self._saving = False
        self._overwrite: str | None = None
        self._there: RunLayout | None = None

    @property
    def waits(self) -> bool:
        """The run is being started."""
        return self._starting

    def compose_body(self) -> ComposeResult:
        """Where to save (hidden), and the pages."""
        yield Field(_("Save the answers as"), LineInput(id="save-path"), help_id="review.save", id="save-field")
        yield Static(_("looking at everything once more"), id="review-wait", classes="note", markup=False)
        yield Tabs(id="review-tabs")

    def on_mount(self) -> None:
        """Look at everything once more."""
        self.query_one("#save-field").display = False
        self._look_again()

    def _look_again(self) -> None:
        app, draft = self.sft, self.sft.draft
        known = app.rows
        rows = known[1] if known is not None and known[0] == draft.get("data.source") else None
        data = deepcopy(draft.data)
        look = partial(_assess, app.services, data, draft.answers_path, rows, app.mean_tokens)
        self.jobs.start("assess", lambda _job: look(), partial(self._has_assessed, data), alone=True)

    def first_field(self) -> Widget:
        """The pages."""
        return self.query_one(TabBar)

    def _has_assessed(self, data: dict[str, Any], found: tuple[Assessment, str]) -> None:
        self.found, info = found
        self._looked_at = data
        self.query_one("#review-wait").display = False
        pages = review_pages(self.found, info, self.size.width - 4, self.sft.signs)
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
        self.found, self._there = None, None
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
        elif self._there is not None:
            self.sft.open_run(self._there)
        elif self._only_memory:
            self.action_memory()
        elif self._errors:
            self.sft.show_answer(next((p.key for p in self._errors if p.key), None))
        else:
            self._begin(force=False)

    def _begin(self, *, force: bool) -> None:
        if self.found is not None and not self._starting:
            self._starting = True
            self.say(_("starting"))
            start = partial(_start, self.sft.services, self.found, force, self.sft.draft)
            self.jobs.start("start", lambda _job: start(), self._has_started, refused=self._not_started)

    def action_force(self) -> None:
        """`f`: start though the memory seems too small or the hub does not answer, after asking."""
        lines = [problem.message for problem in self._errors]
        if any(problem.code == MEMORY for problem in self._errors):
            lines.append(_("If the memory runs out, the training ends with an error; nothing that was there is lost."))
        if any(problem.code in HUB for problem in self._errors):
            lines.append(_("If the model cannot be loaded, the training ends with an error."))
        self.sft.confirm(_("Start all the same?"), lines, _("start anyway"), partial(self._begin, force=True))

    @property
    def _errors(self) -> list[Problem]:
        return self.found.errors if self.found is not None else []

    def _not_started(self, problems: tuple[Problem, ...]) -> None:
        self._starting = False
        plan = self.found.plan if self.found is not None else None
        if plan is not None and any(problem.code == "already_running" for problem in problems):
            self._there = RunLayout(Path(plan.project), plan.run)
        lines = problem_lines(problems, max(40, self.size.width - 4), self.sft.signs)
        tabs = self.query_one(Tabs)
        tabs.set_pages([Page(_("Summary"), Content("\n").join(lines)), *tabs.pages[1:]])
        tabs.show(0)
        self.say(_("It was not started; nothing was written."), "error")

    def _has_started(self, layout: RunLayout) -> None:
        self._starting = False
        self.sft.new_draft()
        self.sft.kept = None
        self.sft.open_run(layout)

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
        if self._there is not None:
            return _("Watch it")
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


def _assess(
    services: Services, data: dict[str, Any], path: Path, rows: int | None, tokens: MeanTokens | None
) -> tuple[Assessment, str]:
    """In a thread: what the answers amount to with all that speaks against it, and the entries of dataset_info.json."""
    found = Assessor(services.gpus).assess(data, path, rows, deep=True, tokens=tokens)
    try:
        return found, services.dataset_info(found)
    except Refusal as refusal:
        return found, str(refusal)


def _start(services: Services, found: Assessment, force: bool, draft: Draft) -> RunLayout:
    """In a thread: begin the run. The draft is finished here, because the window may be closed before anybody hears."""
    layout = services.start(found, force=force)
    draft.finish()
    return layout
