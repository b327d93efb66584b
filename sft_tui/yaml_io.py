"""YAML as people keep it, read as its authors mean it and written so that every reader agrees.

PyYAML follows YAML 1.1, where `1e-4` is a string; LLaMA-Factory's OmegaConf reads a number. Both are accepted here.
Duplicate keys are refused because OmegaConf refuses them too. What is written has comments beside values, and numbers
that YAML 1.1 and 1.2 both read as numbers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_LEVELS = 50
"""Values inside of each other; nothing that is kept as YAML here has more than six."""
_NUMBER = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?$|^[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?$"
    r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)


@dataclass(slots=True)
class Document:
    """A YAML mapping: its `data`, the `lines` (from 1) of its dotted keys, and what is wrong with it."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    text: str = ""


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast


class _Loader(_Base):  # type: ignore[misc]
    """SafeLoader with YAML 1.2 floats and without YAML's dates (an option named by a date stays a text)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789."))


def is_number(text: str) -> bool:
    """Whether `text`, written without quotes, is read as a number, here or by LLaMA-Factory's OmegaConf."""
    return _NUMBER.match(text) is not None


def read_document(path: Path) -> Document:
    """The mapping in the file at `path`, or a document whose `problems` say why there is none."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            return _broken(path, "is_directory", _("{path} is a directory, not a YAML file.").format(path=path))
        if size > MAX_BYTES:
            text = _("{path} has {size} bytes; a config of more than {limit} bytes is surely something else.")
            return _broken(path, "too_large", text.format(path=path, size=size, limit=MAX_BYTES))
        raw = path.read_bytes()
    except FileNotFoundError:
        hint = _("Check the path; `sft-tui` without a file starts the wizard, which writes one.")
        return _broken(path, "file_not_found", _("{path} does not exist.").format(path=path), hint)
    except OSError as error:
        text = _("{path} cannot be read: {reason}.").format(path=path, reason=error.strerror)
        return _broken(path, "file_unreadable", text)
    try:
        return parse_document(raw.decode("utf-8-sig"), path)
    except UnicodeDecodeError:
        hint = _("Save it as UTF-8 and try again.")
        return _broken(path, "not_utf8", _("{path} is not UTF-8 text.").format(path=path), hint)


def parse_document(text: str, path: Path | None = None) -> Document:
    """The mapping written in `text`; `path` only names it in problems."""
    name = str(path) if path else None
    document = Document(text=text)
    try:
        node = _compose(text)
        size, levels = _extent(node, {}) if node is not None else (0, 0)
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, name, text))
        return document
    except RecursionError:
        size, levels, node = 0, MAX_LEVELS + 1, None
    if levels > MAX_LEVELS:
        message = _("The values are more than {limit} levels deep in each other.").format(limit=MAX_LEVELS)
        document.problems.append(Problem("too_deep", message, path=name))
        return document
    if node is None:
        message = _("{path} is empty.").format(path=name) if name else _("The document is empty.")
        document.problems.append(Problem("empty_document", message, path=name))
        return document
    if not isinstance(node, yaml.MappingNode):
        message = _("The file is not a mapping of `key: value` lines.")
        document.problems.append(Problem("not_a_mapping", message, path=name, line=node.start_mark.line + 1))
        return document
    if size > MAX_NODES:
        message = _("The aliases of the file expand to more than {limit} values.").format(limit=MAX_NODES)
        document.problems.append(Problem("too_many_aliases", message, path=name))
        return document
    _walk(node, "", document, name, set())
    if not any(p.severity is Severity.ERROR for p in document.problems):
        try:
            data = _construct(node)
        except (yaml.YAMLError, ValueError) as error:  # a tag such as `!!python/...`, a date that does not exist
            document.problems.append(_syntax_problem(error, name, text))
            return document
        document.data = data if isinstance(data, dict) else {}
    return document


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _construct(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _extent(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values `node` holds once its aliases are written out, and in how many levels; one that holds itself
    counts once. Raises `RecursionError` far beyond `MAX_LEVELS`.
    """
    if id(node) not in known:
        size, levels = known[id(node)] = 1, 1
        if isinstance(node, yaml.CollectionNode):
            for item in node.value:
                for child in item if isinstance(item, tuple) else (item,):
                    more, below = _extent(child, known)
                    size, levels = size + more, max(levels, 1 + below)
            known[id(node)] = size, levels
    return known[id(node)]


def _walk(node: yaml.Node, prefix: str, document: Document, name: str | None, above: set[int]) -> None:
    """Record the lines of all keys; report keys given twice and anchors that contain themselves."""
    if id(node) in above:
        message = _("An alias in `{key}` contains itself.").format(key=prefix or "*")
        line = node.start_mark.line + 1
        document.problems.append(Problem("circular_alias", message, path=name, key=prefix or None, line=line))
        return
    inside = above | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _walk(item, prefix, document, name, inside)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(Problem("key_not_text", _("A key must be plain text."), path=name, line=line))
            continue
        key = f"{prefix}.{key_node.value}" if prefix else str(key_node.value)
        if key in seen:
            message = _("`{key}` is given twice, on lines {first} and {second}.")
            message = message.format(key=key, first=seen[key], second=line)
            hint = _("Keep one of the two lines.")
            document.problems.append(Problem("duplicate_key", message, path=name, key=key, line=line, hint=hint))
        seen[key] = line
        document.lines[key] = line
        _walk(value, key, document, name, inside)


def _syntax_problem(error: yaml.YAMLError | ValueError, name: str | None, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else None
    lines = text.splitlines()
    shown = lines[mark.line] if mark and mark.line < len(lines) else ""
    if shown[: len(shown) - len(shown.lstrip())].count("\t"):
        message = _("Line {line} is indented with a tab; YAML allows only spaces.").format(line=line)
        return Problem("yaml_tab", message, path=name, line=line, hint=_("Replace the tab by two spaces."))
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = _("line {line}, column {column}").format(line=line, column=mark.column + 1) if mark else ""
    message = _("Not valid YAML at {where}: {reason}.").format(where=where or "?", reason=reason)
    hint = _("Each line is `key: value`, with a space after the colon; indent with spaces.")
    return Problem("yaml_syntax", message, path=name, line=line, hint=hint)


def _broken(path: Path, code: str, message: str, hint: str | None = None) -> Document:
    return Document(problems=[Problem(code, message, path=str(path), hint=hint)])


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what another reader takes for a number, and writes each value on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = '"' if value.splitlines() not in ([], [value]) or "\t" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _float_node(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e16:
        return dumper.represent_float(value)
    mantissa, _e, exponent = f"{Decimal(repr(value)):e}".partition("e")
    text = mantissa if "." in mantissa else f"{mantissa}.0"
    return dumper.represent_scalar("tag:yaml.org,2002:float", f"{text}e{exponent}")


_Dumper.add_representer(str, _text_node)
_Dumper.add_representer(float, _float_node)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789."))


def scalar(value: Any) -> str:
    """`value` as it stands behind `key: ` on one line; floats as `1.0e-4`, lists and mappings in flow style."""
    text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, width=1 << 30, default_flow_style=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").removesuffix("\n")


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
