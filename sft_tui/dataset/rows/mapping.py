"""Which column is what: what the user says, what known names say, and a refusal with the columns where neither does."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sft_tui.dataset.request import FORMATS, Columns
from sft_tui.dataset.rows.marks import Head, find_label, find_split, present
from sft_tui.dataset.rows.media import MEDIA, parts_roles
from sft_tui.dataset.rows.names import KNOWN, by_parts, fold, found
from sft_tui.dataset.rows.preference import refuse_preferences
from sft_tui.dataset.rows.roles import ROLE_KEYS, ROLES, TEXT_KEYS
from sft_tui.dataset.rows.text import parse_json
from sft_tui.i18n import _
from sft_tui.problems import Refusal, nearest, refuse

FLAGS = {f.name: f"--{f.name}-column" for f in fields(Columns)}
"""The option that names the column of each role."""
_ALWAYS = ("label", "split", *MEDIA)
"""Roles that are looked for even where other columns are named: a row would else mean something it does not say."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """How records become samples: `written` is alpaca or sharegpt, `shape` the format that was recognised."""

    shape: str
    columns: Columns

    @property
    def written(self) -> str:
        """The format of the written rows."""
        return "sharegpt" if self.columns.messages else "alpaca"


def is_turns(value: Any) -> bool:
    """Whether `value` is a conversation, or the JSON text of one."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return False
        try:
            value = parse_json(value)
        except ValueError:
            return False
    if not isinstance(value, list | tuple) or not value or not all(isinstance(turn, dict) for turn in value):
        return False
    turn = value[0]
    role = next((turn[key] for key in ROLE_KEYS if isinstance(turn.get(key), str)), None)
    speaks = any(key in turn for key in (*TEXT_KEYS, "tool_calls", "function_call"))
    return role is not None and speaks and (role.strip().lower() in ROLES or "from" in turn or "role" in turn)


def map_columns(
    columns: Sequence[str],
    head: Head,
    *,
    asked: Columns,
    shape: str = "auto",
) -> Mapped:
    """The mapping for a source with `columns`, whose first records are `head`. Refuses what stays unclear."""
    if shape not in FORMATS:
        known = ", ".join(FORMATS)
        message = _("There is no format {format}; it is one of: {known}").format(format=shape, known=known)
        raise refuse("bad_format", message, key="data.format", hint=_("Leave it at auto."))
    check_named(columns, asked)
    turns = [name for name in dict.fromkeys(columns) if any(record and is_turns(record.get(name)) for record in head)]
    if not asked.output and not asked.messages:
        refuse_preferences(columns, head, is_turns)
    wants_turns = shape in ("sharegpt", "openai") or bool(asked.messages) or asked.input in turns
    wants_columns = shape in ("columns", "alpaca") or any(
        getattr(asked, role) for role in ("instruction", "input", "output", "history")
    )
    if wants_turns or (turns and not wants_columns):
        mapped = _map_turns(columns, turns, asked, shape, head)
    else:
        if not asked.mapped():
            _refuse_single_turns(columns, head)
            _refuse_running_text(columns)
        mapped = _map_texts(columns, asked, shape, head)
    complete = _with_extras(mapped.columns, columns, asked, head)
    for role in MEDIA:
        _refuse_stored(role, getattr(complete, role), head)
    return replace(mapped, columns=complete)


def _with_extras(mapped: Columns, columns: Sequence[str], asked: Columns, head: Head) -> Columns:
    """`mapped` with the columns beside prompt and answer; most of them only where no column is named at all."""
    used = mapped.mapped().values()
    free = [name for name in columns if name not in used and columns.count(name) == 1]
    roles = ("system", "tools", "reasoning", *_ALWAYS) if not asked.mapped() else _ALWAYS
    guessed: dict[str, str | None] = {}
    for role in roles:
        if getattr(asked, role) is not None or getattr(mapped, role):
            continue
        if role == "label":
            name = find_label(free, head)
        elif role == "split":
            name = find_split(free, head)
        else:
            likely = (name for name in found(free, KNOWN[role]) if role not in MEDIA or _holds_files(head, name))
            name = next(likely, None)
        if name is not None:
            guessed[role] = name
            free.remove(name)
    if mapped.messages:
        guessed.pop("reasoning", None)
    return replace(mapped, **guessed)


