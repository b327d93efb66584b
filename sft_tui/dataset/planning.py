"""How the records of a source become samples: from its head, what the user says, and known names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sft_tui.dataset.readers.batch import Record
from sft_tui.dataset.readers.source import Source
from sft_tui.dataset.request import Columns, ConvertRequest, UnusedColumn
from sft_tui.dataset.rows.doubts import doubts
from sft_tui.dataset.rows.mapping import Mapped, map_columns
from sft_tui.dataset.rows.samples import THOUGHT, Texts
from sft_tui.dataset.rows.unused import unused_columns
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problem, Refusal, Severity, refuse

HEAD_RECORDS = 100
_LONG_LOOK, _SHORT_LOOK = 100_000, 5_000


@dataclass(frozen=True, slots=True)
class Planned:
    """How the records of a source become samples, which of its columns play no part, and what should be said of it.

    `columns` and `head` are what was looked at.
    """

    mapped: Mapped
    texts: Texts
    unused: tuple[UnusedColumn, ...]
    notes: tuple[Problem, ...]
    columns: list[str]
    head: list[Record | None]


def plan_mapping(source: Source, request: ConvertRequest, late: Mapping[str, Any] | None = None) -> Planned:
    """How the records of `source` become samples. `late` holds columns beyond its head, with a value each."""
    columns = source.columns()
    head = source.head(HEAD_RECORDS)
    asked = request.columns
    if late:
        columns += [name for name in late if name not in columns]
        head = [*head, dict(late)]
    if not columns or any(column not in columns for column in asked.mapped().values()):
        columns = _search_columns(source, columns, asked)
    if not columns:
        raise _no_columns(source, head)
    mapped = map_request(columns, head, request)
    texts, notes = _texts(source, request, mapped)
    notes += (*doubts(mapped.columns, head), *source.split_notes(mapped.columns))
    unused = unused_columns(columns, list(mapped.columns.mapped().values()), head)
    return Planned(mapped, texts, unused, tuple(notes), columns, head)


def map_request(columns: list[str], head: list[Record | None], request: ConvertRequest) -> Mapped:
    """The mapping that `request` asks for. Raises `Refusal` where it stays unclear."""
    mapped = map_columns(columns, head, asked=request.columns, shape=request.format)
    if request.reasoning == "drop":
        return replace(mapped, columns=replace(mapped.columns, reasoning=None))
    return mapped


def _texts(source: Source, request: ConvertRequest, mapped: Mapped) -> tuple[Texts, list[Problem]]:
    notes: list[Problem] = []
    instruction = (request.instruction or "").strip() or None
    if mapped.columns.messages and instruction:
        instruction = None
        message = _("The fixed instruction is not used: these are conversations, which have their own prompts.")
        notes.append(Problem("instruction_unused", message, Severity.WARNING, key="data.instruction"))
    texts = Texts(
        mapped.columns,
        instruction,
        (request.system or "").strip() or None,
        thought=None if request.reasoning == "drop" else request.thought or THOUGHT,
        mask_history=request.mask_history,
        folders=source.folders,
        sparse=source.sparse,
    )
    return texts, notes


def _search_columns(source: Source, columns: list[str], asked: Columns) -> list[str]:
    """The columns with those that turn up later than the head: a name is only refused after a longer look."""
    names = dict.fromkeys(source.columns(most_files=None if source.whole else 20))
    missing = set(asked.mapped().values()) - set(names)
    if (missing or not names) and any(file.kind == "json" for file in source.files):
        for record in islice(source.records(), _LONG_LOOK if source.whole else _SHORT_LOOK):
            if record and not (names and missing.isdisjoint(record)):
                names.update(dict.fromkeys(record))
                missing -= set(record)
                if not missing:
                    break
    return columns + [name for name in names if name not in columns]


def _no_columns(source: Source, head: Sequence[Record | None]) -> Refusal:
    """The refusal of a source in which no record has a name for anything."""
    if head:
        message = _("No record of {source} can be read: none is a JSON object with keys.").format(source=source.name)
        hint = _("Write one JSON object a line, such as: {example}").format(
            example='{"question": "...", "answer": "..."}'
        )
        return refuse("no_rows", message, exit_code=ExitCode.PREFLIGHT, key="data.source", hint=hint)
    message = _("{source} holds no records.").format(source=source.name)
    return refuse("empty_source", message, exit_code=ExitCode.PREFLIGHT, key="data.source")
