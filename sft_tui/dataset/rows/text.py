"""Values of any source as text, without damage: numbers keep their written form, missing values stay missing."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

WHITESPACE = "".join(chr(code) for code in (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)))
WHITESPACE += "\u2028\u2029\u202f\u205f\u3000"
"""What `str.strip` removes. Named, so that other engines strip exactly the same."""


class Number(str):
    """A number of a JSON document, as it was written."""

    __slots__ = ()


def written_numbers(token: str) -> Number:
    """The hook for `json.loads` that keeps a number's text."""
    return Number(token)


def _constant(token: str) -> Number | None:
    return None if token == "NaN" else Number(token)


_decoder = json.JSONDecoder(
    parse_float=written_numbers, parse_int=written_numbers, parse_constant=_constant, strict=False
)


def parse_json(text: str) -> Any:
    """`text` as JSON with its numbers as `Number`. Raises ValueError, also for nesting beyond reason."""
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _scalar(value: Any) -> str | None:
    """JSON text of a number, bool, null or time; None for what is none of them."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return None


_quote: Callable[[str], str] = json.encoder.encode_basestring


def json_text(value: Any) -> str:
    """`value` as JSON text: numbers as written, other characters as they are, `", "` and `": "` between."""
    plain = _scalar(value)
    if plain is not None:
        return plain
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quote(str(key))}: {json_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(json_text(item) for item in value) + "]"
    return _quote(to_text(value) or "")


def _of_float(value: float) -> str | None:
    if math.isnan(value):
        return None
    return repr(value)


def _of_time(value: Any) -> str:
    return str(value.isoformat())


def _of_timedelta(value: datetime.timedelta) -> str:
    """ISO 8601: `P1DT2H3M4.5S`."""
    sign = "-" if value < datetime.timedelta(0) else ""
    value = abs(value)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours}H{minutes}M{seconds}{fraction}S"


def to_text(value: Any) -> str | None:
    """`value` as text, or None where it is missing (null, NaN). Outer whitespace is not touched here."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _of_float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else format(value, "f")
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, datetime.timedelta):
        return _of_timedelta(value)
    if isinstance(value, datetime.date | datetime.time):
        return _of_time(value)
    if isinstance(value, Mapping | list | tuple):
        return json_text(value)
    return str(value)


def clean_text(value: Any) -> str:
    """`value` as stripped text; "" where it is missing. Raises UnicodeError for text that no file can hold."""
    text = to_text(value)
    if text is None:
        return ""
    text = text.strip(WHITESPACE)
    if not text.isascii():
        text.encode("utf-8")
    return str(text) if type(text) is not str else text
