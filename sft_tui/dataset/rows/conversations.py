"""Conversations of any dialect (ShareGPT, OpenAI and between) to ShareGPT with fixed tags, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sft_tui.dataset.request import BAD_ROLES, EMPTY_INPUT, EMPTY_OUTPUT, MASKED_TURN, REJECTED
from sft_tui.dataset.rows.calls import openai_calls, read_calls, without_nulls
from sft_tui.dataset.rows.marks import is_trained, is_weighted
from sft_tui.dataset.rows.media import MEDIA, PART_TYPES, add_media, part_file
from sft_tui.dataset.rows.roles import (
    ASSISTANT,
    FUNCTION,
    MESSAGES,
    OBSERVATION,
    ROLE_KEYS,
    ROLES,
    SYSTEM,
    TEXT_KEYS,
    USER,
)
from sft_tui.dataset.rows.samples import BESIDE_CALL, CUT_TURNS, MARKED, REASONING, WEIGHTED, Made, Maker, Texts, drop
from sft_tui.dataset.rows.text import clean_text
from sft_tui.dataset.rows.values import Malformed, read_json
from sft_tui.i18n import _

_BETWEEN_RESULTS = "\n</tool_response>\n<tool_response>\n"
"""What LLaMA-Factory puts between parallel results."""
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
_TEXT_PARTS = ("text", "input_text", "output_text")
_THOUGHT_PARTS = ("thinking", "reasoning")


class Turn(NamedTuple):
    """Who speaks, what, whether it may be trained on, what should be said of it, and its files with their roles."""

    side: str
    text: str
    trained: bool = True
    left_out: tuple[str, ...] = ()
    files: tuple[tuple[str, Any], ...] = ()


class TurnsMaker(Maker):
    """Makes `conversations`, `system` and `tools`, and files where they are mapped."""

    def _make(self, record: Mapping[str, Any]) -> Made:
        columns = self.texts.columns
        messages = self._messages(record)
        if not messages:
            return drop(EMPTY_INPUT)
        turns = _turns(messages, self.texts)
        tools = self.texts.tools(record)
        system = ""
        if turns and turns[0].side == SYSTEM:
            system = turns.pop(0).text
        system = system or (clean_text(record.get(columns.system)) if columns.system else "") or self.texts.system or ""
        reason = check(turns)
        if reason is not None:
            return reason
        return self._sample(record, turns, {"system": system, "tools": tools})

    def _messages(self, record: Mapping[str, Any]) -> list[Any]:
        """The turns of `record`, with those of a column of their own that holds the last answer."""
        columns = self.texts.columns
        messages = read_json(record.get(columns.messages or MESSAGES), "messages")
        if messages is not None and not isinstance(messages, list | tuple):
            raise Malformed(_("the conversation is no list of turns"))
        found = list(messages or ())
        if columns.output:
            answer = record.get(columns.output)
            if isinstance(answer, str) and answer.lstrip().startswith("[{"):
                answer = read_json(answer, columns.output)
            if isinstance(answer, list | tuple):
                found += answer
            elif isinstance(answer, dict):
                found.append(answer)
            elif answer is not None:
                found.append({"role": "assistant", "content": answer})
        return found

    def _sample(self, record: Mapping[str, Any], turns: list[Turn], beside: dict[str, Any]) -> Made:
        """The sample up to the last answer that is trained on."""
        last = max((at for at in range(1, len(turns), 2) if turns[at].trained), default=-1)
        if last < 0:
            return drop(REJECTED)
        if not self.texts.mask_history and not all(turn.trained for turn in turns[1:last:2]):
            return drop(MASKED_TURN)
        left_out = dict.fromkeys(kind for turn in turns for kind in turn.left_out)
        left_out |= {CUT_TURNS: None} if last + 1 < len(turns) else {}
        kept = turns[: last + 1]
        written = [{"from": turn.side, "value": turn.text} for turn in kept]
        sample: dict[str, Any] = {MESSAGES: written, **beside}
        if self.texts.media:
            files = {
                role: [file for turn in kept for own, file in turn.files if own == role]
                if column == self.texts.columns.messages
                else record.get(column)
                for role, column in self.texts.media.items()
            }
            marks = add_media(sample, files, self.texts.folders, lambda: [turn.text for turn in kept])
            if marks:
                written[0]["value"] = marks + kept[0].text
                left_out |= {MARKED: None}
        return Made(sample, left_out=tuple(left_out))


def check(turns: list[Turn]) -> Made | None:
    """What is wrong with `turns` (no system turn among them), or None."""
    if not turns:
        return drop(EMPTY_INPUT)
    for place, turn in enumerate(turns):
        expected = (USER, OBSERVATION) if place % 2 == 0 else (ASSISTANT, FUNCTION)
        if turn.side not in expected or (place == 0 and turn.side != USER):
            words = _("turn {number} is {side}, which cannot stand there").format(number=place + 1, side=turn.side)
            return Made(None, BAD_ROLES, words)
    if len(turns) % 2:
        return Made(None, BAD_ROLES, _("the conversation ends without an answer"))
    if any(not turn.text for turn in turns[0::2]):
        return drop(EMPTY_INPUT)
    if any(not turn.text for turn in turns[1::2]):
        return drop(EMPTY_OUTPUT)
    return None


def _turns(messages: list[Any], texts: Texts) -> list[Turn]:
    """Each turn, parallel tool results as one."""
    turns: list[Turn] = []
    for message in messages:
        if not isinstance(message, dict):
            raise Malformed(_("a turn is no object with a role and a text"))
        turn = _turn(message, texts)
        if turn.side == OBSERVATION and turns and turns[-1].side == OBSERVATION:
            joined = _BETWEEN_RESULTS.join(part for part in (turns[-1].text, turn.text) if part)
            turns[-1] = turn._replace(text=joined)
        else:
            turns.append(turn)
    return turns


def _turn(message: dict[str, Any], texts: Texts) -> Turn:
    role_key = next((key for key in ROLE_KEYS if isinstance(message.get(key), str)), None)
    if role_key is None:
        raise Malformed(_("a turn has no role"))
    role = message[role_key].strip()
    side = ROLES.get(role.lower(), role)
    raw = next((message[key] for key in TEXT_KEYS if message.get(key) is not None), None)
    calls = message.get("tool_calls") or message.get("function_call")
    if texts.sparse:
        calls, raw = without_nulls(calls), raw if isinstance(raw, str) else without_nulls(raw)
    if side == ASSISTANT and calls and not isinstance(calls, str | bool):
        beside = (BESIDE_CALL,) if _content(raw) else ()
        return _answer(message, FUNCTION, openai_calls(calls), texts, beside)
    if side == FUNCTION:
        return _answer(message, FUNCTION, read_calls(raw), texts)
    if side == ASSISTANT:
        return _answer(message, ASSISTANT, _content(raw), texts)
    if side not in (USER, OBSERVATION, SYSTEM):
        return Turn(side or "?", "")
    return Turn(side, _content(raw, texts), files=_files(raw) if texts.media else ())


def _answer(message: dict[str, Any], side: str, text: str, texts: Texts, left_out: tuple[str, ...] = ()) -> Turn:
    """A turn of the model, after its reasoning where that is kept."""
    thought = next((clean_text(value) for key in _REASONING_KEYS if isinstance(value := message.get(key), str)), "")
    thought = thought or _thoughts(message.get("content"))
    if thought:
        left_out += (REASONING,)
        text = texts.with_reasoning(thought, text)
    if is_weighted(message):
        left_out += (WEIGHTED,)
    return Turn(side, text, is_trained(message), left_out)


def _is_parts(raw: Any) -> bool:
    return isinstance(raw, list | tuple) and all(isinstance(part, dict) and "type" in part for part in raw)


def _thoughts(raw: Any) -> str:
    """The reasoning among the parts of a turn."""
    if not raw or not _is_parts(raw):
        return ""
    parts = [part for part in raw if part["type"] in _THOUGHT_PARTS]
    return "\n".join(clean_text(_part(part)) for part in parts)


def _part(part: dict[str, Any]) -> Any:
    """The text of a part: under its type, as `text`, or as `value` (LLaMA-Factory v1)."""
    return next((part[key] for key in (part["type"], "text", "value", "content") if part.get(key) is not None), None)


def _files(raw: Any) -> tuple[tuple[str, Any], ...]:
    """The files that the parts of a turn name, with their roles."""
    if not _is_parts(raw):
        return ()
    parts = [part for part in raw if part["type"] in PART_TYPES]
    return tuple((PART_TYPES[part["type"]], file) for part in parts if (file := part_file(part)) is not None)


def _content(raw: Any, texts: Texts | None = None) -> str:
    """The text of a turn; text parts are joined, with a mark for each file where `texts` has a place for it."""
    if not _is_parts(raw):
        return clean_text(raw)
    found = ""
    for part in raw:
        role = PART_TYPES.get(part["type"], "")
        if part["type"] in _TEXT_PARTS:
            text = clean_text(_part(part))
            found += "\n" + text if text and found and not found.endswith(tuple(MEDIA.values())) else text
        elif texts is not None and role in texts.media:
            found += MEDIA[role]
        elif part["type"] not in _THOUGHT_PARTS:
            raise Malformed(_("a turn holds something other than text"))
    return found
