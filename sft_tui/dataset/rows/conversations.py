"""Conversations of any dialect (ShareGPT, OpenAI and between) to ShareGPT with fixed tags, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sft_tui.dataset.request import BAD_ROLES, EMPTY_INPUT, EMPTY_OUTPUT
from sft_tui.dataset.rows.samples import (
    Made,
    Maker,
    Malformed,
    drop,
    read_images,
    read_json,
    read_tools,
)
from sft_tui.dataset.rows.text import clean_text, json_text, parse_json
from sft_tui.i18n import _

USER, ASSISTANT, OBSERVATION, FUNCTION, SYSTEM = "human", "gpt", "observation", "function_call", "system"
MESSAGES = "conversations"
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": USER,
    "assistant_tag": ASSISTANT,
    "observation_tag": OBSERVATION,
    "function_tag": FUNCTION,
    "system_tag": SYSTEM,
}
"""How LLaMA-Factory finds roles and texts in the written conversations."""
ROLE_KEYS = ("role", "from", "speaker", "author")
TEXT_KEYS = ("content", "value", "text", "message")
_ROLES = {
    USER: ("human", "user", "prompter", "customer", "question", "用户", "客户"),
    ASSISTANT: (
        "gpt",
        "assistant",
        "bot",
        "chatgpt",
        "model",
        "ai",
        "chatbot",
        "bard",
        "bing",
        "answer",
        "助手",
        "客服",
    ),
    OBSERVATION: ("observation", "tool", "function", "function_response", "tool_response", "tool_result", "ipython"),
    FUNCTION: ("function_call", "tool_call", "tool_calls", "function-call"),
    SYSTEM: ("system", "developer", "系统"),
}
ROLES = {name: side for side, names in _ROLES.items() for name in names}
BESIDE_CALL, REASONING = "text_beside_call", "reasoning_content"
"""Texts that have no place in a written conversation."""
_BETWEEN_RESULTS = "\n</tool_response>\n<tool_response>\n"
"""What LLaMA-Factory puts between parallel results."""
_THOUGHT = re.compile(r"\A<think>.*?</think>\s*", re.DOTALL)


class TurnsMaker(Maker):
    """Makes `conversations`, `system` and `tools` (and `images` where they are mapped)."""

    def _make(self, record: Mapping[str, Any]) -> Made:
        columns = self.texts.columns
        messages = read_json(record.get(columns.messages or MESSAGES), "messages")
        if isinstance(messages, tuple):
            messages = list(messages)
        if messages is None or messages == []:
            return drop(EMPTY_INPUT)
        if not isinstance(messages, list):
            raise Malformed(_("the conversation is no list of turns"))
        turns, left_out = _turns(messages)
        tools = read_tools(record.get(columns.tools)) if columns.tools else ""
        images = read_images(record.get(columns.images)) if columns.images else None
        system = ""
        if turns and turns[0][0] == SYSTEM:
            system = turns.pop(0)[1]
        system = system or (clean_text(record.get(columns.system)) if columns.system else "") or self.texts.system or ""
        reason = check(turns)
        if reason is not None:
            return reason
        sample: dict[str, Any] = {
            MESSAGES: [{"from": side, "value": text} for side, text in turns],
            "system": system,
            "tools": tools,
        }
        if images is not None:
            sample["images"] = images
        return Made(sample, left_out=left_out)


def check(turns: list[tuple[str, str]]) -> Made | None:
    """What is wrong with `turns` (no system turn among them), or None."""
    if not turns:
        return drop(EMPTY_INPUT)
    for place, (side, _text) in enumerate(turns):
        expected = (USER, OBSERVATION) if place % 2 == 0 else (ASSISTANT, FUNCTION)
        if side not in expected or (place == 0 and side != USER):
            words = _("turn {number} is {side}, which cannot stand there").format(number=place + 1, side=side)
            return Made(None, BAD_ROLES, words)
    if len(turns) % 2:
        return Made(None, BAD_ROLES, _("the conversation ends without an answer"))
    if any(not text for _side, text in turns[0::2]):
        return drop(EMPTY_INPUT)
    if any(not text for _side, text in turns[1::2]):
        return drop(EMPTY_OUTPUT)
    return None


def _turns(messages: list[Any]) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Side and text of each turn, parallel tool results as one, and which kinds of text were left out."""
    turns: list[tuple[str, str]] = []
    left_out: dict[str, None] = {}
    for message in messages:
        if not isinstance(message, dict):
            raise Malformed(_("a turn is no object with a role and a text"))
        side, text, beside = _turn(message)
        left_out |= dict.fromkeys(beside)
        if side == OBSERVATION and turns and turns[-1][0] == OBSERVATION:
            turns[-1] = (OBSERVATION, _BETWEEN_RESULTS.join(part for part in (turns[-1][1], text) if part))
        else:
            turns.append((side, text))
    return turns, tuple(left_out)


