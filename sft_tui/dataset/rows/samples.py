"""One record to one Alpaca sample, or the reason why not. The exact statement of what the fast path does in bulk."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sft_tui.dataset.request import (
    BAD_ROLES,
    EMPTY_INPUT,
    EMPTY_OUTPUT,
    MALFORMED,
    MASKED_TURN,
    MISSING_FILE,
    OTHER_SPLIT,
    REJECTED,
    Columns,
)
from sft_tui.dataset.rows.calls import read_tools, without_nulls
from sft_tui.dataset.rows.marks import says_bad, side_of, truth
from sft_tui.dataset.rows.media import MEDIA, MissingFile, WrongMedia, add_media
from sft_tui.dataset.rows.text import clean_text
from sft_tui.dataset.rows.values import Malformed, read_json
from sft_tui.i18n import _

BESIDE_CALL, REASONING, CUT_TURNS, WEIGHTED, MARKED = "text_beside_call", "reasoning", "cut_turns", "weights", "marks"
"""What should be said of a row that is written: `left_out` of `Made` names them."""


THOUGHT = ("<think>\n", "\n</think>\n\n")
"""What stands around reasoning in most templates."""


class Made(NamedTuple):
    """`sample` or, where it is None, the `reason` with `why` in words. `left_out` names what should be said of it.

    `test` says that the data itself keeps the row for testing.
    """

    sample: dict[str, Any] | None
    reason: str | None = None
    why: str | None = None
    left_out: tuple[str, ...] = ()
    test: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """The mapping and the fixed texts of a conversion, and what else decides how a record is read.

    `thought` stands around reasoning (None: it is left out); `mask_history` says that training will see the last
    answer alone; `folders` are searched for files; `sparse` that tables gave objects fields that nobody wrote.
    """

    columns: Columns
    instruction: str | None = None
    system: str | None = None
    thought: tuple[str, str] | None = THOUGHT
    mask_history: bool = False
    folders: tuple[str, ...] = ()
    sparse: bool = False

    @property
    def has_system(self) -> bool:
        """Whether the written rows carry a system text."""
        return bool(self.columns.system or self.system)

    @property
    def media(self) -> dict[str, str]:
        """`{role: column}` of the columns with files."""
        return {role: column for role in MEDIA if (column := getattr(self.columns, role))}

    def with_reasoning(self, reasoning: str, answer: str) -> str:
        """`answer` after its `reasoning`, unless it has it already or is none."""
        if not self.thought or not reasoning or not answer or self.thought[0].strip() in answer:
            return answer
        return f"{self.thought[0]}{reasoning}{self.thought[1]}{answer}"

    def tools(self, record: Mapping[str, Any]) -> str:
        """The tool descriptions of `record`."""
        value = record.get(self.columns.tools) if self.columns.tools else None
        return read_tools(without_nulls(value) if self.sparse else value)


def malformed(why: str) -> Made:
    """The answer to a record of the wrong shape."""
    return Made(None, MALFORMED, why)


def unreadable_record() -> Made:
    """The answer to a record that could not be read at all."""
    return malformed(_("the record cannot be read (broken JSON or quotes, too many cells, or invalid bytes)"))


def drop(reason: str) -> Made:
    """The answer for `reason` with its usual words."""
    words = {
        EMPTY_INPUT: _("there is no prompt text"),
        EMPTY_OUTPUT: _("there is no answer"),
        BAD_ROLES: _("the turns are out of order"),
        REJECTED: _("the data marks this answer as one not to train on"),
        OTHER_SPLIT: _("the row belongs neither to the training rows nor to the test rows of the data"),
        MASKED_TURN: _("an answer that is not to be trained on stands before one that is"),
    }
    return Made(None, reason, words[reason])


class Maker(ABC):
    """Makes samples out of records, by the mapping and the fixed texts of a conversion."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def make(self, record: Mapping[str, Any] | None) -> Made:
        """The sample that `record` becomes (None: a record that could not be read)."""
        if record is None:
            return unreadable_record()
        try:
            return self._judged(record, self._make(record))
        except UnicodeError:
            return malformed(_("a text holds characters that cannot be written"))
        except (Malformed, WrongMedia) as error:
            return malformed(str(error))
        except MissingFile as error:
            return self._judged(record, Made(None, MISSING_FILE, str(error)))

    def _judged(self, record: Mapping[str, Any], made: Made) -> Made:
        """`made`, unless the record says of itself that it is bad or belongs elsewhere."""
        label, division = self.texts.columns.label, self.texts.columns.split
        if label and truth(record.get(label)) is says_bad(label):
            return drop(REJECTED)
        if not division:
            return made
        side = side_of(record.get(division))
        return drop(OTHER_SPLIT) if side is None else made._replace(test=side == "test")

    @abstractmethod
    def _make(self, record: Mapping[str, Any]) -> Made:
        """The sample of a readable record. May raise `Malformed`."""


