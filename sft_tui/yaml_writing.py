"""Writing YAML that people keep: comments beside values, numbers that YAML 1.1 and 1.2 both read as numbers."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from sft_tui.yaml_reading import is_number


def scalar(value: Any) -> str:
    """`value` as it stands behind `key: ` on one line; floats as `1.0e-4`, lists and mappings in flow style."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_in_flow(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_in_flow(k)}: {_in_flow(v)}" for k, v in value.items()) + "}"
    text = yaml.safe_dump(value, allow_unicode=True, width=1 << 30, default_flow_style=True)
    text = text.removesuffix("\n").removesuffix("\n...").removesuffix("\n")
    if isinstance(value, str) and ("\n" in text or (text == value and is_number(value))):
        return _quoted(value)
    return text


_SAFE_IN_FLOW = re.compile(r"[\w./]([\w./ -]*[\w./])?")


def _in_flow(value: Any) -> str:
    """`value` inside a flow collection, where more signs have a meaning than at the end of a line."""
    text = scalar(value)
    if isinstance(value, str) and text == value and not _SAFE_IN_FLOW.fullmatch(value):
        return _quoted(value)
    return text


def _quoted(value: str) -> str:
    return yaml.safe_dump(value, allow_unicode=True, width=1 << 30, default_style='"').removesuffix("\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    if value == 0 or 1e-3 <= abs(value) < 1e16:
        return repr(value)
    mantissa, _, exponent = f"{value:.16e}".partition("e")
    digits = mantissa.rstrip("0")
    shortest = repr(float(digits if not digits.endswith(".") else digits + "0"))
    for places in range(1, 17):
        candidate = f"{value:.{places}e}"
        if float(candidate) == value:
            shortest, _, exponent = candidate.partition("e")
            break
    sign = "-" if exponent.startswith("-") else "+"
    return f"{shortest}e{sign}{exponent.lstrip('+-').lstrip('0') or '0'}"


def commented(lines: list[tuple[str, Any, str]]) -> str:
    """`key: value  # comment` lines, comments aligned; a line with an empty key is a heading (`### text`)."""
    rendered = [(f"{key}: {scalar(value)}" if key else "", comment) for key, value, comment in lines]
    width = min(max((len(text) for text, _ in rendered), default=0), 44)
    out: list[str] = []
    for text, comment in rendered:
        if not text:
            out += ([""] if out else []) + [f"### {comment}"]
        elif comment:
            out.append(f"{text:<{width}}  # {comment}")
        else:
            out.append(text)
    return "\n".join(out) + "\n"
