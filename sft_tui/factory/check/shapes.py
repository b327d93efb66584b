"""Whether records have the shape that their entry in dataset_info.json declares, as LLaMA-Factory reads them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sft_tui.i18n import _

_MAX_DEPTH = 4
ALPACA_DEFAULTS = {"prompt": "instruction", "query": "input", "response": "output"}
SHAREGPT_DEFAULTS = {"messages": "conversations"}
COLUMN_NAMES = (
    "prompt", "query", "response", "history", "messages", "system", "tools", "images", "videos", "audios", "chosen",
    "rejected", "kto_tag",
)  # fmt: skip
TAG_DEFAULTS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
ENTRY_KEYS = (
    "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name", "file_name", "formatting", "ranking",
    "subset", "split", "folder", "num_samples", "columns", "tags",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """An entry of dataset_info.json as LLaMA-Factory takes it: with `columns` or `tags` given, the others are null."""

    formatting: str
    ranking: bool
    columns: dict[str, str | None]
    tags: dict[str, str | None]

    def column(self, name: str) -> str | None:
        """The data's column for `name`."""
        return self.columns.get(name)


def shape_of(entry: dict[str, Any]) -> Shape:
    """The shape that an entry declares."""
    columns: dict[str, str | None] = {**ALPACA_DEFAULTS, **SHAREGPT_DEFAULTS}
    given = entry.get("columns")
    if isinstance(given, dict):
        columns = {name: given.get(name) for name in COLUMN_NAMES}
    tags: dict[str, str | None] = dict(TAG_DEFAULTS)
    given_tags = entry.get("tags")
    if isinstance(given_tags, dict):
        tags = {name: given_tags.get(name) for name in TAG_DEFAULTS}
    return Shape(str(entry.get("formatting", "alpaca")), bool(entry.get("ranking", False)), columns, tags)


@dataclass(slots=True)
class Verdict:
    """What the records showed: `fatal` stops LLaMA-Factory; `dropped` counts records that it skips, by reason."""

    fatal: tuple[str, str] | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    examined: int = 0
    with_media: bool = False

    @property
    def all_dropped(self) -> bool:
        """Whether no examined record is usable."""
        return self.examined > 0 and sum(self.dropped.values()) >= self.examined


def needed_columns(shape: Shape) -> Iterator[tuple[str, str]]:
    """`(name, column)` of each column that the converter reads without asking whether it is there."""
    alpaca = ("history", "prompt", "query", "response") if not shape.ranking else ("history", "prompt", "query")
    names = alpaca if shape.formatting == "alpaca" else ("messages",)
    extra = ("system", "tools") if shape.formatting != "openai" else ()
    ranking = ("chosen", "rejected") if shape.ranking else ()
    for name in (*names, *extra, *ranking, "kto_tag", "images", "videos", "audios"):
        column = shape.column(name)
        if column:
            yield name, column


def judge(shape: Shape, rows: list[Any], numeric: set[str], stage: str) -> Verdict:
    """Go through the records as LLaMA-Factory's converter would."""
    verdict = Verdict()
    turn_keys = _turn_keys(shape, rows)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            text = _("Record {number} is no object with columns.").format(number=number)
            verdict.fatal = ("bad_record", text)
            return verdict
        verdict.examined += 1
        if shape.formatting == "alpaca":
            _alpaca(shape, row, numeric, stage, number, verdict)
        else:
            _conversation(shape, row, number, verdict, turn_keys)
        if not verdict.fatal:
            _system_and_tools(shape, row, numeric, number, verdict)
            _preference(shape, row, stage, verdict)
        verdict.with_media = verdict.with_media or any(
            row.get(column) for name in ("images", "videos", "audios") if (column := shape.column(name))
        )
        if verdict.fatal:
            return verdict
    return verdict


