"""Trainings that DeepSpeed divides among cards: by a name, by the launcher, by a file of the user's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from sft_tui.factory.deepspeed import ZERO, zero_config, zero_path
from sft_tui.memory import fit_options, known_config, suggestions
from sft_tui.memory.sharding import read_sharding
from sft_tui.plan.estimate import more_cards
from sft_tui.plan.make import make_plan
from sft_tui.plan.preflight import check_options, preflight
from sft_tui.problems import Refusal
from sft_tui.project.plan_record import Plan
from tests.unit.plan import make_answers, make_gpu, make_situation

GIB = 2**30
BOTH = {"gpus": [0, 1]}
FULL = {"finetuning_type": "full", "bf16": True, "per_device_train_batch_size": 1}


def two(total_gib: float = 80, **changes: Any) -> Any:
    packages = changes.pop("packages", ("deepspeed", "liger-kernel"))
    return make_situation(make_gpu(0, total_gib), make_gpu(1, total_gib), packages=packages, **changes)


def written(plan: Plan) -> dict[str, Any]:
    name = plan.train_options["deepspeed"]
    file = next(file for file in plan.files if file.path == name)
    config = plan.file("train_config.yaml")
    assert config is not None and yaml.safe_load(config.content)["deepspeed"] == name
    return dict(json.loads(file.content))


@pytest.mark.parametrize("name", ZERO)
def test_a_name_becomes_a_file_beside_the_train_config(name: str) -> None:
    answers = make_answers(hardware=BOTH, preset="guide-24gb", train={"deepspeed": name})
    situation = two()
    plan = make_plan(answers, situation)
    assert plan.train_options["deepspeed"] == f"configs/apples/ds_{name}.json"
    found = written(plan)
    zero = found["zero_optimization"]
    assert zero["stage"] == int(name[4]) and ("offload_optimizer" in zero) is name.endswith("offload")
    assert found["train_micro_batch_size_per_gpu"] == "auto"
    assert read_sharding({"deepspeed": found}, 2) == read_sharding({"deepspeed": name}, 2)
    train = plan.stage("train")
    assert train is not None and train.env["FORCE_TORCHRUN"] == "1" and train.env["NPROC_PER_NODE"] == "2"
    keys = [
        p.key
        for p in check_options(answers, situation, plan.train_options, situation.gpus.gpus)
        if p.severity.value == "error"
    ]
    assert "train.deepspeed" not in keys


def test_the_launcher_takes_as_much_sharding_as_is_needed() -> None:
    small = make_plan(make_answers(hardware={**BOTH, "launcher": "deepspeed"}, preset="guide-24gb"), two())
    assert small.train_options["deepspeed"] == zero_path("apples", "zero2")
    large = make_answers(hardware={**BOTH, "launcher": "deepspeed"}, preset="guide-24gb", train=FULL)
    plan = make_plan(large, two())
    assert written(plan)["zero_optimization"]["stage"] == 3
    one = make_plan(make_answers(hardware={"gpus": [0], "launcher": "deepspeed"}), two())
    train = one.stage("train")
    assert train is not None and train.env["NPROC_PER_NODE"] == "1", "a launcher also for one card"
    config = one.file("train_config.yaml")
    assert config is not None and ": FORCE_TORCHRUN=1 llamafactory-cli train" in config.content.splitlines()[0]


def test_a_file_of_the_users_stays() -> None:
    answers = make_answers(hardware={**BOTH, "launcher": "deepspeed"}, train={"deepspeed": "my/ds.json"})
    plan = make_plan(answers, two())
    assert plan.train_options["deepspeed"] == "my/ds.json"
    assert len(plan.files) == len(make_plan(make_answers(), two()).files)
    assert zero_config("apples", "my/ds.json") is None and zero_config("apples", {"a": 1}) is None


def test_without_a_gpu_it_is_refused() -> None:
    for answers in (make_answers(hardware={"launcher": "deepspeed"}), make_answers(train={"deepspeed": "zero3"})):
        with pytest.raises(Refusal) as refused:
            make_plan(answers, make_situation())
        assert refused.value.problems[-1].code == "deepspeed_without_gpu"
    for name in ("ray", "slurm"):
        with pytest.raises(Refusal, match=name):
            make_plan(make_answers(hardware={"launcher": name}), two())


def test_several_cards_are_advised_to_divide_what_one_does_not_hold() -> None:
    config = known_config("Qwen2.5-7B")
    assert config is not None
    options = {**FULL, "cutoff_len": 1024, "enable_liger_kernel": True}
    kinds = [s.kind for s in suggestions(config, options, gpus=4)]
    assert kinds.index("zero2") < kinds.index("zero3") < kinds.index("optimizer_8bit")
    assert not any(s.kind.startswith("zero") for s in suggestions(config, options, gpus=1))
    fitted = fit_options(config, options, 80 * GIB, gpus=4, packages=("deepspeed",))
    assert fitted.fits and fitted.changes["deepspeed"] in ZERO
    assert "deepspeed" not in fit_options(config, options, 80 * GIB, gpus=4, packages=()).changes
    assert fit_options(config, options, 80 * GIB, gpus=4).changes["deepspeed"] in ZERO, "unless it is known to lack"
    quantized = {"quantization_bit": 4, "bf16": True}
    assert not any(s.kind == "zero3" for s in suggestions(config, quantized, gpus=4))
    divided = [s.kind for s in suggestions(config, {**options, "deepspeed": "zero3"}, gpus=4)]
    assert "zero3" not in divided and "pure_bf16" not in divided


def test_a_plan_that_does_not_fit_two_cards_says_what_would() -> None:
    answers = make_answers(hardware=BOTH, preset="guide-24gb", train={**FULL, "cutoff_len": 1024})
    plan = make_plan(answers, two())
    assert plan.estimate is not None and plan.estimate.fit == "no"
    assert plan.estimate.changes["deepspeed"] in ZERO
    changed = make_plan(
        make_answers(hardware=BOTH, preset="guide-24gb", train={**FULL, "cutoff_len": 1024, **plan.estimate.changes}),
        two(),
    )
    assert changed.estimate is not None and changed.estimate.fit == "fits"


def test_cards_that_hold_it_together_are_named() -> None:
    four = make_situation(*(make_gpu(n, 80) for n in range(4)), packages=("deepspeed",))
    answers = make_answers(preset="guide-24gb", train={**FULL, "cutoff_len": 1024, "gradient_accumulation_steps": 8})
    plan = make_plan(answers, four)
    assert plan.estimate is not None and plan.estimate.fit == "no"
    found = more_cards(four, plan.train_options, four.gpus.gpus[:1])
    assert found is not None
    cards, changes = found
    assert changes["deepspeed"] in ZERO and len(cards) * changes["gradient_accumulation_steps"] == 8
    (problem,) = [p for p in preflight(answers, four, plan, light=True) if p.code == "gpu_memory"]
    assert problem.hint is not None and "hardware: {gpus: [0, 1" in problem.hint
    together = make_answers(hardware={"gpus": list(cards)}, preset="guide-24gb", train={**answers.train, **changes})
    fitting = make_plan(together, four)
    assert fitting.estimate is not None and fitting.estimate.fit == "fits"
    assert more_cards(four, {**plan.train_options, "quantization_bit": 4}, four.gpus.gpus[:1]) is None
