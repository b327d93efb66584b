"""The checks: keys, lines, fixes and severities, in a workspace with real files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft_tui.factory.check import (
    CheckContext,
    FileKind,
    check_merge_options,
    check_option,
    check_train_options,
    check_yaml_file,
    kind_of,
)
from sft_tui.factory.check.fix import apply_fixes
from sft_tui.factory.options import snapshot
from sft_tui.problems import Problem, Severity
from tests.corpora.workspace import build

GOOD: dict[str, Any] = {
    "model_name_or_path": "model", "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_target": "all",
    "dataset": "good", "dataset_dir": "data", "template": "qwen", "cutoff_len": 256, "output_dir": "saves/run",
    "learning_rate": 1e-4, "num_train_epochs": 3.0, "use_cpu": True, "report_to": "none",
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A GPU for the checks."""

    index: int = 0
    total_bytes: int = 24 << 30
    compute_capability: tuple[int, int] | None = (8, 6)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> CheckContext:
    return CheckContext(snapshot(), build(tmp_path_factory.mktemp("check") / "workspace"), cpus=4)


def found(context: CheckContext, **changes: Any) -> dict[str, Problem]:
    """The gravest error or warning of each key; a change to `...` removes the option."""
    options = {k: v for k, v in {**GOOD, **changes}.items() if v is not ...}
    problems = check_train_options(options, context)
    return {p.key or "": p for p in reversed(problems) if p.severity is not Severity.INFO}


def test_a_good_config_has_no_problem(context: CheckContext) -> None:
    assert found(context) == {}


def test_a_renamed_key_is_renamed(context: CheckContext) -> None:
    problem = found(context, evaluation_strategy="steps", val_size=0.1)["evaluation_strategy"]
    assert problem.fix is not None
    assert (problem.fix.kind, problem.fix.value) == ("rename", "eval_strategy")


def test_the_trap_of_the_guide_is_told(context: CheckContext) -> None:
    problem = found(context, modules_to_save="lm_head")["modules_to_save"]
    assert "additional_target" in (problem.hint or "")
    assert problem.fix is not None and problem.fix.kind == "unset"


def test_what_must_be_registered_first_is_not_only_renamed(context: CheckContext) -> None:
    assert found(context, train_file="rows.json")["train_file"].fix is None


@pytest.mark.parametrize(("key", "value"), [("cutoff_len", 10_000_000), ("num_train_epochs", 99_999_993.0)])
def test_absurd_sizes_are_warned_of(context: CheckContext, key: str, value: float) -> None:
    assert found(context, **{key: value})[key].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("lora_rank", "8", 8),
        ("lora_rank", 8.0, 8),
        ("learning_rate", "1e-4", 1e-4),
        ("eval_strategy", False, "no"),
        ("bf16", "false", False),
        ("finetuning_type", "LoRA", "lora"),
        ("adapter_name_or_path", ["adapter"], "adapter"),
        ("stage", "SFT", "sft"),
    ],
)
def test_what_was_meant_is_offered(context: CheckContext, name: str, value: Any, meant: Any) -> None:
    problem = found(context, **{name: value})[name]
    assert problem.severity is Severity.ERROR
    assert problem.fix is not None
    assert problem.fix.value == meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_train_epochs", 3), ("learning_rate", 1), ("lora_alpha", 16.0), ("packing", None),
        ("lora_target", ["q_proj"]),
        ("resume_from_checkpoint", False), ("report_to", ["none"]), ("do_train", 1), ("lr_scheduler_kwargs", {}),
        ("lr_scheduler_kwargs", "{}"), ("log_level", "passive"), ("include_num_input_tokens_seen", True),
    ],
)  # fmt: skip
def test_what_llama_factory_takes_is_no_error(context: CheckContext, name: str, value: Any) -> None:
    problem = found(context, **{name: value}).get(name)
    assert problem is None or problem.severity is Severity.WARNING


def test_keys_and_lines_of_an_answers_file(context: CheckContext) -> None:
    lines = {"train.lora_rank": 7, "model.template": 3}
    options = {**GOOD, "lora_rank": -1, "template": "llama"}
    problems = check_train_options(options, context, lines=lines, prefix="train.")
    by_key = {p.key: p for p in problems}
    assert by_key["train.lora_rank"].line == 7
    assert by_key["model.template"].line == 3
    fix = by_key["model.template"].fix
    assert fix is not None
    assert (fix.key, fix.value) == ("model.template", "qwen")