def _alpaca(shape: Shape, row: dict[str, Any], numeric: set[str], stage: str, number: int, verdict: Verdict) -> None:
    for name in ("prompt", "query"):
        column = shape.column(name)
        value = row.get(column) if column else None
        if value and (not isinstance(value, str) or column in numeric):
            text = _("Column `{column}` of record {number} is {kind}, but a prompt must be text.")
            kind = kind_of(value if column not in numeric else 0)
            verdict.fatal = ("prompt_not_text", text.format(column=column, number=number, kind=kind))
            return
    _history(shape, row, number, verdict)
    if verdict.fatal or stage == "pt" or shape.ranking or shape.column("kto_tag"):
        return
    column = shape.column("response")
    answer = row.get(column) if column else None
    if column is None:
        verdict.dropped[_("no column for the answer (`response`) is declared")] += 1
    elif column in numeric or not isinstance(answer, str):
        kind = kind_of(answer if column not in numeric else 0)
        verdict.dropped[_("column `{column}` is {kind}, not text").format(column=column, kind=kind)] += 1


def _history(shape: Shape, row: dict[str, Any], number: int, verdict: Verdict) -> None:
    column = shape.column("history")
    value = row.get(column) if column else None
    if not isinstance(value, list):
        return
    for turn in value:
        if not isinstance(turn, list) or len(turn) != 2:
            text = _("`{column}` of record {number} must be a list of [question, answer] pairs.")
            verdict.fatal = ("bad_history", text.format(column=column, number=number))
            return
        if not all(isinstance(part, str) for part in turn):
            text = _("`{column}` of record {number} holds a turn that is no text.")
            verdict.fatal = ("bad_history", text.format(column=column, number=number))
            return


def _turn_keys(shape: Shape, rows: list[Any]) -> set[str]:
    """The keys of all turns: Arrow gives every turn all of them, with null where it has none of its own."""
    column = shape.column("messages")
    lists = (row.get(column) for row in rows if isinstance(row, dict)) if column else ()
    return {
        key for turns in lists if isinstance(turns, list) for turn in turns if isinstance(turn, dict) for key in turn
    }


def _system_and_tools(shape: Shape, row: dict[str, Any], numeric: set[str], number: int, verdict: Verdict) -> None:
    column = shape.column("system")
    value = row.get(column) if column else None
    if value and (not isinstance(value, str) or column in numeric):
        text = _("Column `{column}` of record {number} is {kind}, but a prompt must be text.")
        verdict.fatal = ("prompt_not_text", text.format(column=column, number=number, kind=kind_of(value)))
        return
    column = shape.column("tools")
    tools = row.get(column) if column else None
    if not tools or (shape.formatting == "openai" and isinstance(tools, list | dict)):
        return
    if not isinstance(tools, str) or not _is_json(tools):
        text = _("Column `{column}` of record {number} must hold the tools as a JSON text.")
        verdict.fatal = ("bad_tools", text.format(column=column, number=number))


def _preference(shape: Shape, row: dict[str, Any], stage: str, verdict: Verdict) -> None:
    """Pairs need two answers of the declared form; a `kto_tag` must be true or false, and turns sft samples away."""
    if sum(verdict.dropped.values()) >= verdict.examined:
        return
    if shape.ranking:
        wanted = str if shape.formatting == "alpaca" else dict
        for name in ("chosen", "rejected"):
            value = row.get(str(shape.column(name)))
            if not isinstance(value, wanted):
                reason = _("column `{column}` is {kind}").format(column=shape.column(name), kind=kind_of(value))
                verdict.dropped[reason] += 1
                return
    column = shape.column("kto_tag")
    if column and stage == "kto" and not isinstance(row.get(column), bool):
        kind = kind_of(row.get(column))
        verdict.dropped[_("column `{column}` is {kind}, not true or false").format(column=column, kind=kind)] += 1
    elif column and stage == "sft" and isinstance(row.get(column), bool):
        verdict.dropped[_("`kto_tag` marks them for stage kto")] += 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _conversation(shape: Shape, row: dict[str, Any], number: int, verdict: Verdict, turn_keys: set[str]) -> None:
    column = shape.column("messages")
    turns = row.get(column) if column else None
    role_tag, content_tag = shape.tags["role_tag"], shape.tags["content_tag"]
    if not isinstance(turns, list):
        text = _("Column `{column}` of record {number} is {kind}, but a list of turns is expected.")
        verdict.fatal = ("bad_messages", text.format(column=column, number=number, kind=kind_of(turns)))
        return
    roles: list[str | None] = []
    for turn in turns:
        if not isinstance(turn, dict):
            text = _("A turn of record {number} is {kind}, but an object with role and text is expected.")
            verdict.fatal = ("bad_messages", text.format(number=number, kind=kind_of(turn)))
            return
        for tag in (role_tag, content_tag):
            if tag not in turn_keys:
                text = _("A turn of record {number} has no `{tag}`; it has {names}.")
                names = ", ".join(f"`{name}`" for name in turn)
                verdict.fatal = ("missing_tag", text.format(number=number, tag=tag, names=names))
                return
        roles.append(turn.get(str(role_tag)))
    _order(shape, roles, turns, number, verdict)


