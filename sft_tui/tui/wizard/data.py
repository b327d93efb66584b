"""The fourth step: the file with the examples, and which of its columns is what."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity
from sft_tui.tui.jobs import Job
from sft_tui.tui.look.text import clean
from sft_tui.tui.look.values import holds_chinese, parse_typed, show_typed
from sft_tui.tui.widgets.choice import Item, Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.widgets.path_field import PathField
from sft_tui.tui.widgets.paths import sources_here
from sft_tui.tui.wizard.base import WizardScreen
from sft_tui.tui.wizard.data_more import TYPED, DataMore
from sft_tui.tui.wizard.source_view import (
    DEFAULT_TEST_SIZE,
    FORMATS,
    NONE,
    ROLES,
    TURNS_FORMATS,
    describe,
    first_values,
)
from sft_tui.tui.wizard.sources import source_text

if TYPE_CHECKING:
    from sft_tui.dataset import Progress, SourceInfo
    from sft_tui.tui.services import Services


WIDE = 110
"""From so many cells on, the first values stand beside the columns, as the style sheet has it."""
NUMBERS = ("max_samples", "test_size")
OF_THE_FILE = ("format", "columns", "sheet", "instruction", "system")
"""What is said about one file, and nothing about another."""


class DataScreen(WizardScreen):
    """A file; its format is detected and its columns are guessed."""

    STEP = "data"

    def __init__(self) -> None:
        super().__init__()
        self.info: SourceInfo | None = None
        self._inspected = ""
        self.rows: int | None = None
        self._touched: set[str] = set()
        self._about = ""
        self._asked = ""

    @property
    def waits(self) -> bool:
        """The file is being looked at."""
        return self.jobs.busy("inspect")

    # -- what is shown ------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The file; then, when it has been looked at, its columns and the rest."""
        draft = self.sft.draft
        self._about = str(draft.get("data.source", ""))
        self._touched = set() if self._about else {"data-test_size"}  # what is proposed for a new setup is written
        yield Static(_("Which examples should it learn from?"), classes="title", markup=False)
        yield PathField(
            _("File"),
            self._about,
            bases=(draft.base, self.sft.project),
            models=False,
            key="data.source",
            placeholder=_("json, jsonl, csv, tsv, parquet, xlsx, or a directory"),
            offers=partial(sources_here, self.sft.project),
            id="source",
        )
        yield Static("", id="rows", classes="note", markup=False)
        if (held := draft.get("data.eval")) is not None:
            text = _("Evaluated on: {source}").format(source=source_text(held))
            yield Static(clean(text, " "), classes="note", markup=False)
        with Container(id="data-columns"):
            with Vertical(id="mapping"):
                yield Static(_("Which column is what?"), classes="title", markup=False)
                formats = [Item(name, _(text)) for name, text in FORMATS.items()]
                yield Field(_("Sheet"), Chooser((), title=_("Sheet"), id="sheet"), key="data.sheet", id="sheet-field")
                yield Field(_("Format"), Chooser(formats, title=_("Format"), id="format"), key="data.format")
                for role, label, _needed in ROLES:
                    chooser = Chooser((), title=_(label), id=f"role-{role}")
                    yield Field(_(label), chooser, key=f"data.columns.{role}", id=f"role-field-{role}")
                yield from self._text_fields()
            with Vertical(id="first-values"):
                yield Static(_("Columns and first values"), classes="title", markup=False)
                yield Static("", id="values", classes="note", markup=False)
        yield DataMore(draft)

    def _text_fields(self) -> ComposeResult:
        draft = self.sft.draft
        fields = (
            ("instruction", _("Fixed instruction"), _("none"), ""),
            ("system", _("Fixed system prompt"), _("none"), ""),
            ("max_samples", _("Use at most"), _("all rows"), _("rows")),
            ("test_size", _("Keep for testing"), "0", _("share (0.1) or rows (100)")),
        )
        for name, label, placeholder, note in fields:
            proposed = DEFAULT_TEST_SIZE if name == "test_size" and not self._about else None
            value = draft.get(f"data.{name}", proposed)
            control = LineInput(show_typed(value), placeholder=placeholder, id=f"data-{name}", replace=name in NUMBERS)
            if note:
                control.add_class("number")
            yield Field(label, control, key=f"data.{name}", note=note, id=f"field-{name}")
        dedupe = Toggle(bool(draft.get("data.dedupe")), id="data-dedupe")
        yield Field(_("Drop repeated rows"), dedupe, key="data.dedupe")

    def on_mount(self) -> None:
        """Nothing but the file is asked before it has been looked at."""
        self.query_one("#data-columns").display = False
        self.query_one("#data-more").display = False
        if self._field.value:
            self._inspect(self._field.value)

    def first_field(self) -> Widget:
        """The file."""
        return self.query_one("#source-input")

    @property
    def _field(self) -> PathField:
        return self.query_one("#source", PathField)

    # -- looking at the file ------------------------------------------------------------------------------------------

    def _inspect(self, text: str) -> None:
        app, draft = self.sft, self.sft.draft
        services, base, project, sheet = app.services, draft.base, app.project, draft.get("data.sheet")
        self._asked = text
        self.jobs.start(
            "inspect",
            lambda _job: services.inspect_source(text, base, project, sheet),
            partial(self._has_inspected, text),
            refused=partial(self._has_inspected, text, None),
        )

    def _has_inspected(self, text: str, info: SourceInfo | None, problems: tuple[Problem, ...] = ()) -> None:
        self._inspected, self.info, self.rows = text, info, None
        if info is not None:
            self._forget_other_file(text)
        self.query_one("#data-columns").display = info is not None
        self.query_one("#data-more").display = info is not None
        if info is None:
            self._complain(problems)
            self.query_one("#rows", Static).update("")
        else:
            self._field.show(f"{self.sft.signs.done} {describe(info)}")
            self._show_sheets(info)
            self._show_format(info)
            self._show_values(info)
            self._propose_texts(info)
            self._start_counting(text, info)
            self._show_notes(info)
        self.refresh_actions()

    def _complain(self, problems: tuple[Problem, ...]) -> None:
        problem = next((p for p in problems if p.severity is Severity.ERROR), problems[0] if problems else None)
        if problem is not None:
            self._field.show(f"{problem.message} {problem.hint or ''}".strip(), "error")
            self.set_focus(self.query_one("#source-input"))

    def _show_notes(self, info: SourceInfo) -> None:
        problems = [*info.problems, *info.notes]
        if problems:
            text = "\n".join(f"{p.message} {_hint_here(p)}".strip() for p in problems[:3])
            role = "messages" if self._format in TURNS_FORMATS else "input"
            self.query_one(f"#role-field-{role}", Field).show(text, "warning")

    @property
    def _format(self) -> str:
        return self.query_one("#format", Chooser).value

    def _show_sheets(self, info: SourceInfo) -> None:
        self.query_one("#sheet-field").display = len(info.sheets) > 1
        items = [Item(name, clean(name, " ")) for name in info.sheets]
        self.query_one("#sheet", Chooser).set_items(items, info.sheet or "")

    def _show_format(self, info: SourceInfo) -> None:
        wanted = str(self.sft.draft.get("data.format", "auto"))
        self.query_one("#format", Chooser).value = info.format if wanted == "auto" else wanted
        names = [column.name for column in info.columns]
        items = [Item(NONE, _("(none)"))] + [Item(name, clean(name, " ")) for name in names]
        guess = info.mapping.mapped()
        for role, _label, _needed in ROLES:
            given = self.sft.draft.get(f"data.columns.{role}")
            value = given if given in names else guess.get(role, NONE)
            self.query_one(f"#role-{role}", Chooser).set_items(items, value)
            self.query_one(f"#role-field-{role}", Field).show("")
            if given is not None and given not in names:
                text = _("There is no column {name} in this file.").format(name=given)
                self.query_one(f"#role-field-{role}", Field).show(text, "warning")
        self._show_roles()

    def _show_roles(self) -> None:
        turns = self._format in TURNS_FORMATS
        for role, _label, _needed in ROLES:
            self.query_one(f"#role-field-{role}").display = (
                (role in ("messages", "system")) if turns else role != "messages"
            )
        self.query_one("#field-instruction").display = not turns

    def on_resize(self) -> None:
        """Other widths, other cuts."""
        if self.info is not None:
            self._show_values(self.info)

    def _show_values(self, info: SourceInfo) -> None:
        cells = self.app.size.width
        width = max(30, cells // 2 - 6) if cells >= WIDE else max(30, min(100, cells - 6))
        self.query_one("#values", Static).update("\n".join(first_values(info, width, self.sft.signs)))

    def _propose_texts(self, info: SourceInfo) -> None:
        """Offer the guide's fixed texts where the rows have none, in the language of the rows: `=` takes them."""
        from sft_tui.answers import DEFAULT_INSTRUCTION, DEFAULT_SYSTEM

        chinese = any(holds_chinese(value) for column in info.columns for value in column.values)
        texts = {
            "instruction": DEFAULT_INSTRUCTION if chinese else "Answer the question accurately.",
            "system": DEFAULT_SYSTEM if chinese else "You are a helpful assistant.",
        }
        for name, text in texts.items():
            field = self.query_one(f"#field-{name}", Field)
            field.suggestion = text if name not in info.mapping.mapped() else None
            self.query_one(f"#data-{name}", LineInput).placeholder = (
                _("none; = takes: {text}").format(text=text) if field.suggestion else _("none")
            )
            self._say_of_text(name)

    def _say_of_text(self, name: str) -> None:
        text = _("It stands in every sample, so it must be given again whenever the model is used.")
        self.query_one(f"#field-{name}", Field).show(text if self.query_one(f"#data-{name}", LineInput).value else "")

    def _forget_other_file(self, source: str) -> None:
        """What was said about the columns of another file does not hold for `source`."""
        if self._about and source != self._about:
            for key in OF_THE_FILE:
                self.sft.draft.set(f"data.{key}", None)
            for name in ("instruction", "system"):
                self.query_one(f"#data-{name}", LineInput).value = ""
        self._about = source

    # -- counting -----------------------------------------------------------------------------------------------------

    def _start_counting(self, text: str, info: SourceInfo) -> None:
        if info.rows is not None:
            self._has_counted(text, info.rows)
            return
        app = self.sft
        count = partial(_count, app.services, text, app.draft.base, app.project, info.sheet)
        self.jobs.start("count", count, partial(self._has_counted, text), told=self._counts)

    def _counts(self, now: Progress) -> None:
        text = _("counting rows: {rows:,}").format(rows=now.rows)
        if now.bytes_total:
            share = now.bytes_read / now.bytes_total
            text += f" {self.sft.signs.bar(share, 20)} {share:.0%}"
        self.query_one("#rows", Static).update("  " + text)

    def _has_counted(self, text: str, rows: int) -> None:
        self.rows = rows
        self.sft.rows = (text, rows)
        self.query_one("#rows", Static).update("  " + _("{rows:,} rows").format(rows=rows))

    # -- the answers --------------------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.input.id == "source-input":
            if self._field.value != self._asked:
                self.jobs.cancel("inspect")
                self.jobs.cancel("count")
            self._field.show("")
            self.refresh_actions()
        elif event.input.has_focus:
            self._touched.add(str(event.input.id))
            self._check_texts()
            if event.input.id in ("data-instruction", "data-system"):
                self._say_of_text(str(event.input.id).removeprefix("data-"))

    @on(Chooser.Changed)
    def _chosen(self, event: Chooser.Changed) -> None:
        if event.chooser.id == "format":
            self._show_roles()
        elif event.chooser.id == "sheet":
            self.sft.draft.set("data.sheet", event.chooser.value)
            self._inspect(self._field.value)
        for field in event.chooser.ancestors:
            if isinstance(field, Field):
                field.show("")
                break

    def store(self) -> None:
        """The source, the mapping, the fixed texts, the sizes."""
        draft = self.sft.draft
        source = self._field.value
        if source:
            self._forget_other_file(source)
        draft.set("data.source", source)
        if self.info is None or self._inspected != source:
            return
        guess = self.info.mapping.mapped()
        detected = self.info.format
        draft.set("data.format", self._format if self._format != detected else None)
        if self._format == "columns":
            draft.set("data.format", "columns")
        for role, _label, _needed in ROLES:
            value = self.query_one(f"#role-{role}", Chooser).value
            shown = self.query_one(f"#role-field-{role}").display
            keep = shown and value != NONE and (value != guess.get(role) or self._format == "columns")
            draft.set(f"data.columns.{role}", value if keep else None)
        for name in ("instruction", "system", "max_samples", "test_size"):
            if f"data-{name}" in self._touched:
                text = self.query_one(f"#data-{name}", LineInput).value
                draft.set(f"data.{name}", parse_typed(text) if name in NUMBERS else text.strip())
        if not self.query_one("#field-instruction").display:
            draft.set("data.instruction", None)
        draft.set("data.dedupe", self.query_one("#data-dedupe", Toggle).value or None)
        self.query_one(DataMore).store(draft)

    def _check_texts(self) -> bool:
        """Show what is wrong with the numbers at their fields; whether nothing is."""
        self.store()
        problems, _answers = self.sft.draft.complete_enough()
        by_key = {p.key: p for p in problems}
        first: Widget | None = None
        for name in ("max_samples", "test_size", *TYPED):
            field = next(f for f in self.query(Field) if f.key == f"data.{name}")
            problem = by_key.get(field.key)
            field.show(self._sentence(field, problem) if problem else "", "error" if problem else "")
            first = first or (field.control if problem else None)
            if problem and name in TYPED:
                self.query_one(DataMore).set_open(True)
        return first is None

    def _sentence(self, field: Field, problem: Problem) -> str:
        return f"{field.label}: {problem.message} {problem.hint or ''}".strip()

    def check(self) -> bool:
        """Every role that the format needs has a column; the numbers are numbers."""
        turns = self._format in TURNS_FORMATS
        for role, label, needed in ROLES:
            field = self.query_one(f"#role-field-{role}", Field)
            if not needed or not field.display or (role == "input" and not turns and self._has_instruction()):
                continue
            if self.query_one(f"#role-{role}", Chooser).value == NONE:
                text = _("{label}: no column is chosen. Left and Right choose one, Space lists them.")
                field.show(text.format(label=_(label)), "error")
                self.set_focus(field.control)
                return False
        if not self._check_texts():
            control = next(f for f in self.query(Field) if f.failed).control
            self.call_after_refresh(self.set_focus, control)
            self.call_after_refresh(self.call_after_refresh, control.scroll_visible, animate=False)
            return False
        return True

    def _has_instruction(self) -> bool:
        return self.query_one("#role-instruction", Chooser).value != NONE

    def primary(self) -> None:
        """First look at the file, then go on."""
        text = self._field.value
        if not text:
            message = _("No file is given. Type its path (Tab completes) or press F4 to choose one.")
            self._field.show(message, "error")
            self.set_focus(self.query_one("#source-input"))
        elif self.info is None or self._inspected != text:
            self.say(_("Reading {file}").format(file=clean(text, " ")))
            self._inspect(text)
        else:
            super().primary()

    def primary_label(self) -> str:
        """Enter first reads the file."""
        ready = self.info is not None and self._inspected == self._field.value
        return _("Continue") if ready or not self._field.value else _("Read it")

    def next_text(self) -> str:
        """What comes next."""
        if self.info is None or self._inspected != self._field.value:
            return _("The file is only read. Its columns are shown next.")
        return _("Check the columns. Next: see what the samples become")


def _hint_here(problem: Problem) -> str:
    """The hint of `problem`; where that is for the command line, what to do here."""
    hint = problem.hint or ""
    return _("Choose the columns here: Left and Right change one, Space lists all.") if "--" in hint else hint


def _count(services: Services, text: str, base: Path, project: Path, sheet: str | None, job: Job) -> int:
    """In a thread: the number of rows, telling twice a second how far it is."""
    return services.count_rows(text, base, project, sheet, job.now_and_then())
