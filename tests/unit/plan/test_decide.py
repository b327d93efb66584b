"""What is decided once is the same everywhere: in plans, on screens, in `estimate`, and from wherever one asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sft_tui.answers import read_answers
from sft_tui.machine.gpus import GpuReport
from sft_tui.plan.assess import Assessor
from sft_tui.plan.context import gather
from sft_tui.plan.decide import decide
from sft_tui.plan.make import make_plan
from sft_tui.plan.need import memory_of_draft, preset_needs
from sft_tui.plan.settings import parse_settings
from sft_tui.plan.subject import Question, changed_answers, subject_of
from sft_tui.problems import Refusal
from tests.headless import make_project
from tests.unit.plan import make_answers, make_gpu, make_situation


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a machine with two cards of 24 GiB, of which the second is the freer one."""
    found = make_project(tmp_path)
    cards = GpuReport((make_gpu(0, free_bytes=9 << 30), make_gpu(1)))
    for place in ("sft_tui.plan.context.read_gpus", "sft_tui.machine.gpus.read_gpus"):
        monkeypatch.setattr(place, lambda: cards)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for key, value in found.fake.env.items():
        monkeypatch.setenv(key, value)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return found.path


def _answers(project: Path, **sections: Any) -> Path:
    path = project / "answers.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data |= {"hardware": {"gpus": "auto"}, "preset": "guide-24gb", **sections}
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def test_plan_screens_and_estimate_tell_one_need(project: Path) -> None:
    path = _answers(project, preset="auto")
    answers, cards = read_answers(path).require(), GpuReport((make_gpu(0, free_bytes=9 << 30), make_gpu(1)))
    plan = make_plan(answers, gather(answers, path, count_tokens=True))
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    review = Assessor(lambda: cards).assess(data, path, 40, deep=True)
    asked = subject_of(Question(str(path)), {})
    need = memory_of_draft(data, path, cards)
    assert plan.estimate is not None and review.plan is not None and review.plan.estimate is not None
    assert need.need is not None
    told = {asked.need.peak_bytes, need.need.peak_bytes, review.plan.estimate.peak_bytes}
    assert told == {plan.estimate.peak_bytes}
    assert asked.card is not None and (asked.card.index,) == plan.gpus == review.plan.gpus == (1,)
    assert asked.longest == plan.estimate.longest
    assert preset_needs(data, path, cards).needs["auto"].fit == plan.estimate.fit


def test_a_deepspeed_file_is_found_from_the_answers_wherever_one_stands(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "ds.json").write_text(json.dumps({"zero_optimization": {"stage": 3}}), encoding="utf-8")
    path = _answers(project, train={"deepspeed": "ds.json"}, hardware={"gpus": [0, 1]})
    answers = read_answers(path).require()
    found = []
    for place in (project, project.parent):
        monkeypatch.chdir(place)
        found.append(make_plan(answers, gather(answers, path)))
    assert found[0].estimate == found[1].estimate and found[0].train_options == found[1].train_options
    assert found[0].train_options["deepspeed"] == "./ds.json"
    (project / "ds.json").write_text(json.dumps({"zero_optimization": {"stage": 1}}), encoding="utf-8")
    other = make_plan(answers, gather(answers, path)).estimate
    assert other is not None and found[0].estimate is not None
    assert other.parts["gradients"] > found[0].estimate.parts["gradients"], "the file's content counts, not its name"


def test_a_deepspeed_file_beside_answers_outside_the_project(project: Path) -> None:
    beside = project.parent / "configs"
    beside.mkdir()
    (beside / "ds.json").write_text("{}", encoding="utf-8")
    path = _answers(project, train={"deepspeed": "ds.json"}, run={"name": "apples", "dir": str(project)})
    moved = path.rename(beside / "answers.yaml")
    answers = read_answers(moved).require()
    plan = make_plan(answers, gather(answers, moved))
    assert plan.train_options["deepspeed"] == str(beside / "ds.json")
    kept = plan.file("answers.yaml")
    assert kept is not None and yaml.safe_load(kept.content)["train"]["deepspeed"] == str(beside / "ds.json")


def test_a_preset_file_goes_wherever_a_preset_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "mine.yaml").write_text("title: Mine\noptions: {lora_rank: 7}\n", encoding="utf-8")
    path = _answers(project, preset="./mine.yaml")
    answers = read_answers(path).require()
    plan = make_plan(answers, gather(answers, path))
    assert (plan.preset, plan.train_options["lora_rank"]) == ("mine", 7)
    assert subject_of(Question(str(path)), {}).options["lora_rank"] == 7
    kept = plan.file("answers.yaml")
    assert kept is not None and yaml.safe_load(kept.content)["preset"] == "./mine.yaml"
    again = project / "runs/apples/answers.yaml"
    again.parent.mkdir(parents=True)
    again.write_text(kept.content, encoding="utf-8")
    repeated = read_answers(again).require()
    assert decide(repeated, gather(repeated, again)).options["lora_rank"] == 7
    monkeypatch.chdir(project)
    assert changed_answers(path, "mine.yaml", {}).preset == str(project / "mine.yaml")


def test_mistakes_in_options_are_no_traceback_and_no_figure() -> None:
    answers = make_answers(train={"per_device_train_batch_size": "two", "lora_dropout": "much"})
    decided = decide(answers, make_situation(make_gpu()))
    assert decided.estimate is None and decided.effective_batch is None and decided.length.steps is None


def test_settings_are_read_as_yaml_and_unknown_ones_refused() -> None:
    assert parse_settings(["learning_rate=1.0e-5", "bf16 = true"]) == {"learning_rate": 1.0e-5, "bf16": True}
    for word, said in (
        ("lerning_rate=1e-5", "learning_rate"),
        ("x", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("lora_rank=[", ""),
    ):
        with pytest.raises(Refusal) as refused:
            parse_settings([word])
        problem = refused.value.problems[0]
        assert said in f"{problem.message} {problem.hint}"