def _order(shape: Shape, roles: list[str | None], turns: list[Any], number: int, verdict: Verdict) -> None:
    """Turns must alternate: user or observation, then assistant or function call; a system turn may come first."""
    tags = shape.tags
    if roles and tags["system_tag"] and roles[0] == tags["system_tag"]:
        roles, turns = roles[1:], turns[1:]
    odd, even = (tags["user_tag"], tags["observation_tag"]), (tags["assistant_tag"], tags["function_tag"])
    known = {tag for tag in tags.values() if tag}
    if shape.formatting == "openai":
        unknown = next((role for role in roles if role not in (*odd, *even, tags["system_tag"])), None)
        if unknown is not None:
            text = _("Record {number} has a turn of role `{role}`, which no tag declares.")
            verdict.fatal = ("bad_roles", text.format(number=number, role=unknown))
            return
        roles, turns = _merged_tools(roles, turns, tags)
    for index, role in enumerate(roles):
        if role not in (odd, even)[index % 2]:
            reason = _("role `{role}` is unknown") if role not in known else _("role `{role}` is out of turn")
            verdict.dropped[reason.format(role=role)] += 1
            return
    if (len(roles) % 2 == 0) == shape.ranking:
        verdict.dropped[_("the last turn is not the assistant's")] += 1
        return
    if not roles and not shape.ranking:
        verdict.dropped[_("there is no turn")] += 1
        return
    content = str(tags["content_tag"])
    for turn in turns:
        if not isinstance(turn.get(content), str) and not turn.get("tool_calls"):
            text = _("A turn of record {number} has {kind} instead of text.")
            verdict.fatal = ("bad_content", text.format(number=number, kind=kind_of(turn.get(content))))
            return
    called = [t for role, t in zip(roles, turns, strict=True) if role and role == tags["function_tag"]]
    for turn in called:
        if isinstance(turn.get(content), str) and not turn.get("tool_calls") and not _is_json(turn[content]):
            text = _("A tool call of record {number} is no JSON.").format(number=number)
            verdict.fatal = ("bad_tool_call", text)
            return


def _merged_tools(
    roles: list[str | None], turns: list[Any], tags: dict[str, str | None]
) -> tuple[list[str | None], list[Any]]:
    """The openai converter joins neighbouring tool answers into one turn."""
    kept = [
        i
        for i, role in enumerate(roles)
        if role != tags["observation_tag"] or i + 1 == len(roles) or roles[i + 1] != tags["observation_tag"]
    ]
    if kept and roles[kept[-1]] == tags["observation_tag"]:
        kept = kept[:-1]
    return [roles[i] for i in kept], [turns[i] for i in kept]


def mixed_types(rows: list[Any]) -> tuple[str, int, str, str] | None:
    """The first column, or part of one, that holds two kinds of values: `(column, record, kind before, kind there)`.

    Arrow, on which the dataset library rests, gives a column and each part of it one type and refuses anything else.
    """
    kinds: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            for column, kind in _kinds(row, ""):
                if kinds.setdefault(column, kind) != kind:
                    return column, number, kinds[column], kind
    return None


def _kinds(row: dict[str, Any], prefix: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """`(name, kind)` of each value in a record, with those inside objects and lists."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        for item in [value, *(value if isinstance(value, list) else ())]:
            inside = f"{name}[]" if item is not value else name
            if item is None or (isinstance(item, float) and item != item):
                continue
            yield inside, kind_of(item)
            if isinstance(item, dict) and depth < _MAX_DEPTH:
                yield from _kinds(item, f"{inside}.", depth + 1)


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return _("empty")
    if isinstance(value, bool):
        return _("true or false")
    if isinstance(value, int | float):
        return _("a number")
    if isinstance(value, str):
        return _("a text")
    return _("a list") if isinstance(value, list) else _("an object")
