"""How the records of a source become samples: from its head, what the user says, and known names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from sft_tui.dataset.readers.batch import Record
from sft_tui.dataset.readers.source import Source
from sft_tui.dataset.request import Columns, ConvertRequest
from sft_tui.dataset.rows.mapping import Mapped, map_columns
from sft_tui.dataset.rows.samples import Texts
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problem, Refusal, Severity, refuse

HEAD_RECORDS = 50
_LONG_LOOK, _SHORT_LOOK = 100_000, 5_000


def plan_mapping(source: Source, request: ConvertRequest) -> tuple[Mapped, Texts]:
    """How the records of `source` become samples."""
    columns = source.columns()
    head = source.head(HEAD_RECORDS)
    asked = request.columns
    if not columns or any(column not in columns for column in asked.mapped().values()):
        columns = _search_columns(source, columns, asked)
    if not columns:
        raise _no_columns(source, head)
    mapped = map_columns(columns, head, asked=asked, shape=request.format)
    instruction = (request.instruction or "").strip() or None
    system = (request.system or "").strip() or None
    if mapped.columns.messages and instruction:
        instruction = None
        message = _("The fixed instruction is not used: these are conversations, which have their own prompts.")
        note = Problem("instruction_unused", message, Severity.WARNING, key="data.instruction")
        source.notes += [note] if note not in source.notes else []
    return mapped, Texts(mapped.columns, instruction, system)


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