def test_a_form_checks_one_option_against_the_others(context: CheckContext) -> None:
    assert check_option("lora_rank", 8, context) == []
    assert [p.key for p in check_option("lora_rank", 0, context)] == ["lora_rank"]
    together = check_option("quantization_bit", 4, context, {**GOOD, "finetuning_type": "full"})
    assert [p.code for p in together] == ["conflict"]


def test_what_the_machine_lacks_is_an_error_only_when_it_starts_there(context: CheckContext) -> None:
    options = {**GOOD, "bf16": True, "use_cpu": False}
    old = (Card(compute_capability=(7, 5)),)
    for gpus in ((), old):
        for launching in (False, True):
            here = replace(context, gpus=gpus, launching=launching)
            problem = next(p for p in check_train_options(options, here) if p.key == "bf16")
            assert problem.severity is (Severity.ERROR if launching else Severity.WARNING)
    assert not [p for p in check_train_options(options, replace(context, gpus=(Card(),))) if p.key == "bf16"]
    on_cpu = check_train_options({**options, "use_cpu": True}, replace(context, gpus=()))
    assert not [p for p in on_cpu if p.key == "bf16"]


def test_bf16_is_slow_on_a_processor_without_it(context: CheckContext) -> None:
    for known, expected in ((False, True), (True, False), (None, False)):
        problems = found(replace(context, cpu_bf16=known), bf16=True)
        assert ("bf16" in problems) is expected


def test_missing_packages_are_told_where_the_environment_is_known(context: CheckContext) -> None:
    known = replace(snapshot(), versions={"torch": "2.14.1"}, versions_known=True)
    assert found(context, enable_liger_kernel=True) == {}
    problem = found(replace(context, factory=known), enable_liger_kernel=True)["enable_liger_kernel"]
    assert problem.code == "missing_package"
    old = replace(known, versions={"transformers": "4.30.0"})
    assert found(replace(context, factory=old))["version"].code == "version_mismatch"


def test_every_package_that_an_option_may_need_is_looked_for(tmp_path: Path) -> None:
    """The probe reads all that is installed, so that nothing can be called missing that nobody looked for."""
    from sft_tui.factory.remote.probe import read_versions

    versions = read_versions()  # type: ignore[no-untyped-call]
    assert {"pytest", "mypy", "textual"} <= versions.keys(), "packages that LLaMA-Factory has nothing to do with"
    assert all(name == name.lower() and "_" not in name for name in versions)


def test_the_eight_bit_optimizer_of_torch_needs_torchao_alone(context: CheckContext) -> None:
    known = replace(snapshot(), versions={"torch": "2.14.1", "torchao": "0.14"}, versions_known=True)
    here = replace(context, factory=known)
    assert "optim" not in found(here, optim="adamw_torch_8bit")
    for name in ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_32bit", "lion_8bit", "rmsprop_bnb", "ademamix"):
        assert found(here, optim=name)["optim"].code == "missing_package", name


def test_mistakes_that_need_the_number_of_rows(context: CheckContext) -> None:
    rows = replace(context, coming={"good": 100})
    assert found(rows, per_device_train_batch_size=128)["per_device_train_batch_size"].code == "batch_too_large"
    assert found(rows, warmup_steps=1000)["warmup_steps"].code == "warmup_too_long"
    often = found(rows, val_size=0.5, eval_strategy="steps", eval_steps=1)
    assert often["eval_steps"].code == "eval_too_often"
    assert found(rows, val_size=100)["val_size"].severity is Severity.ERROR


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"lora_alpha": 1024, "lora_rank": 8}, "lora_alpha"),
        ({"val_size": 0.1}, "val_size"),
        ({"preprocessing_num_workers": 500}, "preprocessing_num_workers"),
        ({"warmup_ratio": 0.9}, "warmup_ratio"),
        ({"output_dir": ...}, "output_dir"),
        ({"output_dir": "${HOME}/x"}, "output_dir"),
        ({"quantization_bit": 4, "quantization_method": "gptq"}, "quantization_method"),
        ({"lora_target": "q_proj,nonsense"}, "lora_target"),
        ({"output_dir": "saves/finished", "overwrite_output_dir": True}, "output_dir"),
    ],
)
def test_probable_mistakes_are_warnings(context: CheckContext, changes: dict[str, Any], key: str) -> None:
    problems = found(replace(context, coming={"good": 1000}), **changes)
    assert problems[key].severity is Severity.WARNING
    assert all(p.severity is Severity.WARNING for p in problems.values())