class AlpacaMaker(Maker):
    """Makes `instruction`, `input`, `output`, and `system`, `history`, `tools` and files where they are mapped."""

    def _make(self, record: Mapping[str, Any]) -> Made:
        columns, texts = self.texts.columns, self.texts
        instruction = _cell(record, columns.instruction)
        prompt = _cell(record, columns.input)
        output = _cell(record, columns.output)
        reasoning = _cell(record, columns.reasoning)
        sample: dict[str, Any] = {
            "instruction": instruction or texts.instruction or "",
            "input": prompt,
            "output": texts.with_reasoning(reasoning, output),
        }
        if texts.has_system:
            sample["system"] = _cell(record, columns.system) or texts.system or ""
        blank: str | None = None
        if columns.history:
            sample["history"], blank = read_history(record.get(columns.history))
        if columns.tools:
            sample["tools"] = texts.tools(record)
        if not instruction and not prompt:
            return drop(EMPTY_INPUT)
        if blank == EMPTY_INPUT:
            return drop(EMPTY_INPUT)
        if not output or blank == EMPTY_OUTPUT:
            return drop(EMPTY_OUTPUT)
        made = self._with_media(record, sample) if texts.media else Made(sample)
        return made._replace(left_out=(*made.left_out, REASONING)) if reasoning else made

    def _with_media(self, record: Mapping[str, Any], sample: dict[str, Any]) -> Made:
        files = {role: record.get(column) for role, column in self.texts.media.items()}

        def texts() -> list[str]:
            earlier = [text for pair in sample.get("history", ()) for text in pair]
            return [*earlier, sample["instruction"], sample["input"], sample["output"]]

        marks = add_media(sample, files, self.texts.folders, texts)
        if marks:
            key = "instruction" if sample["instruction"] else "input"
            sample[key] = marks + sample[key]
        return Made(sample, left_out=(MARKED,) if marks else ())


def _cell(record: Mapping[str, Any], column: str | None) -> str:
    return clean_text(record.get(column)) if column else ""


def read_history(value: Any) -> tuple[list[list[str]], str | None]:
    """Earlier turns as pairs of texts, and the reason that a blank turn among them gives."""
    pairs = read_json(value, "history")
    if pairs is None:
        return [], None
    if not isinstance(pairs, list | tuple):
        raise Malformed(_("history is no list of pairs"))
    found: list[list[str]] = []
    blank: str | None = None
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or any(isinstance(t, list | dict) for t in pair):
            raise Malformed(_("history is no list of pairs"))
        turns = [clean_text(turn) for turn in pair]
        if not turns[0]:
            blank = EMPTY_INPUT
        elif not turns[1]:
            blank = blank or EMPTY_OUTPUT
        found.append(turns)
    return found, blank


def dump(sample: Mapping[str, Any]) -> bytes:
    """`sample` as one line of JSON. Raises UnicodeError for text that cannot be written."""
    import orjson

    try:
        return orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return (json.dumps(sample, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8")
