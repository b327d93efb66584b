"""Reads `catalogue.yaml`: the failures that we know, how their logs look, and what helps.

An entry matches by one of its signatures:

- `exception`: a regular expression for `Name: message` of an exception in a traceback, from its start, where `<Error>`
  stands for any name that ends in Error; `frames`, where given, must be found in the traceback's frames (a bare
  exception without frames matches at less confidence, with `frames_only` not at all);
- `line`: a plain text in a line outside tracebacks and printed samples; `regex`, where given, must be found in it;
- `signal`: the process was ended by this signal (a fact, not a line);
- `special`: a check that needs more than a line (`bad_loss`, `repeats`, `stall`, `short_disk`).

`host_oom: true` needs that nothing speaks against the kernel's OOM killer, `false` that it is known not to have struck;
`after_steps` tells failures in the middle of a training from those at its first step.

Named groups of a signature can be used as `{name}` in the texts and fixes; a group named `keys` holds a printed list,
and a fix with `{keys}` is repeated for each of its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_ANY_ERROR = r"(?:\w+\.)*\w*Error"
CATALOGUE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, slots=True)
class Signature:
    """One way in which a failure shows; see the module's text."""

    exception: re.Pattern[str] | None = None
    frames: re.Pattern[str] | None = None
    frames_only: bool = False
    line: str | None = None
    regex: re.Pattern[str] | None = None
    signal: int | None = None
    special: str | None = None
    host_oom: bool | None = None
    after_steps: bool | None = None
    confidence: float = 0.9


@dataclass(frozen=True, slots=True)
class FixTemplate:
    """A fix as the catalogue has it, with places for the signature's groups."""

    kind: str
    key: str | None
    value: Any
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A failure that we know. `consequence`: it only follows from another one, and gives way where one is found."""

    id: str
    title: str
    title_zh: str
    cause: str
    cause_zh: str
    signatures: tuple[Signature, ...]
    fixes: tuple[FixTemplate, ...]
    source: str
    consequence: bool = False
    even_if_finished: bool = False


@cache
def entries() -> tuple[Entry, ...]:
    """All entries of the shipped catalogue, compiled once."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with CATALOGUE.open(encoding="utf-8") as file:
        raw = yaml.load(file, Loader=loader)
    return tuple(_entry(item) for item in raw)


def _entry(item: dict[str, Any]) -> Entry:
    confidence = float(item.get("confidence", 0.9))
    return Entry(
        id=item["id"],
        title=item["title"],
        title_zh=item["title_zh"],
        cause=item["cause"].strip(),
        cause_zh=item["cause_zh"].strip(),
        signatures=tuple(_signature(raw, confidence) for raw in item["match"]),
        fixes=tuple(_fix(raw) for raw in item["fixes"]),
        source=item["source"],
        consequence=bool(item.get("consequence", False)),
        even_if_finished=bool(item.get("even_if_finished", False)),
    )


def _signature(raw: dict[str, Any], confidence: float) -> Signature:
    def pattern(key: str) -> re.Pattern[str] | None:
        return re.compile(raw[key].replace("<Error>", _ANY_ERROR), re.DOTALL) if key in raw else None

    return Signature(
        exception=pattern("exception"),
        frames=pattern("frames"),
        frames_only=bool(raw.get("frames_only", False)),
        line=raw.get("line"),
        regex=pattern("regex"),
        signal=raw.get("signal"),
        special=raw.get("special"),
        host_oom=raw.get("host_oom"),
        after_steps=raw.get("after_steps"),
        confidence=float(raw.get("confidence", confidence)),
    )


def _fix(raw: dict[str, Any]) -> FixTemplate:
    return FixTemplate(raw["kind"], raw.get("key"), raw.get("value"), raw["text"], raw["text_zh"])
