"""What a run has made: where it is, how large, what verification found, how to use it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.commands import has_weights
from sft_tui.factory.usage import Usage, usages
from sft_tui.factory.verified import verified_text
from sft_tui.project.files import read_json, write_atomically
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import read_state
from sft_tui.view.outcome import Merged, merged_model
from sft_tui.view.watch import RunWatch, Snapshot


@dataclass(frozen=True, slots=True)
class Place:
    """Something that the run has left: its kind, its path in the project, its size (None: not there)."""

    kind: str
    path: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """One of the checks of the merged model; `status` is ok, failed, skipped or differs (worth knowing)."""

    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A question that the model was asked; None is an answer that was not made."""

    prompt: str
    reference: str | None
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything for the result screen. `verified` is None where verification did not run."""

    snapshot: Snapshot
    places: tuple[Place, ...]
    checks: tuple[Check, ...]
    samples: tuple[Sample, ...]
    usages: tuple[Usage, ...]
    verified: bool | None
    verify_error: str | None
    held_out: bool
    exported: bool
    trained: bool


def read_result(layout: RunLayout) -> RunResult:
    """Look at what there is; walks the run's directories, so use it in a thread."""
    plan = _mapping(read_json(layout.plan))
    verification = _mapping(read_json(layout.verify_result))
    spec = _mapping(read_json(layout.run_dir / "verify_spec.json"))
    samples = tuple(_sample(row) for row in _rows(verification.get("samples")))
    environment = _mapping(plan.get("environment"))
    cli = environment.get("cli")
    question = samples[0].prompt if samples else "Hello"
    state = read_state(layout)
    merged = merged_model(layout, state) if state is not None else Merged.NONE
    return RunResult(
        snapshot=RunWatch(layout).poll(),
        places=tuple(_places(layout)),
        checks=tuple(_check(row) for row in _rows(verification.get("checks"))),
        samples=samples,
        usages=tuple(
            usages(
                layout.project,
                layout.name,
                base=str(plan.get("model", "")),
                template=str(plan.get("template", "default")),
                cli=[str(word) for word in cli] if isinstance(cli, list) else [],
                python=str(environment.get("python") or "python"),
                question=question,
                merged=merged is not Merged.NONE,
            )
        ),
        verified=bool(verification.get("ok")) if merged in (Merged.PASSED, Merged.FAILED) else None,
        verify_error=verified_text(verification, "error") if verification.get("error") else None,
        held_out=bool(spec.get("held_out")),
        exported=merged is not Merged.NONE,
        trained=has_weights(layout.save_dir),
    )


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _rows(data: Any) -> list[Mapping[str, Any]]:
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def _check(row: Mapping[str, Any]) -> Check:
    return Check(str(row.get("name", "")), str(row.get("status", "")), verified_text(row))


def _sample(row: Mapping[str, Any]) -> Sample:
    def text(key: str) -> str | None:
        return None if row.get(key) is None else str(row[key])

    return Sample(str(row.get("prompt", "")), text("reference"), text("before"), text("after"))


def _places(layout: RunLayout) -> list[Place]:
    found = (
        ("merged", layout.model_dir),
        ("adapter", layout.save_dir),
        ("configs", layout.config_dir),
        ("logs", layout.log_dir),
        ("run", layout.run_dir),
    )
    return [Place(kind, str(path.relative_to(layout.project)), _size(path)) for kind, path in found]


def _size(path: Path) -> int | None:
    """Bytes below `path`; None where there is nothing."""
    if not path.exists():
        return None
    total = 0
    for file in path.rglob("*"):
        try:
            if file.is_file() and not file.is_symlink():
                total += file.stat().st_size
        except OSError:
            continue
    return total


def write_usage(layout: RunLayout, result: RunResult, title: str, explanation: str) -> Path:
    """Keep the commands in `runs/<run>/how-to-use.md`, for copying from. Raises `OSError`."""
    path = layout.run_dir / "how-to-use.md"
    parts = [f"# {title}", "", explanation, "", f"    cd {layout.project}", ""]
    for usage in result.usages:
        parts += [f"## {usage.tool}", "", f"    {usage.command}", ""]
    parts.append(time.strftime("%Y-%m-%d %H:%M"))
    write_atomically(path, "\n".join(parts) + "\n")
    return path
