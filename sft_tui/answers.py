"""The one document: everything that a user decides about a run. The wizard edits it, the headless mode reads it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from sft_tui.i18n import N_, _
from sft_tui.problems import ExitCode, Fix, Problem, Refusal, Severity, nearest
from sft_tui.yaml_io import Document, parse_document, read_document, scalar

VERSION = 1
SLUG = r"^[a-z0-9][a-z0-9-]*$"
DATASET_NAME = r"^[^\W_][\w-]*$"
DEFAULT_INSTRUCTION = "请根据问题给出准确的回答。"
DEFAULT_SYSTEM = "你是一个有用的AI助手。"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


def _as_written(value: Any) -> Any:
    """A name that YAML reads as a number or a truth value: 2024, true."""
    return str(value).lower() if isinstance(value, int) else value


class RunAnswers(_Section):
    """What the run is called and where its project is."""

    name: Annotated[StrictStr, Field(pattern=SLUG, max_length=80), BeforeValidator(_as_written)] | None = Field(
        None,
        description="Name of the run: small letters, digits, hyphens. Made from model, dataset and time if absent.",
    )
    dir: StrictStr = Field(".", description="The project directory, relative to this file.")
    notify: Annotated[list[Annotated[StrictStr, Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None,
        description="A program and its arguments, told of each alarm and of the end as a JSON object on its input.",
    )


class ModelAnswers(_Section):
    """Which model is fine-tuned."""

    path: Annotated[StrictStr, Field(min_length=1)] = Field(
        description="A local model directory, or the model's id on the hub that `source` names."
    )
    template: StrictStr = Field("auto", description="Chat template of LLaMA-Factory, or `auto`.")
    source: Literal["huggingface", "modelscope"] = Field("huggingface", description="Hub of a model that is not local.")
    adapter: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        None, description="Directory of a LoRA adapter of this model that is trained further; a new one if absent."
    )


class HardwareAnswers(_Section):
    """What the run may use of this machine."""

    gpus: Literal["auto", "none"] | Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(min_length=1)] = Field(
        "auto", description="`auto` (the freest card), `none` (train on the CPU), or a list of indices as NVML counts."
    )
    launcher: Literal["auto", "single", "torchrun", "deepspeed", "ray", "slurm"] = Field(
        "auto",
        description="How the training processes are started; `deepspeed` divides the training among the GPUs by ZeRO.",
    )
    wait: StrictBool = Field(
        False,
        description="Wait until the GPU memory that the training needs is free; what was chosen at the start stays.",
    )


class ColumnAnswers(_Section):
    """Which columns of the source hold what; an absent one is guessed with `format: auto`."""

    instruction: StrictStr | None = Field(None, description="Column with the instruction of each row.")
    input: StrictStr | None = Field(None, description="Column with the question.")
    output: StrictStr | None = Field(None, description="Column with the answer.")
    system: StrictStr | None = Field(None, description="Column with the system prompt.")
    history: StrictStr | None = Field(None, description="Column with earlier turns, a list of [question, answer].")
    messages: StrictStr | None = Field(None, description="Column with a conversation.")
    tools: StrictStr | None = Field(None, description="Column with tool descriptions.")
    images: StrictStr | None = Field(None, description="Column with image paths.")
    videos: StrictStr | None = Field(None, description="Column with video paths.")
    audios: StrictStr | None = Field(None, description="Column with audio paths.")
    reasoning: StrictStr | None = Field(None, description="Column with the reasoning before the answer.")
    label: StrictStr | None = Field(None, description='Column that says whether the answer is good; `""` for none.')
    split: StrictStr | None = Field(None, description='Column that names train and test rows; `""` for none.')


class SourceAnswers(_Section):
    """One of several sources, each with its own mapping; what is absent is as under `data`."""

    path: Annotated[StrictStr, Field(min_length=1)] | None = Field(None, description="A file, as `data.source` takes.")
    hub: Annotated[StrictStr, Field(min_length=1)] | None = Field(None, description="A data set's name on a hub.")
    registered: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        None, description="Name of an entry in the `dataset_info.json` of `dataset_dir`."
    )
    dataset_dir: StrictStr | None = Field(
        None, description="Directory with the `dataset_info.json` of `registered`; the project's `data` if absent."
    )
    name: Annotated[StrictStr, Field(pattern=DATASET_NAME, max_length=80)] | None = Field(
        None, description="Name of its data set in the project; the source's stem if absent."
    )
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="How often a sample is drawn from it, beside the weights of the others."
    )
    split: StrictStr | None = Field(None, description="Split of a data set on a hub; `train` if absent.")
    format: Literal["auto", "columns", "alpaca", "sharegpt", "openai"] | None = Field(None, description="Its rows.")
    columns: ColumnAnswers | None = Field(None, description="Mapping of its columns.")
    instruction: StrictStr | None = Field(None, description="Fixed instruction for its rows that have none.")
    system: StrictStr | None = Field(None, description="Fixed system prompt for its rows that have none.")
    max_samples: Annotated[StrictInt, Field(ge=1)] | None = Field(None, description="At most so many of its rows.")
    sheet: StrictStr | None = Field(None, description="Sheet, if it is a workbook.")

    @property
    def text(self) -> str:
        """The source in a word: a path, `hub:NAME`, or the name that is registered."""
        if self.hub is not None:
            return f"hub:{self.hub.removeprefix('hub:')}{f'@{self.split}' if self.split else ''}"
        return self.path or self.registered or ""


def _source_from_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


_Source = Annotated[SourceAnswers, BeforeValidator(_source_from_path)]


def _one_of_two(schema: dict[str, Any]) -> None:
    schema["required"] = [key for key in schema["required"] if key != "source"]
    schema["anyOf"] = [{"required": ["source"]}, {"required": ["sources"]}]


class DataAnswers(_Section):
    """Which examples the model learns from, and how they become samples."""

    model_config = ConfigDict(json_schema_extra=_one_of_two)

    source: Annotated[
        StrictStr,
        Field(min_length=1),
        WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field(
        description="A data file (csv, json, parquet, ...), directory, `data.zip!train.csv`, `hub:NAME`; or a list."
    )
    sources: Annotated[list[_Source], Field(min_length=1)] | None = Field(
        None, description="Several sources instead of `source`; with weights they are interleaved, else concatenated."
    )
    eval: _Source | None = Field(None, description="A source to evaluate on; a file's path will do.")
    format: Literal["auto", "columns", "alpaca", "sharegpt", "openai"] = Field("auto", description="Shape of the rows.")
    columns: ColumnAnswers = Field(default_factory=lambda: ColumnAnswers(), description="Mapping of the columns.")
    instruction: StrictStr | None = Field(None, description="Fixed instruction for rows that have none.")
    system: StrictStr | None = Field(None, description="Fixed system prompt for rows that have none.")
    max_samples: Annotated[StrictInt, Field(ge=1)] | None = Field(None, description="Use at most so many rows.")
    sample: Literal["first", "random"] = Field("first", description="Which rows `max_samples` takes.")
    test_size: Annotated[StrictInt, Field(ge=0)] | Annotated[float, Field(gt=0, lt=1, strict=True)] = Field(
        0, description="Rows kept out of training for the test set: a share (0.1) or a number (100)."
    )
    seed: StrictInt = Field(42, description="Seed of the split.")
    dedupe: StrictBool = Field(False, description="Drop samples that occur twice.")
    reasoning: Literal["auto", "keep", "drop"] = Field(
        "auto", description="Train on the reasoning before an answer; `auto` where the template has a place for it."
    )
    strict: StrictBool = Field(False, description="Refuse the source if any row would be dropped.")
    sheet: StrictStr | None = Field(None, description="Sheet of a workbook; the first one with rows if absent.")
    download: StrictBool = Field(False, description="Fetch a source that is an https:// address, once, into `data`.")
    name: Annotated[StrictStr, Field(pattern=DATASET_NAME, max_length=80)] | None = Field(
        None, description="Name of the dataset in dataset_info.json; the source's stem if absent."
    )

    @model_validator(mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        """A list under `source` is `sources`; of several, `source` is the first, for who looks at one alone."""
        if not isinstance(given, dict):
            return given
        if isinstance(given.get("source"), list) and "sources" not in given:
            given = {**given, "sources": given["source"]}
            del given["source"]
        sources = given.get("sources")
        if not isinstance(sources, list) or not sources:
            return given
        first = sources[0]
        with contextlib.suppress(ValidationError):  # told where it stands
            first = SourceAnswers.model_validate(_source_from_path(first)).text
        if given.get("source", first) != first:
            raise ValueError(_("either `source` or `sources` is expected, not both"))
        return {**given, "source": first if isinstance(first, str) and first else "-"}


class ExportAnswers(_Section):
    """Whether and how adapter and model are merged."""

    enabled: StrictBool = Field(True, description="Merge the adapter into the model after training.")
    size_gb: Annotated[StrictInt, Field(ge=1)] = Field(2, description="Largest file of the merged model, in GB.")
    device: Literal["cpu", "auto"] = Field("cpu", description="Where the merge is computed.")
    verify: StrictBool = Field(True, description="Load the merged model, compare its weights and let it answer.")


class FailureAnswers(_Section):
    """What happens by itself when a stage fails."""

    oom: Literal["ask", "retry", "stop"] = Field("ask", description="When GPU memory does not suffice.")


class Answers(_Section):
    """Everything that a user decides about one run."""

    version: Literal[1] = Field(1, description="Version of this document's schema.")
    run: RunAnswers = Field(default_factory=lambda: RunAnswers())
    model: ModelAnswers
    hardware: HardwareAnswers = Field(default_factory=lambda: HardwareAnswers())
    preset: StrictStr = Field("auto", description="A preset's name, or `auto` for what fits model and card.")
    data: DataAnswers
    train: dict[str, Any] = Field(
        default_factory=dict, description="Any option of the installed LLaMA-Factory; wins over the preset."
    )
    export: ExportAnswers = Field(default_factory=lambda: ExportAnswers())
    on_failure: FailureAnswers = Field(default_factory=lambda: FailureAnswers())


@dataclass(slots=True)
class AnswersFile:
    """What was read from a file: `answers` is None where `problems` hold an error."""

    path: Path
    answers: Answers | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def require(self) -> Answers:
        """The answers, or `Refusal` (exit 2) with every problem of the file."""
        if self.answers is None:
            raise Refusal(self.problems, ExitCode.USAGE)
        return self.answers


def read_answers(path: Path) -> AnswersFile:
    """Read the answers file at `path`; all its problems are collected, none is raised."""
    return _from_document(read_document(path), path)


def parse_answers(text: str, path: Path) -> AnswersFile:
    """Read answers from `text`; `path` says where relative paths start and what problems name."""
    return _from_document(parse_document(text, path), path)


def _from_document(document: Document, path: Path) -> AnswersFile:
    result = AnswersFile(path, problems=list(document.problems), lines=document.lines)
    if any(p.severity is Severity.ERROR for p in result.problems):
        return result
    version = document.data.get("version", VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        message = _("This file has version {version}; this sft-tui knows versions up to {known}.")
        hint = _("Upgrade: pip install -U sft-tui")
        text = message.format(version=version, known=VERSION)
        result.problems.append(_problem("newer_version", text, "version", result, hint))
        return result
    problems, answers = validate(document.data)
    for problem in problems:
        line = document.lines.get(problem.key or "")
        result.problems.append(
            Problem(
                problem.code, problem.message, problem.severity, str(path), problem.key, problem.hint, line, problem.fix
            )
        )
    result.answers = answers
    return result


def validate(data: dict[str, Any]) -> tuple[list[Problem], Answers | None]:
    """`data` as Answers, or every reason why it is none."""
    try:
        return [], Answers.model_validate(data)
    except ValidationError as error:
        found = {_key_of(e["loc"], data): e for e in reversed(error.errors(include_url=False))}
        return [_explain(key, dict(e), data) for key, e in reversed(found.items())], None


def _problem(code: str, message: str, key: str, result: AnswersFile, hint: str | None = None) -> Problem:
    return Problem(code, message, path=str(result.path), key=key, hint=hint, line=result.lines.get(key))


def _key_of(loc: tuple[int | str, ...], data: Any) -> str:
    """The dotted path of an error: pydantic adds the names of union members, which are no keys of the document."""
    model: Any = Answers
    keys: list[str] = []
    for index, part in enumerate(loc):
        if isinstance(part, int) and model is SourceAnswers:
            keys.append(str(part))
            continue
        fields = getattr(model, "model_fields", None)
        if fields is None:
            break
        keys.append(str(part))
        if index + 1 < len(loc) or part in fields:
            model = _section_of(fields[part].annotation) if part in fields else None
    return ".".join(keys)


def _section_of(annotation: Any) -> Any:
    """The section that a field of this type holds, be it optional or in a list; else the type itself."""
    inner = (_section_of(part) for part in get_args(annotation))
    return next((part for part in inner if hasattr(part, "model_fields")), annotation)


_REASONS = {
    "string_type": N_("a text is expected"),
    "int_type": N_("a whole number is expected"),
    "float_type": N_("a number is expected"),
    "bool_type": N_("true or false is expected"),
    "dict_type": N_("lines of `key: value`, indented below it, are expected"),
    "model_type": N_("lines of `key: value`, indented below it, are expected"),
    "value_error": N_("either `source` or `sources` is expected, not both"),
    "list_type": N_("a list is expected"),
    "string_too_short": N_("it must not be empty"),
    "too_short": N_("it must not be empty"),
    "greater_than": N_("a number above 0 is expected"),
    "string_too_long": N_("it is too long"),
}
_EXPECTED = {
    "run.name": N_("small letters, digits and hyphens, at most 80, for example apples-1"),
    "run.notify": N_("a list of a program and its arguments, for example [./tell.sh, --urgent]"),
    "data.name": N_("letters, digits, hyphens and underscores, at most 80"),
    "data.test_size": N_("a share between 0 and 1 (0.1) or a whole number of rows (100; 0 for none)"),
    "data.max_samples": N_("a whole number from 1"),
    "hardware.gpus": N_("auto, none, or a list of GPU numbers such as [0] or [0, 1]"),
    "export.size_gb": N_("a whole number from 1"),
}


def _explain(key: str, error: dict[str, Any], data: dict[str, Any]) -> Problem:
    kind = str(error["type"])
    if kind == "extra_forbidden":
        return unknown_key(key, _names_beside(key))
    if kind == "missing":
        hint = {
            "model.path": _("Add the model: a local directory with config.json, or a hub id."),
            "data.source": _("Add the file with your examples."),
        }
        top = {"model": hint["model.path"], "data": hint["data.source"]}
        message = _("`{key}` is missing.").format(key=key)
        return Problem("missing_key", message, key=key, hint=hint.get(key) or top.get(key))
    value = _shown(error.get("input"))
    if key == "version":
        message = _("`{value}` is no version of this document; the present one is {known}.")
        return Problem("bad_version", message.format(value=value, known=VERSION), key=key, hint="version: 1")
    return wrong_value(key, error)


def wrong_value(key: str, error: Mapping[str, Any]) -> Problem:
    """The problem of a value that pydantic refused with `error`."""
    kind, value = str(error["type"]), _shown(error.get("input"))
    reason = _reason(key, kind, error)
    message = _("`{value}` is no value for `{key}`: {reason}.").format(value=value, key=key, reason=reason)
    code = "wrong_type" if kind.endswith("_type") else "bad_value"
    choices = _choices(error) if kind == "literal_error" else []
    near = nearest(str(error.get("input")), choices, 1)
    hint_text = _("Did you mean `{name}`?").format(name=near[0]) if near else None
    return Problem(code, message, key=key, hint=hint_text, fix=Fix("set", key, near[0]) if near else None)


def _reason(key: str, kind: str, error: Mapping[str, Any]) -> str:
    if key in _EXPECTED:
        return _("{what} is expected").format(what=_(_EXPECTED[key]))
    if kind == "literal_error":
        return _("one of {choices} is expected").format(choices=", ".join(_choices(error)))
    if kind in _REASONS:
        return _(_REASONS[kind])
    return str(error.get("msg", kind))


def _choices(error: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))


def _shown(value: Any) -> str:
    text = scalar(value) if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown_key(key: str, known: list[str]) -> Problem:
    """The problem of a key that its section does not have, with the nearest one that it has."""
    section, _dot, word = key.rpartition(".")
    close = nearest(word, known, 1)
    where = _("in `{section}`").format(section=section) if section else _("in an answers file")
    message = _("There is no key `{word}` {where}.").format(word=word, where=where)
    if close:
        return Problem("unknown_key", message, key=key, hint=_("Did you mean `{name}`?").format(name=close[0]))
    hint = _("Known keys: {names}.").format(names=", ".join(known))
    if not section:
        hint += " " + _("Options of LLaMA-Factory belong under `train:`.")
    return Problem("unknown_key", message, key=key, hint=hint)


def _names_beside(key: str) -> list[str]:
    model: Any = Answers
    for part in key.split(".")[:-1]:
        model = model if part.isdigit() else _section_of(model.model_fields[part].annotation)
    return list(model.model_fields)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of answers.yaml."""
    schema = Answers.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "sft-tui answers"}