def test_nothing_to_do_is_an_error_and_evaluating_is_not(context: CheckContext) -> None:
    assert found(context, do_train=False)["do_train"].code == "nothing_to_do"
    only = found(context, do_train=False, do_eval=True, eval_dataset="good_eval", dataset=...)
    assert only == {}


def test_a_merge_is_told_from_a_training(context: CheckContext) -> None:
    merge = {"model_name_or_path": "model", "adapter_name_or_path": "adapter", "template": "qwen", "export_dir": "out"}
    assert kind_of(merge) is FileKind.MERGE
    assert kind_of(GOOD) is FileKind.TRAIN
    assert check_merge_options(merge, context) == []
    wrong = check_merge_options({**merge, "bf16": True, "output_dir": "x"}, context)
    assert {(p.key, p.code) for p in wrong} == {("bf16", "not_in_merge"), ("output_dir", "not_in_merge")}
    same = check_merge_options({**merge, "export_dir": "model"}, context)
    assert [p.code for p in same] == ["overwrites_input"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"compute_environment": "LOCAL_MACHINE", "distributed_type": "FSDP", "num_processes": 2}, "accelerate"),
        ({"zero_optimization": {"stage": 2}, "train_batch_size": "auto"}, "DeepSpeed"),
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 3}, "config.json"),
        ({"tokenizer_class": "X", "added_tokens_decoder": {}, "model_max_length": 3}, "tokenizer"),
        ({"peft_type": "LORA", "r": 8}, "adapter_config.json"),
        ({"model": "m", "template": "qwen", "train_dataset": "d.yaml", "micro_batch_size": 1}, "new engine"),
        ({"a": {"file_name": "a.json"}, "b": {"hf_hub_url": "x/y"}}, "2 entries"),
        ({"apples": 1, "pears": 2}, "`apples`, `pears`"),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_line(
    context: CheckContext, tmp_path: Path, document: dict[str, Any], says: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(document))
    (problem,) = check_yaml_file(path, context)
    assert problem.code == "other_file"
    assert says in problem.message


def test_a_config_for_inference_is_not_told_to_train(context: CheckContext, tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text("model_name_or_path: model\ntemplate: qwen\ninfer_backend: huggingface\n")
    problems = check_yaml_file(path, context)
    assert [p.severity for p in problems] == [Severity.INFO]
    path.write_text("model_name_or_path: model\ntemplate: nope\ninfer_backend: huggingface\n")
    assert "unknown_template" in {p.code for p in check_yaml_file(path, context)}


def test_extra_arguments_that_are_allowed_are_only_a_warning(
    context: CheckContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(context, my_own=1)["my_own"].severity is Severity.ERROR
    monkeypatch.setenv("ALLOW_EXTRA_ARGS", "1")
    assert found(context, my_own=1)["my_own"].severity is Severity.WARNING


def test_errors_come_first(context: CheckContext) -> None:
    problems = check_train_options({**GOOD, "learning_rate": 0.5, "template": "nope", "logging_dir": "logs"}, context)
    ranks = [("error", "warning", "info").index(p.severity) for p in problems]
    assert ranks == sorted(ranks)


def test_fixes_lead_to_a_config_without_errors(context: CheckContext) -> None:
    broken = {
        **GOOD, "evaluation_strategy": "steps", "lora_rank": "8", "template": "llama", "finetuning_type": "LoRa",
        "fp16": True, "bf16": True, "dataset": "good_line", "max_grad": 1,
    }  # fmt: skip
    text = "".join(f"{key}: {value!r}\n" for key, value in broken.items())
    path = context.base_dir / "broken.yaml"
    path.write_text(text)
    for _attempt in range(3):
        fixes = [p.fix for p in check_yaml_file(path, context) if p.fix and p.severity is Severity.ERROR]
        path.write_text(apply_fixes(path.read_text(), fixes))
    assert [str(p) for p in check_yaml_file(path, context) if p.severity is Severity.ERROR] == []
    after = yaml.safe_load(path.read_text())
    assert (after["template"], after["lora_rank"], after["dataset"]) == ("qwen", 8, "good_lines")


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*snapshot().options, "nonsense"]), _VALUES, max_size=8), st.booleans())
def test_no_value_of_any_option_breaks_the_check(context: CheckContext, options: dict[str, Any], merge: bool) -> None:
    check = check_merge_options if merge else check_train_options
    for problem in check({**GOOD, **options}, context):
        assert problem.message
        assert str(problem)