def _refuse_stored(role: str, column: str | None, head: Head) -> None:
    """Refuse pictures that are in the data themselves, as data sets on hubs have them."""
    values = present(column, head) if column else []
    items = (item for value in values for item in (value if isinstance(value, list | tuple) else [value]))
    if any(isinstance(item, dict) and isinstance(item.get("bytes"), bytes | str) for item in items):
        message = _("`{column}` holds pictures, films or sounds themselves; LLaMA-Factory reads files.")
        hint = _(
            'Write each to a file and its path into the column, or pass them over: {flag} "" (in the answers, '
            '`{role}: ""` under `data.columns`).'
        )
        text, way = message.format(column=column), hint.format(flag=FLAGS[role], role=role)
        raise refuse("stored_files", text, key=f"data.columns.{role}", hint=way)


def _holds_files(head: Head, column: str) -> bool:
    """Whether the cells name files, or hold what should be files."""
    values = [value for record in head if record and (value := record.get(column))]
    return bool(values) and all(
        isinstance(value, dict) or (isinstance(value, str) and len(value) < 4096) or _is_path_list(value)
        for value in values
    )


def _is_path_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(path, str | dict | list) for path in value)


def check_named(columns: Sequence[str], asked: Columns) -> None:
    """Refuse names that the source does not have, or has twice."""
    for role, column in asked.mapped().items():
        flag = FLAGS[role]
        if column not in columns:
            close = nearest(column, columns)
            hint = (
                _("Did you mean {names}? Give it with {flag}.").format(names=" / ".join(close), flag=flag)
                if close
                else _("Name one of them with {flag}.").format(flag=flag)
            )
            message = _("There is no column {column}; the columns are: {columns}")
            raise refuse(
                "unknown_column",
                message.format(column=column, columns=listed(columns)),
                key=f"data.columns.{role}",
                hint=hint,
            )
        if columns.count(column) > 1:
            message = _("The source has {count} columns named {column}; the columns are: {columns}")
            text = message.format(count=columns.count(column), column=column, columns=listed(columns))
            hint = _("Rename one of them in the file, then give {flag}.").format(flag=flag)
            raise refuse("ambiguous_column", text, key=f"data.columns.{role}", hint=hint)


