"""What to tell of a run that failed: what, why, the lines that matter, and the changes that would solve it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sft_tui.factory.fixes import changes_of
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.view.log_file import Line, LogFile, find
from sft_tui.view.watch import Snapshot

_BEFORE, _AFTER, _TAIL = 6, 2, 10
_MOST_CAUSES, _MOST_OFFERS = 3, 9


@dataclass(frozen=True, slots=True)
class Cause:
    """A known cause: its name, what it means, the log's line that shows it, what a person can do about it."""

    id: str
    title: str
    text: str
    line: str
    advice: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A change of training options that the program can make. `diff` shows it, `changes` are for `resume`."""

    text: str
    changes: Mapping[str, Any]
    diff: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailureReport:
    """Everything about one failure. `key` is the answer to look at (dotted path), None where it is not known."""

    stage: str
    causes: tuple[Cause, ...] = ()
    offers: tuple[Offer, ...] = ()
    lines: tuple[str, ...] = ()
    log: str = ""
    key: str | None = None
    kept: tuple[str, ...] = field(default=())


def failure_report(layout: RunLayout, snapshot: Snapshot) -> FailureReport:
    """Read what there is about the failure of `snapshot`; reads the end of a log, so use it in a thread."""
    stage = snapshot.failed_stage
    name = stage.name if stage else "train"
    plan = _mapping(read_json(layout.plan))
    options = _mapping(plan.get("train_options"))
    python = str(_mapping(plan.get("environment")).get("python") or "python")
    diagnoses = list(snapshot.diagnoses)[:_MOST_CAUSES]
    made = [_offer(fix, options) for diagnosis in diagnoses for fix in _fixes(diagnosis)]
    offers = [offer for offer in made if offer is not None]
    keys = [f"train.{key}" for offer in offers for key in offer.changes]
    return FailureReport(
        stage=name,
        causes=tuple(_cause(d, layout.name, python) for d in diagnoses),
        offers=tuple(offers[:_MOST_OFFERS]),
        lines=lines_that_matter(layout, name, str(diagnoses[0].get("line") or "") if diagnoses else ""),
        log=str(layout.stage_log(name).relative_to(layout.project)),
        key=next(iter(keys), "data.source" if name == "convert" else None),
        kept=tuple(_checkpoints(layout)),
    )


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _fixes(diagnosis: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    fixes = diagnosis.get("fixes")
    return [fix for fix in fixes if isinstance(fix, Mapping)] if isinstance(fixes, list | tuple) else []


def _cause(diagnosis: Mapping[str, Any], run: str, python: str) -> Cause:
    others = [fix for fix in _fixes(diagnosis) if fix.get("kind") not in ("set", "unset") and fix.get("text")]
    return Cause(
        id=str(diagnosis.get("id", "")),
        title=str(diagnosis.get("title", "")),
        text=str(diagnosis.get("cause", "")),
        line=str(diagnosis.get("line") or ""),
        advice=tuple(_advice(fix, run, python) for fix in others),
        source=str(diagnosis.get("source") or ""),
    )


def _advice(fix: Mapping[str, Any], run: str, python: str) -> str:
    """What a person can do, with what to type for it."""
    text, key, value = str(fix.get("text")), fix.get("key"), fix.get("value")
    if fix.get("kind") == "env" and key:
        setting = f"{key}={shlex.quote(str(value))}" if value is not None else f"env -u {key}"
        return f"{text} {setting} sft-tui resume {run}"
    if fix.get("kind") == "install" and value:
        wanted = shlex.join(str(value).split())
        return f"{text} {shlex.quote(python)} -m pip install --upgrade {wanted}"
    return text


def _offer(fix: Mapping[str, Any], options: Mapping[str, Any]) -> Offer | None:
    """The fix as a change of this run's options; None where it would change nothing."""
    changes = changes_of(fix, options)
    diff: list[str] = []
    for key, value in changes.items():
        if key in options:
            diff.append(f"- {key}: {yaml_word(options[key])}")
        if value is not None:
            diff.append(f"+ {key}: {yaml_word(value)}")
    return Offer(str(fix.get("text") or fix.get("key")), changes, tuple(diff)) if changes else None


def yaml_word(value: Any) -> str:
    """A scalar as it would stand in the YAML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _checkpoints(layout: RunLayout) -> list[str]:
    from sft_tui.factory.checkpoints import find_checkpoints

    return [str(point.path) for point in find_checkpoints(layout.save_dir) if point.fault is None]


def lines_that_matter(layout: RunLayout, stage: str, shown: str) -> tuple[str, ...]:
    """The log's lines around the last one that shows `shown`, or its last lines."""
    with LogFile(layout.stage_log(stage)) as log:
        needle = shown.strip()[:80]
        hit = find(log, needle, log.size, backwards=True) if needle else None
        lines = _around(log, hit) if hit else log.tail(_TAIL)
    return tuple(line.text for line in lines if line.text.strip())


def _around(log: LogFile, hit: Line) -> list[Line]:
    return [*log.before(hit.start, _BEFORE), hit, *log.after(hit.end, _AFTER)]
