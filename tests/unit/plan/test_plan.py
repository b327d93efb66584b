"""From answers to the plan: files, stages, what wins over what."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sft_tui.factory.train_config import guide_keys
from sft_tui.plan.decide import decide
from sft_tui.plan.make import make_plan
from sft_tui.problems import Refusal
from sft_tui.project.plan_record import Plan, plan_from_json
from tests.unit.plan import make_answers, make_gpu, make_situation

GOLDEN = Path(__file__).parent / "golden"


def _yaml(plan: Plan, name: str) -> dict[str, Any]:
    file = plan.file(name)
    assert file is not None
    data = yaml.safe_load(file.content)
    assert isinstance(data, dict)
    return data


def _golden(name: str, content: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(content, encoding="utf-8")
    assert content == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", ["gpu", "cpu", "full"])
def test_both_files_to_the_letter(case: str) -> None:
    answers = make_answers(
        data={"max_samples": 1000, "test_size": 0.1, "instruction": "请根据问题给出准确的回答。"},
        preset="cpu" if case == "cpu" else "guide-24gb",
        train={"finetuning_type": "full", "pure_bf16": True} if case == "full" else {"learning_rate": 2e-5},
    )
    situation = make_situation() if case == "cpu" else make_situation(make_gpu(), packages=("liger-kernel",))
    plan = make_plan(answers, situation)
    for name in ("train_config.yaml", "merge_config.yaml"):
        file = plan.file(name)
        assert file is not None
        _golden(f"{case}-{name}", file.content)


def test_every_key_of_the_guide_is_there() -> None:
    plan = make_plan(make_answers(), make_situation(make_gpu()))
    assert set(guide_keys()) <= set(_yaml(plan, "train_config.yaml"))
    merge = {"model_name_or_path", "adapter_name_or_path", "template", "finetuning_type"}
    merge |= {"export_dir", "export_size", "export_device", "export_legacy_format"}
    assert merge <= set(_yaml(plan, "merge_config.yaml"))


def test_every_line_has_a_comment() -> None:
    plan = make_plan(make_answers(), make_situation(make_gpu()))
    for name in ("train_config.yaml", "merge_config.yaml"):
        file = plan.file(name)
        assert file is not None
        bare = [line for line in file.content.splitlines() if line and "#" not in line]
        assert not bare


def test_answers_win_over_the_preset_and_it_over_the_defaults() -> None:
    answers = make_answers(preset="guide-24gb", train={"lora_rank": 64})
    decided = decide(answers, make_situation(make_gpu()))
    options, origins = decided.options, decided.origins
    assert options["lora_rank"] == 64
    assert options["cutoff_len"] == 4096
    assert options["lora_dropout"] == 0.1
    assert (origins["lora_rank"], origins["cutoff_len"], origins["lora_dropout"]) == ("answers", "preset", "default")


def test_an_adapter_of_oft_is_merged_as_llamafactory_takes_it() -> None:
    plan = make_plan(make_answers(train={"finetuning_type": "oft"}), make_situation(make_gpu()))
    assert _yaml(plan, "train_config.yaml")["finetuning_type"] == "oft"
    assert _yaml(plan, "merge_config.yaml")["finetuning_type"] == "lora"


def test_steps_that_are_given_stand_alone() -> None:
    options = decide(make_answers(train={"max_steps": 6}), make_situation(make_gpu())).options
    assert "num_train_epochs" not in options
    both = {"max_steps": 6, "num_train_epochs": 2}
    assert decide(make_answers(train=both), make_situation(make_gpu())).options["num_train_epochs"] == 2


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (6, 3), (20, 5), (100, 20)])
def test_a_short_training_is_not_evaluated_after_each_step(steps: int, every: int) -> None:
    answers = make_answers(train={"max_steps": steps, "val_size": 0.1})
    options = decide(answers, make_situation(make_gpu())).options
    assert options["eval_steps"] == every


def test_alpha_follows_the_rank() -> None:
    options = decide(make_answers(preset="cpu", train={"lora_rank": 6}), make_situation()).options
    assert options["lora_alpha"] in (12, make_situation().presets["cpu"].options.get("lora_alpha"))


def test_without_a_gpu_the_cpu_is_used_and_said_so() -> None:
    plan = make_plan(make_answers(), make_situation())
    config = _yaml(plan, "train_config.yaml")
    assert config["use_cpu"] is True
    assert config["bf16"] is False
    stage = plan.stage("train")
    assert stage is not None
    assert stage.env["CUDA_VISIBLE_DEVICES"] == ""
    assert [p.code for p in plan.warnings] == ["no_gpu"]


def test_old_cards_compute_in_fp16() -> None:
    options = decide(make_answers(), make_situation(make_gpu(compute_capability=(7, 5)))).options
    assert options["fp16"] is True
    assert options["bf16"] is False


def test_the_freest_card_is_pinned_by_its_uuid() -> None:
    busy = make_gpu(0, free_bytes=2**30)
    plan = make_plan(make_answers(), make_situation(busy, make_gpu(1)))
    stage = plan.stage("train")
    assert stage is not None
    assert plan.gpus == (1,)
    assert stage.env["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert stage.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "FORCE_TORCHRUN" not in stage.env


def test_two_cards_use_torchrun() -> None:
    plan = make_plan(make_answers(hardware={"gpus": [0, 1]}), make_situation(make_gpu(0), make_gpu(1)))
    stage = plan.stage("train")
    assert stage is not None
    assert stage.env["NPROC_PER_NODE"] == "2"


def test_liger_is_used_where_it_is_installed() -> None:
    answers = make_answers(preset="24gb")
    without = decide(answers, make_situation(make_gpu())).options
    with_it = decide(answers, make_situation(make_gpu(), packages=("liger-kernel",))).options
    assert "enable_liger_kernel" not in without
    assert with_it["enable_liger_kernel"] is True


def test_short_trainings_report_often() -> None:
    few = decide(make_answers(), make_situation(make_gpu(), rows=100)).options
    many = decide(make_answers(), make_situation(make_gpu(), rows=100_000)).options
    assert few["logging_steps"] < 10
    assert few["eval_steps"] < 100
    assert (many["logging_steps"], many["eval_steps"], many["save_steps"]) == (10, 100, 200)


@pytest.mark.parametrize(
    ("sections", "key", "code"),
    [
        ({"preset": "25gb"}, "preset", "unknown_preset"),
        ({"train": {"output_dir": "x"}}, "train.output_dir", "owned_key"),
        ({"train": {"export_size": 4}}, "train.export_size", "owned_key"),
        ({"train": {"export_hub_model_id": "me/m"}}, "train.export_hub_model_id", "not_in_run"),
        ({"train": {"export_quantization_bit": 4}}, "train.export_quantization_bit", "not_in_run"),
        ({"train": {"hf_hub_token": "hf_x"}}, "train.hf_hub_token", "secret_in_file"),
        ({"train": {"template": "qwne"}}, "train.template", "unknown_template"),
        ({"hardware": {"gpus": [7]}}, "hardware.gpus", "no_such_gpu"),
        ({"hardware": {"launcher": "ray"}}, "hardware.launcher", "unsupported_launcher"),
        ({"hardware": {"launcher": "torchrun", "gpus": "none"}}, "hardware.launcher", "torchrun_without_gpu"),
        (
            {"hardware": {"launcher": "single"}, "train": {"deepspeed": "zero2"}},
            "hardware.launcher",
            "single_process",
        ),
    ],
)
def test_what_cannot_be_planned(sections: dict[str, Any], key: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        make_plan(make_answers(**sections), make_situation(make_gpu()))
    assert [(p.key, p.code) for p in refused.value.problems] == [(key, code)]
    assert refused.value.problems[0].hint


@pytest.mark.parametrize(("launcher", "forced"), [("auto", False), ("single", False), ("torchrun", True)])
def test_the_launcher_of_one_card(launcher: str, forced: bool) -> None:
    plan = make_plan(make_answers(hardware={"launcher": launcher}), make_situation(make_gpu()))
    train = plan.stage("train")
    assert train is not None
    assert (train.env.get("FORCE_TORCHRUN") == "1") is forced
    assert train.env.get("NPROC_PER_NODE") == ("1" if forced else None)


def test_a_plan_survives_its_file() -> None:
    plan = make_plan(make_answers(), make_situation(make_gpu()))
    again = plan_from_json(json.loads(json.dumps(plan.as_json())))
    assert again.stages == plan.stages
    assert again.files == plan.files
    assert again.train_options == plan.train_options


def test_without_export_there_is_nothing_to_verify() -> None:
    plan = make_plan(make_answers(export={"enabled": False}), make_situation(make_gpu()))
    assert [stage.name for stage in plan.stages] == ["convert", "train"]


@pytest.mark.parametrize(
    ("free_gib", "packages", "quantized"),
    [(79.0, ("liger-kernel", "bitsandbytes"), False), (14.0, ("bitsandbytes",), True), (22.5, (), False)],
)
def test_auto_takes_the_most_that_fits(free_gib: float, packages: tuple[str, ...], quantized: bool) -> None:
    gpu = make_gpu(total_gib=79.6, free_bytes=int(free_gib * 2**30))
    situation = make_situation(gpu, packages=packages)
    plan = make_plan(make_answers(), situation)
    assert plan.estimate is not None
    assert plan.estimate.fit == "fits"
    assert ("quantization_bit" in plan.train_options) is quantized
