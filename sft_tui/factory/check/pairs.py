"""Whether the answers of preference datasets (pairs, good or bad ones) are what the stages dpo, rm and kto read."""

from __future__ import annotations

from typing import Any

from sft_tui.factory.check.kinds import kind_of
from sft_tui.factory.check.shapes import Shape, Verdict
from sft_tui.i18n import _


def pair_keys(shape: Shape, rows: list[Any]) -> set[str]:
    """The keys that every chosen and rejected answer has once Arrow has given each all of them."""
    found: list[set[str]] = []
    for name in ("chosen", "rejected"):
        column = str(shape.column(name))
        answers = (row.get(column) for row in rows if isinstance(row, dict))
        found.append({key for answer in answers if isinstance(answer, dict) for key in answer})
    return found[0] & found[1]


def judge_preference(
    shape: Shape, row: dict[str, Any], stage: str, number: int, verdict: Verdict, keys: set[str]
) -> None:
    """Pairs need two answers of the declared form; a `kto_tag` must be true or false, and turns sft samples away."""
    if verdict.fatal or sum(verdict.dropped.values()) >= verdict.examined:
        return
    if shape.ranking:
        wanted = str if shape.formatting == "alpaca" else dict
        for name in ("chosen", "rejected"):
            value = row.get(str(shape.column(name)))
            if not isinstance(value, wanted):
                reason = _("column `{column}` is {kind}").format(column=shape.column(name), kind=kind_of(value))
                verdict.dropped[reason] += 1
                return
        if wanted is dict:
            _pair(shape, row, number, verdict, keys)
    column = shape.column("kto_tag")
    if column and stage == "kto" and not isinstance(row.get(column), bool):
        kind = kind_of(row.get(column))
        verdict.dropped[_("column `{column}` is {kind}, not true or false").format(column=column, kind=kind)] += 1
    elif column and stage == "sft" and isinstance(row.get(column), bool):
        verdict.dropped[_("`kto_tag` marks them for stage kto")] += 1


def _pair(shape: Shape, row: dict[str, Any], number: int, verdict: Verdict, keys: set[str]) -> None:
    """The two answers of a pair of conversations are turns, with a role that a tag declares and with text."""
    role_tag, content_tag = str(shape.tags["role_tag"]), str(shape.tags["content_tag"])
    for name in ("chosen", "rejected"):
        column, answer = shape.column(name), row[str(shape.column(name))]
        lacking = next((tag for tag in (role_tag, content_tag) if tag not in keys), None)
        role, content = answer.get(role_tag), answer.get(content_tag)
        if lacking is not None:
            text = _("`{column}` of record {number} has no `{tag}`; it has {names}.")
            names = ", ".join(f"`{key}`" for key in answer)
            verdict.fatal = ("missing_tag", text.format(column=column, number=number, tag=lacking, names=names))
        elif role not in _turn_roles(shape):
            text = _("`{column}` of record {number} has role `{role}`, which no tag declares.")
            verdict.fatal = ("bad_roles", text.format(column=column, number=number, role=role))
        elif not isinstance(content, str):
            text = _("`{column}` of record {number} has {kind} instead of text.")
            verdict.fatal = ("bad_content", text.format(column=column, number=number, kind=kind_of(content)))
        if verdict.fatal:
            return


def _turn_roles(shape: Shape) -> set[str | None]:
    names = ("user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")
    return {shape.tags[name] for name in names}