def dump_answers(answers: Answers) -> str:
    """`answers` as YAML: what differs from the defaults and what every reader looks for, a section a block."""
    everything = answers.model_dump()
    changed = answers.model_dump(exclude_defaults=True)
    always = {
        "model": ("path", "template"),
        "hardware": ("gpus",),
        "data": ("source", "format"),
        "export": ("enabled",),
    }
    out = [f"version: {VERSION}", f"preset: {scalar(answers.preset)}"]
    for section in ("run", "model", "hardware", "data", "train", "export", "on_failure"):
        values = changed.get(section, {})
        if section == "train":
            shown = values
        else:
            shown = {
                k: values.get(k, v)
                for k, v in everything[section].items()
                if k in values or k in always.get(section, ())
            }
        if "sources" in shown:
            shown = {k: v for k, v in shown.items() if k != "source"}
        if not shown:
            continue
        out.append(f"{section}:")
        for key, value in shown.items():
            if key == "sources":
                out += ["  sources:", *(f"    - {scalar(_without_nulls(source))}" for source in value)]
            else:
                out.append(f"  {key}: {scalar(_without_nulls(value) if key in ('columns', 'eval') else value)}")
    return "\n".join(out) + "\n"


def _without_nulls(value: Any) -> Any:
    return {k: _without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def answers_hash(answers: Answers, model: str, adapter: str | None = None) -> str:
    """A fingerprint of what is decided, without the run's name: the answers name their sources as they were found,
    and so are model and adapter.
    """
    data = answers.model_dump(mode="json", exclude={"run": True, "model": {"adapter"}})
    for key in ("sources", "eval", "download"):  # otherwise the fingerprint is that of versions which knew none
        if not data["data"][key]:
            del data["data"][key]
    data["model"]["path"] = model
    if adapter is not None:
        data["model"]["adapter"] = adapter
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
