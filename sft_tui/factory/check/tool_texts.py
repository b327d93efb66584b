"""Tools and tool calls in a dataset, which LLaMA-Factory reads as JSON texts (its `data/formatter.py`)."""

from __future__ import annotations

import json
import re
from typing import Any

from sft_tui.i18n import _

_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_THOUGHT = re.compile(r"<think>\n?(.*?)\n?</think>(\n\n)?", re.DOTALL)


def tools_fault(text: Any, column: str | None, number: int) -> str | None:
    """What is wrong with the tools of record `number`: they must be the JSON text of a list of objects."""
    value = _parsed(text)
    if value is _NO_JSON:
        message = _("Column `{column}` of record {number} must hold the tools as a JSON text.")
    elif not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        if value in ({}, ""):
            return None
        message = _("The tools in column `{column}` of record {number} must be a list of objects.")
    else:
        return None
    return message.format(column=column, number=number)


def nameless_tool(text: Any) -> bool:
    """Whether one of the tools has no name or no parameters (some templates read both, and all models need them)."""
    value = _parsed(text)
    tools = [tool.get("function", tool) for tool in value if isinstance(tool, dict)] if isinstance(value, list) else []
    return any(not isinstance(tool, dict) or "name" not in tool or "parameters" not in tool for tool in tools)


def call_fault(text: str, number: int) -> str | None:
    """What is wrong with a function call of record `number`: `{"name": ..., "arguments": ...}` or a list of such.

    A thought before it and `<tool_call>` around it are allowed.
    """
    match = _CALL.search(text)
    value = _parsed(match.group(1) if match else _THOUGHT.sub("", text, count=1))
    if value is _NO_JSON:
        return _("A tool call of record {number} is no JSON.").format(number=number)
    return _lacking(value if isinstance(value, list) else [value], number)


def calls_fault(calls: Any, number: int) -> str | None:
    """What is wrong with the `tool_calls` of an OpenAI message: a list of `{"function": {...}}`."""
    if not isinstance(calls, list) or not all(isinstance(c, dict) and "function" in c for c in calls):
        return _("`tool_calls` of record {number} must be a list of objects with a `function`.").format(number=number)
    return _lacking([call["function"] for call in calls], number)


def _lacking(calls: list[Any], number: int) -> str | None:
    for call in calls:
        lacking = [key for key in ("name", "arguments") if not isinstance(call, dict) or key not in call]
        if lacking:
            message = _("A tool call of record {number} has no `{key}`; it needs `name` and `arguments`.")
            return message.format(number=number, key=lacking[0])
    return None


_NO_JSON = object()


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else _NO_JSON
    except (ValueError, RecursionError):
        return _NO_JSON
