"""Tool calls and tool descriptions as LLaMA-Factory reads them."""

from __future__ import annotations

import re
from typing import Any

from sft_tui.dataset.rows.text import clean_text, json_text, parse_json
from sft_tui.dataset.rows.values import Malformed, read_json
from sft_tui.i18n import _

_THOUGHT = re.compile(r"\A<think>.*?</think>\s*", re.DOTALL)


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
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if isinstance(properties, dict) and None not in properties.values():
        return tool
    if parameters is not None and not isinstance(parameters, dict):
        raise Malformed(_("the parameters of tool {name} are no object").format(name=inner["name"]))
    if properties is None and parameters and all(isinstance(schema, dict) for schema in parameters.values()):
        properties, parameters = parameters, None  # named without the schema around them, as xLAM does
    described = {name: schema for name, schema in (properties or {}).items() if schema is not None}
    filled = {"type": "object", **(parameters or {}), "properties": described}
    return (
        {**tool, "function": {**inner, "parameters": filled}} if inner is not tool else {**inner, "parameters": filled}
    )


def without_nulls(value: Any) -> Any:
    """`value` without the empty fields of its objects: tables give every object the fields of all others.

    A call that has no arguments keeps its empty ones.
    """
    if isinstance(value, dict):
        kept = ((key, item) for key, item in value.items() if item is not None or key == "arguments")
        return {key: without_nulls(item) for key, item in kept}
    return [without_nulls(item) for item in value] if isinstance(value, list | tuple) else value


def openai_calls(calls: Any) -> str:
    """The text of a turn that calls tools, from the list (or the one object) that OpenAI has beside the text."""
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
