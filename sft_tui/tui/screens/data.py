"""The fourth step: the file with the examples, and which of its columns is what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from sft_tui.i18n import _
from sft_tui.problems import Problem, Refusal, Severity
from sft_tui.tui.background import Task, in_background
from sft_tui.tui.screen import WizardScreen
from sft_tui.tui.screens.sources import source_text
from sft_tui.tui.source_view import DEFAULT_TEST_SIZE, FORMATS, NONE, ROLES, TURNS_FORMATS, describe, first_values
from sft_tui.tui.text import clean
from sft_tui.tui.values import holds_chinese, parse_typed, show_typed
from sft_tui.tui.widgets.choice import Item, Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.data_more import TYPED, DataMore
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.widgets.path_field import PathField

if TYPE_CHECKING:
    from sft_tui.dataset import Progress, SourceInfo
    from sft_tui.tui.app import SftApp


class DataScreen(WizardScreen):
    """A file; its format is detected and its columns are guessed."""

    STEP = "data"
    CSS_PATH = "data.tcss"

    class Inspected(Message):
        """What the head of the source shows, or why it cannot be read."""

        def __init__(self, text: str, info: SourceInfo | None, problems: tuple[Problem, ...]) -> None:
            super().__init__()
            self.text = text
            self.info = info
            self.problems = problems

    class Counted(Message):
        """How far the counting is; `rows` once it is done."""

        def __init__(self, text: str, seen: int, share: float | None, rows: int | None) -> None:
            super().__init__()
            self.text = text
            self.seen = seen
            self.share = share
            self.rows = rows

    def __init__(self) -> None:
        super().__init__()
        self.info: SourceInfo | None = None
        self._inspected = ""
        self.rows: int | None = None
        self._touched: set[str] = set()
        self._counting: Task | None = None

    # -- what is shown ------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The file; then, when it has been looked at, its columns and the rest."""
        draft = self.sft.draft
        yield Static(_("Which examples should it learn from?"), classes="title", markup=False)
        yield PathField(
            _("File"),
            str(draft.get("data.source", "")),
            bases=(draft.base, self.sft.project),
            models=False,
            key="data.source",
            placeholder=_("json, jsonl, csv, tsv, parquet, xlsx, or a directory"),
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
            value = draft.get(f"data.{name}", DEFAULT_TEST_SIZE if name == "test_size" else None)
            control = LineInput(show_typed(value), placeholder=placeholder, id=f"data-{name}")
            if note:
                control.add_class("number")
            yield Field(label, control, key=f"data.{name}", note=note, id=f"field-{name}")
        dedupe = Toggle(bool(draft.get("data.dedupe")), id="data-dedupe")
        yield Field(_("Drop repeated rows"), dedupe, key="data.dedupe")

    def on_mount(self) -> None:
        """Nothing but the file is asked before it has been looked at."""
        self.query_one("#data-columns").display = False
        self.query_one("#data-more").display = False
        super().on_mount()
        if self._field.value:
            self._inspect(self._field.value)

    def first_field(self) -> Widget:
        """The file."""
        return self.query_one("#source-input")

    @property
    def _field(self) -> PathField:
        return self.query_one("#source", PathField)

    # -- looking at the file ------------------------------------------------------------------------------------------

    @work(thread=True, group="inspect", exclusive=True)
    def _inspect(self, text: str) -> None:
        app = self.sft
        try:
            info = app.services.inspect_source(text, app.draft.base, app.project, app.draft.get("data.sheet"))
        except Refusal as refusal:
            self.post_message(self.Inspected(text, None, refusal.problems))
            return
        self.post_message(self.Inspected(text, info, info.problems))

    @on(Inspected)
    def _has_inspected(self, event: Inspected) -> None:
        if event.text != self._field.value:
            return
        self._inspected, self.info, self.rows = event.text, event.info, None
        info = event.info
        self.query_one("#data-columns").display = info is not None
        self.query_one("#data-more").display = info is not None
        if info is None:
            self._complain(event.problems)
            self.query_one("#rows", Static).update("")
        else:
            self._field.show(f"{self.sft.signs.done} {describe(info)}")
            self._show_sheets(info)
            self._show_format(info)
            self._show_values(info)
            self._fill_texts(info)
            self._start_counting(event.text, info)
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

    def _show_values(self, info: SourceInfo) -> None:
        width = max(30, self.size.width // 2 - 6) if self.has_class("-wide") else max(30, min(100, self.size.width - 6))
        self.query_one("#values", Static).update("\n".join(first_values(info, width, self.sft.signs)))

    def _fill_texts(self, info: SourceInfo) -> None:
        """The guide's fixed texts where the rows have none, in the language of the rows."""
        draft = self.sft.draft
        if info.format != "columns" or draft.get("data.source") or self._touched:
            return
        from sft_tui.answers import DEFAULT_INSTRUCTION, DEFAULT_SYSTEM

        chinese = any(holds_chinese(value) for column in info.columns for value in column.values)
        texts = {
            "instruction": DEFAULT_INSTRUCTION if chinese else "Answer the question accurately.",
            "system": DEFAULT_SYSTEM if chinese else "You are a helpful assistant.",
        }
        mapped = info.mapping.mapped()
        for name, text in texts.items():
            if name not in mapped:
                self.query_one(f"#data-{name}", LineInput).value = text

    # -- counting -----------------------------------------------------------------------------------------------------

    def _start_counting(self, text: str, info: SourceInfo) -> None:
        if info.rows is not None:
            self._has_counted(self.Counted(text, info.rows, 1.0, info.rows))
        else:
            if self._counting is not None:
                self._counting.cancel()
            self._counting = in_background(self, self._count, self.sft, text, info.sheet)

    def _count(self, task: Task, app: SftApp, text: str, sheet: str | None) -> None:
        last = 0.0

        def progress(now: Progress) -> None:
            nonlocal last
            if task.cancelled:
                raise _Cancelled
            if time.monotonic() - last >= 0.5:
                last = time.monotonic()
                share = now.bytes_read / now.bytes_total if now.bytes_total else None
                task.post(self.Counted(text, now.rows, share, None))

        try:
            rows = app.services.count_rows(text, app.draft.base, app.project, sheet, progress)
        except (Refusal, _Cancelled):
            return
        task.post(self.Counted(text, rows, 1.0, rows))

    @on(Counted)
    def _has_counted(self, event: Counted) -> None:
        if event.text != self._field.value:
            return
        if event.rows is not None:
            self.rows = event.rows
            self.sft.rows = (event.text, event.rows)
            text = _("{rows:,} rows").format(rows=event.rows)
        else:
            text = _("counting rows: {rows:,}").format(rows=event.seen)
            if event.share is not None:
                text += f" {self.sft.signs.bar(event.share, 20)} {event.share:.0%}"
        self.query_one("#rows", Static).update("  " + text)

    # -- the answers --------------------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.input.id == "source-input":
            self._field.show("")
            self.refresh_actions()
        elif event.input.has_focus:
            self._touched.add(str(event.input.id))
            self._check_texts()

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
        draft.set("data.source", self._field.value)
        if self.info is None:
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
        for name in ("instruction", "system"):
            text = self.query_one(f"#data-{name}", LineInput).value.strip()
            draft.set(f"data.{name}", text if self.query_one(f"#field-{name}").display else None)
        for name in ("max_samples", "test_size"):
            draft.set(f"data.{name}", parse_typed(self.query_one(f"#data-{name}", LineInput).value))
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


class _Cancelled(Exception):
    """Another file was typed while this one was counted."""