def _turn(message: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    role_key = next((key for key in ROLE_KEYS if isinstance(message.get(key), str)), None)
    if role_key is None:
        raise Malformed(_("a turn has no role"))
    role = message[role_key].strip()
    side = ROLES.get(role.lower(), role)
    raw = next((message[key] for key in TEXT_KEYS if message.get(key) is not None), None)
    calls = message.get("tool_calls") or message.get("function_call")
    if side == ASSISTANT and calls and not isinstance(calls, str | bool):
        return FUNCTION, _openai_calls(calls), (BESIDE_CALL,) if _content(raw) else ()
    if side == FUNCTION:
        return FUNCTION, read_calls(raw), ()
    if side in (USER, ASSISTANT, OBSERVATION, SYSTEM):
        thought = side == ASSISTANT and message.get("reasoning_content")
        return side, _content(raw), (REASONING,) if thought else ()
    return side or "?", "", ()


def _content(raw: Any) -> str:
    """The text of a turn; a list of OpenAI text parts is joined."""
    if isinstance(raw, list | tuple) and not raw:
        return ""
    if isinstance(raw, list | tuple) and all(isinstance(part, dict) and "type" in part for part in raw):
        if any(part["type"] not in ("text", "input_text", "output_text") for part in raw):
            raise Malformed(_("a turn holds something other than text"))
        return "\n".join(text for text in (clean_text(part.get("text")) for part in raw) if text)
    return clean_text(raw)


def _openai_calls(calls: Any) -> str:
    found = list(calls) if isinstance(calls, list | tuple) else [calls]
    read = [_call(call.get("function", call) if isinstance(call, dict) else call) for call in found]
    return json_text(read[0] if len(read) == 1 else read)


def read_calls(raw: Any) -> str:
    """The text of a `function_call` turn: JSON of a name and arguments (or a list of them), arguments as objects."""
    given = clean_text(raw)
    if not given:
        return ""
    thought = _THOUGHT.match(given)
    body = given[thought.end() :] if thought else given
    try:
        calls = parse_json(body)
    except ValueError:
        raise Malformed(_("a function_call turn is no JSON")) from None
    found = calls if isinstance(calls, list) else [calls]
    if not found:
        raise Malformed(_("a function_call turn calls nothing"))
    read = [_call(call.get("function", call) if isinstance(call, dict) else call) for call in found]
    if isinstance(raw, str) and all(old is new for old, new in zip(found, read, strict=True)):
        return given
    text = json_text(read if isinstance(calls, list) else read[0])
    return f"{thought[0]}{text}" if thought else text


def _call(call: Any) -> Any:
    """One call with its arguments as an object; the same object where it already is one."""
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not call["name"].strip():
        raise Malformed(_("a function call has no name"))
    if "arguments" not in call:
        raise Malformed(_("a function call has no arguments"))
    arguments = call["arguments"]
    if isinstance(arguments, dict):
        return call if set(call) == {"name", "arguments"} else {"name": call["name"], "arguments": arguments}
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments) if arguments.strip() else {}
        except ValueError:
            arguments = None
    elif arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise Malformed(_("the arguments of {name} are no JSON object").format(name=call["name"]))
    return {"name": call["name"], "arguments": arguments}
