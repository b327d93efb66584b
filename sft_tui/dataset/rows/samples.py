"""One record to one Alpaca sample, or the reason why not. The exact statement of what the fast path does in bulk."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sft_tui.dataset.request import BAD_ROLES, EMPTY_INPUT, EMPTY_OUTPUT, MALFORMED, Columns
from sft_tui.dataset.rows.text import clean_text, json_text, parse_json
from sft_tui.i18n import _


class Made(NamedTuple):
    """`sample` or, where it is None, the `reason` with `why` in words. `left_out` names texts that
    have no place in it."""

    sample: dict[str, Any] | None
    reason: str | None = None
    why: str | None = None
    left_out: tuple[str, ...] = ()


class Malformed(ValueError):
    """A value has the wrong shape; the text says which."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The mapping and the fixed texts of a conversion."""

    columns: Columns
    instruction: str | None = None
    system: str | None = None

    @property
    def has_system(self) -> bool:
        """Whether the written rows carry a system text."""
        return bool(self.columns.system or self.system)


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
            return self._make(record)
        except UnicodeError:
            return malformed(_("a text holds characters that cannot be written"))
        except Malformed as error:
            return malformed(str(error))

    @abstractmethod
    def _make(self, record: Mapping[str, Any]) -> Made:
        """The sample of a readable record. May raise `Malformed`."""


class AlpacaMaker(Maker):
    """Makes `instruction`, `input`, `output`, and `system`, `history`, `tools`, `images` where they are mapped."""

    def _make(self, record: Mapping[str, Any]) -> Made:
        columns, texts = self.texts.columns, self.texts
        instruction = _cell(record, columns.instruction)
        prompt = _cell(record, columns.input)
        output = _cell(record, columns.output)
        sample: dict[str, Any] = {
            "instruction": instruction or texts.instruction or "",
            "input": prompt,
            "output": output,
        }
        if texts.has_system:
            sample["system"] = _cell(record, columns.system) or texts.system or ""
        blank: str | None = None
        if columns.history:
            sample["history"], blank = read_history(record.get(columns.history))
        if columns.tools:
            sample["tools"] = read_tools(record.get(columns.tools))
        if columns.images:
            sample["images"] = read_images(record.get(columns.images))
        if not instruction and not prompt:
            return drop(EMPTY_INPUT)
        if blank == EMPTY_INPUT:
            return drop(EMPTY_INPUT)
        if not output or blank == EMPTY_OUTPUT:
            return drop(EMPTY_OUTPUT)
        return Made(sample)


def _cell(record: Mapping[str, Any], column: str | None) -> str:
    return clean_text(record.get(column)) if column else ""


def read_json(value: Any, what: str) -> Any:
    """`value`, parsed where it is JSON text; None where it is missing. Raises `Malformed` for other text."""
    if not isinstance(value, str):
        return value
    text = clean_text(value)
    if not text:
        return None
    try:
        return parse_json(text)
    except ValueError:
        raise Malformed(_("{what} is no JSON").format(what=what)) from None


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


def read_tools(value: Any) -> str:
    """Tool descriptions as the JSON text that LLaMA-Factory reads; "" where there are none."""
    given = clean_text(value) if isinstance(value, str) else None
    tools = read_json(value, "tools")
    if tools is None:
        return ""
    if not isinstance(tools, list | tuple):
        raise Malformed(_("tools is no JSON list"))
    if not tools:
        return ""
    complete = [_tool(tool) for tool in tools]
    if given is not None and all(old is new for old, new in zip(tools, complete, strict=True)):
        return given
    return json_text(complete)


def _tool(tool: Any) -> Any:
    """`tool`, with an empty parameter list where it has none (LLaMA-Factory stops at its absence)."""
    inner = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else tool
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"].strip():
        raise Malformed(_("a tool has no name"))
    parameters = inner.get("parameters")
    if isinstance(parameters, dict) and isinstance(parameters.get("properties"), dict):
        return tool
    if parameters is not None and not isinstance(parameters, dict):
        raise Malformed(_("the parameters of tool {name} are no object").format(name=inner["name"]))
    filled = {"type": "object", **(parameters or {}), "properties": (parameters or {}).get("properties") or {}}
    return (
        {**tool, "function": {**inner, "parameters": filled}} if inner is not tool else {**inner, "parameters": filled}
    )


def read_images(value: Any) -> list[str]:
    """Paths or addresses of images."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [clean_text(value)] if clean_text(value) else []
    images = read_json(value, "images")
    if images is None:
        return []
    if isinstance(images, list | tuple) and all(isinstance(image, str) for image in images):
        return [clean_text(image) for image in images]
    raise Malformed(_("images is no list of paths"))


def dump(sample: Mapping[str, Any]) -> bytes:
    """`sample` as one line of JSON. Raises UnicodeError for text that cannot be written."""
    import orjson

    try:
        return orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return (json.dumps(sample, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8")
