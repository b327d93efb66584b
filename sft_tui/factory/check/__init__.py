"""Finding what is wrong with a training or merge config before LLaMA-Factory does: in milliseconds, without torch.

One engine for `sft-tui check`, the wizard's forms and the preflight of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft_tui.factory.check.adapters import check_adapters
from sft_tui.factory.check.context import CheckContext, Findings
from sft_tui.factory.check.datasets import check_datasets, check_split
from sft_tui.factory.check.deepspeed import check_deepspeed
from sft_tui.factory.check.files import (
    check_model,
    check_quantized_model,
    check_template,
    check_tool_format,
)
from sft_tui.factory.check.machine import check_machine, check_packages, check_version
from sft_tui.factory.check.mistakes import (
    check_dtype,
    check_length,
    check_mistakes,
    check_purpose,
    check_workers,
    tell_derived,
)
from sft_tui.factory.check.model_dir import check_model_dir
from sft_tui.factory.check.modules import check_modules
from sft_tui.factory.check.output import check_disk, check_export_dir, check_output
from sft_tui.factory.check.recognise import FileKind, kind_of, other_kind
from sft_tui.factory.check.rules import check_relations
from sft_tui.factory.check.side_paths import check_other_paths
from sft_tui.factory.check.values import check_values
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity, locked_problem
from sft_tui.yaml_io import read_document

__all__ = [
    "CheckContext",
    "FileKind",
    "check_merge_options",
    "check_model_dir",
    "check_option",
    "check_train_options",
    "check_yaml_file",
    "kind_of",
    "other_kind",
]

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def check_train_options(
    options: dict[str, Any],
    context: CheckContext,
    *,
    lines: dict[str, int] | None = None,
    prefix: str = "",
    path: str | None = None,
) -> list[Problem]:
    """What is wrong with the options of a training, errors first.

    `lines` gives the line of each dotted key, `prefix` what precedes an option's name in the document (`train.` in an
    answers file), `path` the document itself.
    """
    findings = Findings(dict(options), context, lines or {}, prefix, path)
    _as_far_as_one_may_look(_check_training, findings)
    return _ordered(findings)


def _as_far_as_one_may_look(check: Callable[[Findings], None], findings: Findings) -> None:
    """What may not be read is a problem itself, and ends the check."""
    try:
        check(findings)
    except PermissionError as error:
        findings.problems.append(replace(locked_problem(error), path=findings.path))


def _check_training(findings: Findings) -> None:
    check_values(findings)
    check_relations(findings)
    check_purpose(findings)
    model = check_model(findings)
    check_template(findings, model)
    check_tool_format(findings)
    check_adapters(findings, model)
    check_other_paths(findings)
    check_deepspeed(findings)
    rows = check_datasets(findings)
    rows = check_split(findings, rows)
    check_output(findings, model)
    if model is not None:
        check_quantized_model(findings, model)
    check_modules(findings, model)
    check_packages(findings, model)
    check_machine(findings)
    check_mistakes(findings, rows, model)
    check_workers(findings)
    if model is not None:
        check_length(findings, model)
        check_dtype(findings, model)
        check_disk(findings, model.weights.size_bytes)
    check_version(findings)
    tell_derived(findings, rows)


def check_merge_options(
    options: dict[str, Any],
    context: CheckContext,
    *,
    lines: dict[str, int] | None = None,
    prefix: str = "",
    path: str | None = None,
) -> list[Problem]:
    """What is wrong with the options of a merge (`llamafactory-cli export`); see `check_train_options`."""
    findings = Findings(dict(options), context, lines or {}, prefix, path, merge=True)
    _as_far_as_one_may_look(_check_merge, findings)
    return _ordered(findings)


def _check_merge(findings: Findings) -> None:
    check_values(findings)
    check_relations(findings)
    model = check_model(findings)
    check_template(findings, model)
    check_tool_format(findings)
    check_adapters(findings, model)
    check_other_paths(findings)
    check_export_dir(findings)
    if model is not None:
        check_quantized_model(findings, model)
        check_disk(findings, model.weights.size_bytes)
    check_packages(findings, model)
    if not findings.given("adapter_name_or_path") and not findings.given("export_quantization_bit"):
        _nothing_to_merge(findings)


def check_inference_options(
    options: dict[str, Any],
    context: CheckContext,
    *,
    lines: dict[str, int] | None = None,
    prefix: str = "",
    path: str | None = None,
) -> list[Problem]:
    """What is wrong with the options of `llamafactory-cli chat` or `api`; see `check_train_options`."""
    findings = Findings(dict(options), context, lines or {}, prefix, path)
    message = _("This is a config for inference (chat, api): what only a training needs is not looked for.")
    findings.problems.append(Problem("inference_config", message, Severity.INFO, path=path))
    _as_far_as_one_may_look(_check_inference, findings)
    return _ordered(findings)


def _check_inference(findings: Findings) -> None:
    check_values(findings)
    model = check_model(findings)
    check_template(findings, model)
    check_tool_format(findings)
    check_adapters(findings, model)
    check_other_paths(findings)
    check_packages(findings, model)


_CHECKS = {
    FileKind.TRAIN: check_train_options,
    FileKind.MERGE: check_merge_options,
    FileKind.INFERENCE: check_inference_options,
}


def check_option(name: str, value: Any, context: CheckContext, options: dict[str, Any] | None = None) -> list[Problem]:
    """What is wrong with one option, for a form that checks while one types; relations see the other `options`."""
    findings = Findings({**(options or {}), name: value}, context)
    check_values(findings)
    check_relations(findings)
    return [problem for problem in _ordered(findings) if problem.key == name]


def check_yaml_file(path: Path, context: CheckContext) -> list[Problem]:
    """What is wrong with a config of LLaMA-Factory; what it is for shows in its keys."""
    document = read_document(path)
    if any(problem.severity is Severity.ERROR for problem in document.problems):
        return document.problems
    other = other_kind(document.data, context.factory.options)
    if other is not None:
        return [*document.problems, replace(other, path=str(path))]
    check = _CHECKS[kind_of(document.data)]
    return document.problems + check(document.data, context, lines=document.lines, path=str(path))


def _nothing_to_merge(findings: Findings) -> None:
    message = _("There is no `adapter_name_or_path`, so the model is only copied.")
    findings.info("nothing_to_merge", "adapter_name_or_path", message, _("Name the `output_dir` of the training."))


def _ordered(findings: Findings) -> list[Problem]:
    return sorted(findings.problems, key=lambda problem: _ORDER[problem.severity])
