"""Whether records have the shape that their entry in dataset_info.json declares, as LLaMA-Factory's converters do."""

from __future__ import annotations

from typing import Any

from sft_tui.factory.check.kinds import kind_of
from sft_tui.factory.check.pairs import judge_preference, pair_keys
from sft_tui.factory.check.shapes import Shape, Verdict
from sft_tui.factory.check.tool_texts import call_fault, calls_fault, nameless_tool, tools_fault
from sft_tui.i18n import _


def judge(shape: Shape, rows: list[Any], numeric: set[str], stage: str) -> Verdict:
    """Go through the records as LLaMA-Factory's converter would."""
    verdict = Verdict()
    turn_keys, answer_keys = _turn_keys(shape, rows), pair_keys(shape, rows)
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
            judge_preference(shape, row, stage, number, verdict, answer_keys)
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
    column = shape.column("response")
    answer = row.get(column) if column else None
    if verdict.fatal or stage == "pt" or shape.ranking:
        return
    if isinstance(row.get(str(shape.column("kto_tag"))), bool):
        if not isinstance(answer, str) and (stage == "kto" or column is None):
            text = _("Column `{column}` of record {number} is {kind}, but an answer must be text.")
            kind = kind_of(answer)
            verdict.fatal = ("answer_not_text", text.format(column=column, number=number, kind=kind))
    elif column is None:
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
    if value and (not isinstance(value, str) or column in numeric) and not _brings_system(shape, row):
        text = _("Column `{column}` of record {number} is {kind}, but a prompt must be text.")
        verdict.fatal = ("prompt_not_text", text.format(column=column, number=number, kind=kind_of(value)))
        return
    column = shape.column("tools")
    tools = row.get(column) if column else None
    if not tools or (shape.formatting == "openai" and isinstance(tools, list | dict)):
        return
    fault = tools_fault(tools, column, number)
    if fault is not None:
        verdict.fatal = ("bad_tools", fault)
    elif not verdict.nameless_tools:
        verdict.nameless_tools = nameless_tool(tools)


def _brings_system(shape: Shape, row: dict[str, Any]) -> bool:
    """Whether a conversation begins with a system turn, so that its `system` column is not read."""
    turns = row.get(str(shape.column("messages")))
    first = turns[0] if shape.formatting != "alpaca" and isinstance(turns, list) and turns else None
    tag = shape.tags["system_tag"]
    return isinstance(first, dict) and tag is not None and first.get(str(shape.tags["role_tag"])) == tag


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
    content, calls = str(tags["content_tag"]), "tool_calls" if shape.formatting == "openai" else ""
    for turn in turns:
        if not isinstance(turn.get(content), str) and not turn.get(calls):
            text = _("A turn of record {number} has {kind} instead of text.")
            verdict.fatal = ("bad_content", text.format(number=number, kind=kind_of(turn.get(content))))
            return
    for role, turn in zip(roles, turns, strict=True):
        fault = None
        if role in even and turn.get(calls):
            fault = calls_fault(turn[calls], number)
        elif role and role == tags["function_tag"]:
            fault = call_fault(turn[content], number)
        if fault is not None:
            verdict.fatal = ("bad_tool_call", fault)
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
