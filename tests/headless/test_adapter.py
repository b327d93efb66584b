"""Training an adapter further: as a new run that names the run which made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.headless import Project, make_project


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the run `apples`, whose adapter has rank 4."""
    project = make_project(tmp_path_factory.mktemp("adapter"))
    project.answer(train={"lora_rank": 4, "lora_alpha": 8})
    result = project.run()
    assert result.code == 0, result.err
    return project


def _problems(project: Project, **sections: Any) -> dict[str, dict[str, Any]]:
    project.answer(**sections)
    found = json.loads(project.sft("check", "answers.yaml", "--json").out)["problems"]
    return {problem["key"]: problem for problem in found}


def test_a_new_run_trains_the_adapter_further(trained: Project) -> None:
    trained.answer(run={"name": "pears"}, model={"adapter": "saves/apples"})
    planned = json.loads(trained.run("--dry-run", "--json").out)["plan"]
    assert planned["parent"] == "apples" and "./saves/apples" in planned["reasons"]["parent"]
    result = trained.run("--json")
    assert result.code == 0, result.err
    assert result.events()[0]["parent"] == "apples"
    config = yaml.safe_load((trained.path / "configs/pears/train_config.yaml").read_text())
    assert config["adapter_name_or_path"] == "./saves/apples"
    assert (config["lora_rank"], config["output_dir"]) == (4, "./saves/pears")
    merge = yaml.safe_load((trained.path / "configs/pears/merge_config.yaml").read_text())
    assert (merge["model_name_or_path"], merge["adapter_name_or_path"]) == ("./model", "./saves/pears")
    kept = yaml.safe_load((trained.path / "runs/pears/answers.yaml").read_text())
    assert kept["model"]["adapter"] == "./saves/apples"
    runs = {run["run"]: run["parent"] for run in json.loads(trained.sft("runs", "--json").out)}
    assert runs == {"apples": None, "pears": "apples"}
    assert "nothing to do" in trained.run().err


def test_what_the_adapter_holds_counts_not_where_it_lies(trained: Project) -> None:
    config = trained.path / "saves/apples/adapter_config.json"
    text = config.read_text()
    trained.answer(run={"name": "plums"}, model={"adapter": "saves/apples"})
    assert trained.run().code == 0
    attempts = [trained.state("plums")["stages"]["train"]["attempt"]]
    try:
        config.write_text(text.replace("{", '{"revision": null, ', 1))
        assert trained.run().code == 0
    finally:
        config.write_text(text)
    attempts.append(trained.state("plums")["stages"]["train"]["attempt"])
    assert attempts == [1, 2]


def test_what_cannot_be_trained_further_is_told_before_the_start(trained: Project, tmp_path: Path) -> None:
    run, saved = {"name": "grapes"}, {"adapter": "saves/apples"}
    found = _problems(trained, run=run, model={"adapter": "saves/none"})
    assert found["model.adapter"]["code"] == "adapter_not_found"
    (tmp_path / "empty").mkdir()
    found = _problems(trained, run=run, model={"adapter": str(tmp_path / "empty")})
    assert found["model.adapter"]["code"] == "no_adapter"
    found = _problems(trained, run=run, model=saved, train={"finetuning_type": "full", "pure_bf16": True})
    problem = found["model.adapter"]
    assert problem["severity"] == "error" and "`model.adapter`" in problem["hint"]
    found = _problems(trained, run=run, model=saved, train={"create_new_adapter": True})
    assert found["train.create_new_adapter"]["severity"] == "error"
    found = _problems(trained, run={"name": "apples"}, model=saved)
    assert found["model.adapter"]["code"] == "own_adapter"
    found = _problems(trained, run=run, train={"adapter_name_or_path": "saves/apples"})
    assert "`model.adapter`" in found["train.adapter_name_or_path"]["hint"]


def test_another_base_and_a_rank_without_a_say_are_told(trained: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in (trained.path / "saves/apples").glob("adapter_*"):
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "/models/Other-7B"}))
    found = _problems(trained, run={"name": "figs"}, model={"adapter": str(other)}, train={"lora_rank": 32})
    assert found["model.adapter"]["code"] == "other_base" and "`model.path`" in found["model.adapter"]["hint"]
    assert "32" in found["train.lora_rank"]["message"] and "4" in found["train.lora_rank"]["message"]
    assert found["train.lora_rank"]["severity"] == "warning"
    plan = json.loads(trained.run("--dry-run", "--json").out)["plan"]
    assert plan["train_options"]["lora_rank"] == 4


def test_a_config_of_ones_own_is_told_which_options_have_no_say(trained: Project) -> None:
    config = yaml.safe_load((trained.path / "configs/apples/train_config.yaml").read_text())
    file = trained.path / "own.yaml"
    for more, told in (({"lora_rank": 16}, True), ({"lora_rank": 16, "create_new_adapter": True}, False)):
        file.write_text(yaml.safe_dump({**config, "adapter_name_or_path": "saves/apples", **more}))
        found = json.loads(trained.sft("check", "own.yaml", "--json").out)["problems"]
        assert ("adapter_shape" in {problem["code"] for problem in found}) is told
