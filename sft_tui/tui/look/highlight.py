"""YAML and JSON with their keys, values and comments told apart; nothing in them is parsed as markup."""

from __future__ import annotations

import re

from textual.content import Content

from sft_tui.tui.look.text import clean, one_line

_YAML = re.compile(r"^(\s*(?:- )?)([^\s#][^:#]*?)(:)(\s+.*?)?(\s+#.*)?$")
_JSON = re.compile(r'^(\s*)("[^"]*")(:)(.*)$')


def highlighted(text: str, kind: str, width: int | None = None, ellipsis: str = "…") -> Content:
    """`text` as YAML, JSON, a diff or plain, line by line. In YAML a comment that does not fit in `width` is cut."""
    if kind == "yaml" and width is not None:
        text = "\n".join(_fitting(line, width, ellipsis) for line in text.split("\n"))
    line_of = {"yaml": _yaml_line, "json": _json_line, "diff": _diff_line}.get(kind, Content)
    return Content("\n").join([line_of(line) for line in clean(text).split("\n")])


def _fitting(line: str, width: int, ellipsis: str) -> str:
    start = line.find("  # ")
    return one_line(line, width, ellipsis) if 0 < start < width - 8 else line


def _yaml_line(line: str) -> Content:
    if line.lstrip().startswith("#"):
        return Content.styled(line, "bold" if line.startswith("###") else "dim")
    match = _YAML.match(line)
    if match is None:
        return Content(line)
    indent, key, colon, value, comment = match.groups()
    return Content.assemble(indent, (key, "$primary bold"), colon, value or "", (comment or "", "dim"))


def _json_line(line: str) -> Content:
    match = _JSON.match(line)
    if match is None:
        return Content(line)
    indent, key, colon, value = match.groups()
    return Content.assemble(indent, (key, "$primary bold"), colon, value)


def _diff_line(line: str) -> Content:
    style = {"+": "$success", "-": "$error"}.get(line[:1], "")
    return Content.styled(line, style) if style else Content(line)