def listed(columns: Sequence[str]) -> str:
    """Names of columns for a message: at most 40, each cut: a first line that is no header may hold anything."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:39]}…" for name in columns[:40])
    return shown if len(columns) <= 40 else _("{shown} and {more} more").format(shown=shown, more=len(columns) - 40)


def _map_turns(columns: Sequence[str], turns: Sequence[str], asked: Columns, shape: str, head: Head) -> Mapped:
    column, answer = asked.messages, asked.output
    if not column and asked.input in turns:
        column = asked.input
    if not column:
        known = [name for name in found(columns, KNOWN["messages"]) if name in turns]
        prompts, answers = (found(list(turns), KNOWN[role]) for role in ("input", "output"))
        if not known and len(turns) == 2 and len(prompts) == len(answers) == 1:
            known, answer = prompts, answers[0]
        known = known or list(turns)
        if len(known) > 1:
            raise _unclear("messages", known, columns)
        candidates = known or found(columns, KNOWN["messages"])[:1]
        if not candidates:
            message = _("No column holds a conversation; the columns are: {columns}").format(columns=listed(columns))
            hint = _("Give the columns of prompt and answer with --input-column and --output-column.")
            raise refuse("no_messages", message, key="data.columns.messages", hint=hint)
        column = candidates[0]
    if shape not in ("sharegpt", "openai"):
        shape = "openai" if _first_keys(head, column) & {"role"} else "sharegpt"
    kept = {role: getattr(asked, role) or None for role in ("system", "tools", *_ALWAYS)}
    named = {role for value in present(column, head) if isinstance(value, list | tuple) for role in parts_roles(value)}
    kept |= {role: column for role in named if getattr(asked, role) is None}
    return Mapped(shape, Columns(messages=column, output=answer or None, **kept))


def _first_keys(head: Head, column: str) -> set[str]:
    for record in head:
        value = record.get(column) if record else None
        if is_turns(value):
            turns: Any = parse_json(value) if isinstance(value, str) else value
            return set(turns[0])
    return set()


def _refuse_single_turns(columns: Sequence[str], head: Head) -> None:
    """Refuse rows that are one message of a conversation each: a role beside a text, and neither prompt nor answer."""
    folded = {fold(column) for column in columns}
    sides = (*found(columns, (*KNOWN["input"], *KNOWN["output"])), *by_parts(columns, "output", head))
    if not sides and not folded.isdisjoint(ROLE_KEYS) and not folded.isdisjoint(TEXT_KEYS):
        message = _("Each row is one message of a conversation (columns: {columns}), not a prompt with its answer.")
        hint = _("Join the messages of each conversation into a list of turns: {example}")
        example = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'
        text = message.format(columns=listed(columns))
        raise refuse("single_turns", text, key="data.columns.messages", hint=hint.format(example=example))


def _refuse_running_text(columns: Sequence[str]) -> None:
    folded = {fold(column) for column in columns}
    if folded and folded <= {"text", "content", "id", "meta", "source", "url", "title"} and "text" in folded:
        message = _("There is only running text (columns: {columns}), no prompt and answer to fine-tune on.")
        hint = _("If a column holds the answers, name it with --output-column, and the prompts with --input-column.")
        raise refuse("no_answers", message.format(columns=listed(columns)), key="data.columns.output", hint=hint)


def _unclear(role: str, candidates: Sequence[str], columns: Sequence[str]) -> Refusal:
    message = _("Several columns could be the {role}: {candidates}; the columns are: {columns}")
    text = message.format(role=_role_word(role), candidates=", ".join(candidates), columns=listed(columns))
    hint = _("Name the right one with {flag}.").format(flag=FLAGS[role])
    return refuse("ambiguous_columns", text, key=f"data.columns.{role}", hint=hint)


def _missing(role: str, columns: Sequence[str]) -> Refusal:
    message = _("No column can be recognised as the {role}; the columns are: {columns}")
    text = message.format(role=_role_word(role), columns=listed(columns))
    hint = _("Name it with {flag}.").format(flag=FLAGS[role])
    return refuse("unknown_columns", text, key=f"data.columns.{role}", hint=hint)


def _role_word(role: str) -> str:
    words = {
        "input": _("prompt"),
        "instruction": _("instruction"),
        "output": _("answer"),
        "messages": _("conversation"),
    }
    return words.get(role, role)


def _map_texts(columns: Sequence[str], asked: Columns, shape: str, head: Head) -> Mapped:
    names = list(dict.fromkeys(columns))
    guessed = replace(asked, **{f.name: getattr(asked, f.name) or None for f in fields(asked)})
    if not asked.instruction and not asked.input:
        free = [name for name in names if name not in asked.mapped().values()]
        guessed = replace(guessed, **guess_prompt(free, columns, shape, head))
    if not asked.output:
        free = [name for name in names if name not in guessed.mapped().values()]
        guessed = replace(guessed, output=guess_answer(free, columns, shape, head))
    if not asked.mapped():
        guessed = replace(guessed, history=next(iter(found(names, KNOWN["history"])), None))
    check_named(columns, guessed)
    alpaca = guessed.output == "output" and (guessed.instruction == "instruction" or guessed.input == "input")
    return Mapped("alpaca" if shape == "alpaca" or (shape == "auto" and alpaca) else "columns", guessed)


def guess_answer(free: Sequence[str], columns: Sequence[str], shape: str, head: Head) -> str:
    """The column of `free` that holds the answers. Refuses none, and several."""
    answers = ["output"] if shape == "alpaca" and "output" in free else found(free, KNOWN["output"])
    answers = answers or by_parts(free, "output", head)
    if len(answers) > 1:
        raise _unclear("output", answers, columns)
    if not answers:
        raise _missing("output", columns)
    return answers[0]


def guess_prompt(free: Sequence[str], columns: Sequence[str], shape: str, head: Head) -> dict[str, str]:
    """The columns of `free` with instruction and question. Refuses none, and several for one of them."""
    if shape == "alpaca":
        plain = {role: role for role in ("instruction", "input") if role in free}
        if plain:
            return plain
        raise _missing("instruction", columns)
    leads, asks = (found(free, KNOWN[role]) for role in ("instruction", "input"))
    if not asks and leads:
        asks = [name for name in free if fold(name) in ("context", "inputcontext")][:1]
    if not asks and not leads:
        leads, asks = (by_parts(free, role, head) for role in ("instruction", "input"))
    if len(asks) > 1:
        raise _unclear("input", asks, columns)
    if len(leads) > 1:
        raise _unclear("instruction", leads, columns)
    if not asks and not leads:
        raise _missing("input", columns)
    mapping = {"instruction": leads[0]} if leads else {}
    return {**mapping, "input": asks[0]} if asks else mapping


def guess_partly(columns: Sequence[str], head: Head) -> Columns:
    """What can be told of a source whose mapping stays unclear as a whole: one unknown column drops no other."""
    guessed = Columns()
    with contextlib.suppress(Refusal):
        guessed = replace(guessed, **guess_prompt(columns, columns, "auto", head))
    with contextlib.suppress(Refusal):
        free = [name for name in columns if name not in guessed.mapped().values()]
        guessed = replace(guessed, output=guess_answer(free, columns, "auto", head))
    return guessed
