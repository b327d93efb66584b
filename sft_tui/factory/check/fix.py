"""Writing fixes into a YAML text: only what has to change is changed, comments and order stay."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from sft_tui.problems import Fix
from sft_tui.yaml_io import scalar


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a key and its value stand in a text, as character positions."""

    key_start: int
    key_end: int
    value_start: int
    value_end: int
    value: yaml.Node


def apply_fixes(text: str, fixes: Iterable[Fix]) -> str:
    """`text` with each fix made: `set` writes a value, `unset` removes a key, `rename` gives a key the name in `value`.

    The first fix of a key wins. A key that is not there yet is added at the end of its section.
    """
    done: set[str] = set()
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    for fix in fixes:
        if fix.key not in done:
            done.add(fix.key)
            plain = _apply(plain, fix)
    return plain.replace("\n", newline)


def unified_diff(before: str, after: str, name: str) -> str:
    """The change from `before` to `after` as `diff -u` shows it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (fixed)", n=1
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _apply(text: str, fix: Fix) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    parts = fix.key.split(".")
    entry = _find(root, parts)
    if fix.kind == "unset":
        return _remove(text, entry) if entry else text
    if fix.kind == "rename":
        new = str(fix.value)
        if entry is None:
            return text
        if _find(root, [*parts[:-1], new]) is not None:
            return _remove(text, entry)
        return text[: entry.key_start] + new + text[entry.key_end :]
    if entry is not None:
        return _replace(text, entry, scalar(fix.value))
    return _add(text, root, parts, scalar(fix.value))


def _find(node: yaml.Node | None, parts: list[str]) -> _Entry | None:
    """The entry of a dotted key; keys with dots of their own are not supported, LLaMA-Factory has none."""
    entry: _Entry | None = None
    for part in parts:
        if not isinstance(node, yaml.MappingNode):
            return None
        pair = next(((k, v) for k, v in node.value if k.value == part), None)
        if pair is None:
            return None
        key, node = pair
        start, end = node.start_mark.index, node.end_mark.index
        entry = _Entry(key.start_mark.index, key.end_mark.index, start, end, node)
    return entry


def _value_end(text: str, entry: _Entry) -> int:
    """Where the value ends without the blank lines and comments that PyYAML counts to a block."""
    end = entry.value_end
    if isinstance(entry.value, yaml.CollectionNode) and not entry.value.flow_style and entry.value.value:
        last = entry.value.value[-1]
        end = (last[1] if isinstance(last, tuple) else last).end_mark.index
    while end > entry.value_start and text[end - 1] in " \t\n":
        end -= 1
    return end


def _replace(text: str, entry: _Entry, value: str) -> str:
    end = _value_end(text, entry)
    colon = text.index(":", entry.key_end)
    if (
        entry.value_start == entry.value_end or "\n" in text[colon : entry.value_start]
    ):  # null, or a block below the key
        start = colon + 1
        return text[:start] + " " + value + text[max(start, end if entry.value_end > entry.value_start else start) :]
    return text[: entry.value_start] + value + text[end:]


def _remove(text: str, entry: _Entry) -> str:
    """Take the entry's lines out; in a flow mapping only the entry."""
    start = text.rfind("\n", 0, entry.key_start) + 1
    end = max(_value_end(text, entry), entry.key_end)
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end + 1
    before, after = text[start : entry.key_start], text[end:line_end]
    if before.strip(" -") == "" and not after.lstrip(" \t:,").startswith("}") and "{" not in before:
        return text[:start] + text[line_end:]
    tail = text[end:]
    trimmed = tail.lstrip(" ")
    if trimmed.startswith(","):
        return text[: entry.key_start] + trimmed[1:].lstrip(" ")
    return text[: entry.key_start].rstrip(" ,") + tail


def _add(text: str, root: yaml.Node | None, parts: list[str], value: str) -> str:
    """Add a key at the end of its section, making the section where there is none."""
    if len(parts) > 1:
        section = _find(root, parts[:-1])
        if section is None:
            return _add(text, root, parts[:1], "").rstrip(" \n") + f"\n  {parts[-1]}: {value}\n"
        if not isinstance(section.value, yaml.MappingNode):  # `train:` without anything
            at = section.key_end + 1
            return text[:at] + f"\n  {parts[-1]}: {value}" + text[at:]
        if section.value.flow_style:
            inner = text[section.value_start + 1 : section.value_end - 1].strip()
            body = f"{inner}, {parts[-1]}: {value}" if inner else f"{parts[-1]}: {value}"
            return text[: section.value_start] + "{" + body + "}" + text[section.value_end :]
        first = section.value.value[0][0]
        indent = " " * first.start_mark.column
        at = _line_end(text, _value_end(text, section))
        return text[:at] + f"{indent}{parts[-1]}: {value}\n" + text[at:]
    line = f"{parts[0]}: {value}".rstrip() + "\n"
    return text + ("" if text.endswith("\n") or not text else "\n") + line


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
