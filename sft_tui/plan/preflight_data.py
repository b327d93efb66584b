"""What would keep a run from starting in its data: files, columns, rows, and what is kept of them for testing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sft_tui.i18n import _
from sft_tui.plan.context import DATA_KINDS, template_of
from sft_tui.plan.length import file_rows
from sft_tui.plan.sources import parts_of, trained_parts
from sft_tui.problems import ENVIRONMENT_CODES, ExitCode, Fix, Problems, Refusal, nearest

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.plan.context import Situation
    from sft_tui.plan.sources import Part


def check_data(answers: Answers, situation: Situation, problems: Problems, *, light: bool) -> bool:
    """Look at each source; whether all have data. Of several, each problem names the source that it is about."""
    parts, good = parts_of(answers, situation), True
    for part in parts:
        own = Problems()
        good = (_glance_at_part(part, own) if light else _check_part(part, situation, own)) and good
        if len(parts) == 1:
            problems.extend(own)
            continue
        key = "data.eval" if part.evaluates else "data.sources"
        for problem in own:
            message = problem.message if part.source in problem.message else f"{part.source}: {problem.message}"
            problems.add(replace(problem, message=message, key=key, fix=None))
    return good


def _check_part(part: Part, situation: Situation, problems: Problems) -> bool:
    """Convert the first rows, which shows what is wrong with columns, format and file; whether there is data."""
    from sft_tui.dataset import preview
    from sft_tui.dataset.rows.media import MEDIA
    from sft_tui.dataset.tally import page_notes
    from sft_tui.factory.check.dataset_files import media_sentence

    template = template_of(part.answers, situation.model, situation.factory)
    request = part.request(situation.project / "data", template, situation.train_python)
    try:
        page = preview(request, 1, 20)
    except Refusal as refusal:
        for problem in refusal.problems:
            code = problem.code
            if refusal.exit_code is ExitCode.PREFLIGHT and code not in ENVIRONMENT_CODES:
                code = "source_unreadable"
            problems.add(replace(problem, code=code, key=_data_key(problem.key)))
        return False
    if not page.more and all(row.sample is None for row in page.rows):
        reasons = ", ".join(sorted({row.drop for row in page.rows if row.drop})) or _("it has none")
        message = _("No row of {source} can be used: {reasons}.").format(source=part.source, reasons=reasons)
        hint = _("Look at them: sft-tui preview {source}").format(source=part.source)
        problems.error("source_empty", message, key="data.source", hint=hint)
        return False
    for note in (*page.notes, *page_notes(page, request)):
        problems.add(replace(note, key=_data_key(note.key)))
    media = [role for role in MEDIA if role in page.mapping.mapped()]
    if media and template is not None and not template.media:
        message, hint = media_sentence(part.dataset, template.name)
        problems.error("template_media", message, key=f"data.columns.{media[0]}", hint=hint)
    elif media:
        message = _("What `{column}` names is not counted: not in the lengths, and not in the estimated memory.")
        hint = _("Pictures take from hundreds to thousands of tokens each; measure with: sft-tui estimate --measure")
        text = message.format(column=page.mapping.mapped()[media[0]])
        problems.warning("media_not_counted", text, key=f"data.columns.{media[0]}", hint=hint)
    return True


def _glance_at_part(part: Part, problems: Problems) -> bool:
    """Look at the head of the source: is it there, has it rows, has it the columns that were named?"""
    from sft_tui.dataset.readers.files import resolve
    from sft_tui.factory.check.records import read_records

    if part.source.startswith("hub:"):
        return True
    path = Path(part.source)
    if not path.exists():
        try:
            return bool(resolve(part.source))
        except Refusal as refusal:
            problems.extend(refusal.problems)
            return False
    kind = DATA_KINDS.get(path.suffix.lower()) if path.is_file() else None
    records = read_records(path, kind) if kind else None
    if records is None:
        return True
    if records.fault is not None and records.fault[0] in ("empty_data", "file_unreadable", "lfs_pointer"):
        code = "source_empty" if records.fault[0] == "empty_data" else "source_unreadable"
        problems.error(code, records.fault[1], key="data.source")
        return False
    if records.fault is None and records.columns:
        _check_columns(part.answers, sorted(records.columns), problems)
    return True


def check_split(answers: Answers, situation: Situation, problems: Problems) -> bool:
    """Whether the test rows leave something to train on."""
    for part in trained_parts(answers, situation):
        if part.rows and file_rows(part)[0] == 0:
            message = _("`data.test_size: {size}` leaves nothing to train on: there are only {rows} rows.")
            rows = min(part.rows, part.answers.data.max_samples or part.rows)
            text = message.format(size=answers.data.test_size, rows=rows)
            hint = _("Write a smaller number, for example 0.1.")
            problems.error("out_of_range", text, key="data.test_size", hint=hint)
            return False
    return True


def _check_columns(answers: Answers, there: list[str], problems: Problems) -> None:
    """Whether the columns that the answers name are among those that are `there`."""
    from sft_tui.dataset.rows.mapping import listed

    for role, column in answers.data.columns.model_dump(exclude_none=True).items():
        if not column or column in there:
            continue
        message = _("The source has no column `{column}`; it has: {names}.")
        close = nearest(column, there, 1)
        fix = Fix("set", f"data.columns.{role}", close[0]) if close else None
        hint = _("Did you mean `{name}`?").format(name=close[0]) if close else None
        text = message.format(column=column, names=listed(there))
        problems.error("unknown_column", text, key=f"data.columns.{role}", hint=hint, fix=fix)


def _data_key(key: str | None) -> str:
    """The key in the answers that goes with a key of the conversion (`--input-column`, `columns.input`, `source`)."""
    if key is None:
        return "data.source"
    name = key.lstrip("-").replace("-", "_")
    if name.endswith("_column"):
        return f"data.columns.{name.removesuffix('_column')}"
    return name if name.startswith("data.") else f"data.{name}"
