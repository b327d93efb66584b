"""The plan of a run: plain frozen records, and their JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sft_tui.problems import Problem

STAGES = ("convert", "train", "export", "verify")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that will be written. `path` is relative to the project directory."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage of the run.

    `argv` is started in the project directory with `env` added to the environment; its output goes to `log`. The stage
    has finished when it ended with 0 and every path in `proofs` is there. Paths are relative to the project directory.
    `shown` is the plain command that does the same when typed there by hand.
    """

    name: str
    argv: tuple[str, ...]
    log: str
    proofs: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    shown: str = ""


@dataclass(frozen=True, slots=True)
class PlannedEstimate:
    """What the run will need: peak bytes on each card by part, and what that means for the chosen card.

    `fit` is one of fits, tight, no, unknown; `limit_bytes` is what the card has for it. `changes` are options that
    would make it fit with the same effective batch size, empty where none do or none are needed. No sample of the data
    has more than `longest` tokens, which was counted on; None: as many as `cutoff_len` allows.
    """

    peak_bytes: int
    parts: dict[str, int]
    margin: float
    fit: str
    limit_bytes: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run will do. Frozen; the supervisor carries it out as it stands.

    `project` is absolute; `run` the run's name; `dataset` the name whose `_train` entry is trained on.
    `train_options` and `merge_options` are what the two YAML files say. `conversion` holds the arguments of the
    conversion, `more_conversions` those of further sources. `reasons` says in a sentence each what was chosen for the
    user and why (template, preset, gpus, environment, ...). `headless_command` repeats the run. With `wait` the
    training starts once its GPU memory is free, on any cards with `any_gpu`; `force` starts it though the memory seems
    too small. `notify` is a program and its arguments that are told of alarms and of the end. With `overwrite_model` a
    merged model that is there is replaced by the new one; otherwise it is kept beside. A training that crashes is
    started again `restart_on_crash` times. `disk` is what one `checkpoint` and the `result` take, in bytes, where the
    model is known.
    `parent` is the run whose adapter this one trains further, "" for none that is known.
    """

    project: str
    run: str
    dataset: str
    model: str
    template: str
    preset: str
    gpus: tuple[int, ...]
    files: tuple[PlannedFile, ...]
    stages: tuple[PlannedStage, ...]
    train_options: dict[str, Any]
    merge_options: dict[str, Any]
    conversion: dict[str, Any]
    verification: dict[str, Any]
    environment: dict[str, Any]
    reasons: dict[str, str]
    warnings: tuple[Problem, ...] = ()
    estimate: PlannedEstimate | None = None
    headless_command: str = ""
    answers_hash: str = ""
    on_failure: dict[str, str] = field(default_factory=dict)
    wait: bool = False
    any_gpu: bool = False
    force: bool = False
    notify: tuple[str, ...] = ()
    overwrite_model: bool = False
    restart_on_crash: int = 0
    disk: dict[str, int] = field(default_factory=dict)
    parent: str = ""
    more_conversions: tuple[dict[str, Any], ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets that the run converts."""
        return tuple(str(made["name"]) for made in (self.conversion, *self.more_conversions))

    def stage(self, name: str) -> PlannedStage | None:
        """The stage called `name`, if the run has it."""
        return next((s for s in self.stages if s.name == name), None)

    def file(self, name: str) -> PlannedFile | None:
        """The planned file whose last path component is `name`."""
        return next((f for f in self.files if Path(f.path).name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The content of plan.json."""
        data = asdict(self)
        data["warnings"] = [p.as_json() for p in self.warnings]
        return data


def plan_from_json(data: dict[str, Any], at: Path | None = None) -> Plan:
    """The inverse of `Plan.as_json`, without the warnings' fixes.

    `at` is where the project lies now: it may have been moved or copied since, and then paths into it lead there.
    """
    if at is not None and data["project"] != str(at):
        data = _relocated(data, str(data["project"]), at)
    fields = {k: v for k, v in data.items() if k in Plan.__slots__}
    fields["files"] = tuple(PlannedFile(**f) for f in fields["files"])
    fields["stages"] = tuple(
        PlannedStage(**{**s, "argv": tuple(s["argv"]), "proofs": tuple(s["proofs"])}) for s in fields["stages"]
    )
    fields["gpus"] = tuple(fields["gpus"])
    fields["warnings"] = ()
    fields["notify"] = tuple(fields.get("notify", ()))
    fields["more_conversions"] = tuple(fields.get("more_conversions", ()))
    estimate = fields.get("estimate")
    fields["estimate"] = PlannedEstimate(**estimate) if estimate else None
    return Plan(**fields)


def _relocated(value: Any, before: str, at: Path) -> Any:
    if isinstance(value, dict):
        return {key: _relocated(inner, before, at) for key, inner in value.items()}
    if isinstance(value, list):
        return [_relocated(inner, before, at) for inner in value]
    if isinstance(value, str) and (value == before or value.startswith(f"{before}/")):
        return str(at / value[len(before) + 1 :])
    return value
