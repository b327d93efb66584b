"""Texts of other formats in the cells: marks of chat templates, placeholders, calls written as text, whole talks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sft_tui.dataset.request import Columns
from sft_tui.dataset.rows.calls import read_calls
from sft_tui.dataset.rows.marks import Head, present
from sft_tui.dataset.rows.media import MEDIA
from sft_tui.dataset.rows.names import fold
from sft_tui.dataset.rows.roles import TEXT_KEYS
from sft_tui.dataset.rows.values import Malformed
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

_MARKS = re.compile(
    r"<\|[A-Za-z_]{3,24}\|>|</s>|<(?:eoh|eom|eot|eoc|eor)>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|###\s?(?:Instruction|Response|Human|Assistant):|</?tool_(?:call|response)>|<functioncall>"
)
"""What chat templates and older prompt formats put around texts."""
_TALK = re.compile(r"\bHuman: .*\bAssistant: |\bUSER: .*\bASSISTANT: |问[：:].*答[：:]", re.DOTALL)
_PLACEHOLDERS = frozenset({"<noinput>", "<no input>", "noinput", "no input", "nan", "null", "n/a", "<na>"})
_PASSAGES = ("context", "contexts", "passage", "article", "背景", "上下文", "材料", "原文", "文章")
_SHOWN, _FEW_WORDS = 4, 12
"""So many marks are named; passages have more characters than that."""


def foreign_texts(columns: Columns, head: Head) -> Iterator[Problem]:
    """A remark for each column whose texts, or whose neighbours, mean something else than what would be trained."""
    for role, column in columns.mapped().items():
        if role not in ("instruction", "input", "output", "system", "messages"):
            continue
        texts = [text for value in present(column, head) for text in _texts(value)]
        if marks := list(dict.fromkeys(mark for text in texts for mark in _MARKS.findall(text))):
            message = _("`{column}` holds marks of another prompt format ({marks}); the template writes its own.")
            text = message.format(column=column, marks=" ".join(marks[:_SHOWN]))
            hint = _("They would be learnt as text, or end an answer early: take them out of the data.")
            yield Problem("foreign_marks", text, Severity.WARNING, key=f"data.columns.{role}", hint=hint)
        unfiled = [mark for kind, mark in MEDIA.items() if not getattr(columns, kind) and any(mark in t for t in texts)]
        if unfiled:
            message = _("`{column}` mentions {marks}, but no column with such files is used: it is trained as text.")
            text = message.format(column=column, marks=" ".join(unfiled))
            yield Problem("marks_without_files", text, Severity.WARNING, key=f"data.columns.{role}")
        if standing := sorted({text.strip() for text in texts if text.strip().casefold() in _PLACEHOLDERS}):
            message = _("`{column}` says {words} in some rows: it is taken for text.")
            text = message.format(column=column, words=", ".join(map(repr, standing)))
            hint = _("Where it means that there is nothing, leave the cell empty.")
            yield Problem("placeholders", text, Severity.WARNING, key=f"data.columns.{role}", hint=hint)
    if columns.tools and columns.output and not columns.messages:
        yield from _calls_as_text(columns.output, head)
    yield from _passage(columns, head)


def is_talk(value: Any) -> bool:
    """Whether `value` is a whole conversation in one text."""
    return isinstance(value, str) and _TALK.search(value) is not None


def _texts(value: Any) -> Iterator[str]:
    """The texts in a cell: its own, or those of the turns of a conversation."""
    if isinstance(value, str):
        yield value
    for turn in value if isinstance(value, list | tuple) else ():
        if isinstance(turn, dict):
            yield from (text for key in TEXT_KEYS if isinstance(text := turn.get(key), str))


def _calls_as_text(column: str, head: Head) -> Iterator[Problem]:
    values = present(column, head)
    if values and all(_is_call(value) for value in values):
        message = _("The answers in `{column}` are tool calls, trained as the JSON text that they are.")
        hint = _("For calls as the template writes them: conversations with turns of the role `function_call`.")
        key = "data.columns.output"
        yield Problem("calls_as_text", message.format(column=column), Severity.WARNING, key=key, hint=hint)


def _is_call(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(read_calls(value))
    except Malformed:
        return False


def _passage(columns: Columns, head: Head) -> Iterator[Problem]:
    """A question without the passage that it is about."""
    used = columns.mapped().values()
    names = {name: None for record in head for name in record or () if name not in used}
    name = next((name for name in names if fold(name) in _PASSAGES and any(map(_is_long, present(name, head)))), None)
    if name is None or columns.messages or not columns.input:
        return
    message = _("`{name}` is not used: the questions may be about it, and are asked without it.")
    hint = _(
        "To put it into the prompt: --instruction-column {question} --input-column {name} (in the answers, "
        "`instruction: {question}` and `input: {name}` under `data.columns`)."
    )
    if columns.instruction:
        hint = _("To put it into the prompt, write it into the column `{question}`.")
    hint = hint.format(name=name, question=columns.input)
    yield Problem("passage_unused", message.format(name=name), Severity.WARNING, key="data.columns.input", hint=hint)


def _is_long(value: Any) -> bool:
    return len(str(value)) > _FEW_WORDS
