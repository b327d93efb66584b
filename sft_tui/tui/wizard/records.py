"""Records of a source, and the samples that they become, as something to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from textual.content import Content

from sft_tui.factory.rendering import IGNORED
from sft_tui.i18n import _
from sft_tui.tui.look.text import clean, one_line

if TYPE_CHECKING:
    from sft_tui.factory.rendering import Rendered

LONGEST = 4000
"""Characters of a value that are shown."""


def as_content(record: Mapping[str, Any]) -> Content:
    """A record with its keys in bold; turns one below the other. Long values are cut, with a word about it."""
    parts: list[Content] = []
    for key, value in record.items():
        parts.append(Content.styled(one_line(str(key), 60), "bold"))
        text = _value_text(value)
        if len(text) > LONGEST:
            more = _("(and {count:,} more characters)").format(count=len(text) - LONGEST)
            text = f"{text[:LONGEST]} {more}"
        parts.append(Content(clean(text) or _("(empty)")))
    return Content("\n").join(parts)


def _value_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(turn, Mapping) for turn in value):
        return "\n".join("  ".join(str(part) for part in turn.values()) for turn in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def as_text(record: Mapping[str, Any]) -> str:
    """All values below each other, for searching."""
    return "\n".join(_value_text(value) for value in record.values())


def as_tokens(tokens: Rendered) -> Content:
    """A sample as its tokens, in double brackets what carries loss; and how many of them that are."""
    if tokens.error is not None:
        return Content(clean(_("LLaMA-Factory cannot take it: {error}").format(error=tokens.error)))
    head = _("{length} tokens, {trained} of them trained ([[...]]):")
    parts = [Content.styled(head.format(length=len(tokens.ids), trained=tokens.trained), "bold"), Content("\n")]
    for trained, group in groupby(zip(tokens.texts, tokens.labels, strict=True), lambda pair: pair[1] != IGNORED):
        text = clean("".join(text for text, _label in group))
        parts.append(Content.styled(f"[[{text}]]", "bold") if trained else Content.styled(text, "dim"))
    if tokens.truncated:
        lost = tokens.full_length - len(tokens.ids)
        parts.append(Content("\n" + _("{count} tokens are cut off by the longest sample's length.").format(count=lost)))
    return Content("").join(parts)
