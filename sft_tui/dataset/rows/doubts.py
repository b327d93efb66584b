"""What should be said of the mapped columns before anything is converted, told from the head of the source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sft_tui.dataset.request import Columns
from sft_tui.dataset.rows.foreign import foreign_texts
from sft_tui.dataset.rows.marks import FILE_SPLIT, Head, present, says_bad
from sft_tui.dataset.rows.names import fold, is_bad
from sft_tui.dataset.rows.text import json_text
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

_TEXT_ROLES = ("instruction", "input", "output", "system", "reasoning")
_SHOWN = 60
_CHOICES = ("choices", "options", "candidates", "endings", "选项")
_PLACE = re.compile(r"[0-9]{1,2}|[A-Ja-j]")


def doubts(columns: Columns, head: Head) -> Iterator[Problem]:
    """A remark for every column that is taken for more, or for less, than its name says."""
    mapped = columns.mapped()
    for role in _TEXT_ROLES:
        if role in mapped and not columns.messages and (value := _structure(mapped[role], head)) is not None:
            message = _("`{column}` holds lists or objects: they become JSON text, such as {example}")
            text = message.format(column=mapped[role], example=_shortened(value))
            hint = _("To train on something else, write it into the column as text.")
            yield Problem("lists_as_text", text, Severity.WARNING, key=f"data.columns.{role}", hint=hint)
    if columns.label and present(columns.label, head):
        message = (
            _("`{column}` marks bad answers: rows where it says yes are left out.")
            if says_bad(columns.label)
            else _("`{column}` marks good answers: rows where it says no are left out.")
        )
        hint = _('If it means something else: --label-column "" (in the answers, `label: ""` under `data.columns`).')
        text = message.format(column=columns.label)
        yield Problem("label_column", text, Severity.WARNING, key="data.columns.label", hint=hint)
    if columns.split and columns.split != FILE_SPLIT:
        message = _("`{column}` divides the rows: those for testing and validation go into the test file.")
        text = message.format(column=columns.split)
        hint = _('To divide them anew: --split-column "" and --test-size.')
        yield Problem("split_column", text, Severity.INFO, key="data.columns.split", hint=hint)
    choices = next((name for name in _rest(columns, head) if fold(name) in _CHOICES), None)
    if choices and columns.output and _are_places(present(columns.output, head)):
        message = _("The answers in `{column}` are places in `{choices}`, which is not used: only they are learnt.")
        text = message.format(column=columns.output, choices=choices)
        hint = _("Write the chosen text into the column, and the choices into the prompt.")
        yield Problem("answers_are_places", text, Severity.WARNING, key="data.columns.output", hint=hint)
    if columns.output and is_bad(columns.output):
        message = _("The answers are taken from `{column}`, which by its name holds the worse ones.")
        yield Problem("bad_answers", message.format(column=columns.output), Severity.WARNING, key="data.columns.output")
    yield from foreign_texts(columns, head)


def _rest(columns: Columns, head: Head) -> dict[str, None]:
    used = columns.mapped().values()
    return {name: None for record in head for name in record or () if name not in used}


def _are_places(values: list[Any]) -> bool:
    """Whether `values` are numbers or letters that stand for one of several choices."""
    return bool(values) and all(_PLACE.fullmatch(str(value).strip()) for value in values)


def _structure(column: str, head: Head) -> Any:
    return next((v for record in head if record and isinstance(v := record.get(column), list | tuple | dict)), None)


def _shortened(value: Any) -> str:
    text = json_text(value).encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
