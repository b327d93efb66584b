"""A train YAML of LLaMA-Factory in place of an answers file: what it trains stays the same, the rest is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sft_tui.answers import read_answers
from tests.headless import Project, make_project

CONFIG: dict[str, Any] = {
    "model_name_or_path": "model", "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_target": "all",
    "dataset": "apples,pears", "template": "qwen", "cutoff_len": 300, "max_samples": 1000, "output_dir": "saves/x",
    "overwrite_output_dir": True, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 2,
    "learning_rate": 2e-4, "num_train_epochs": 2.0, "use_cpu": True, "logging_steps": 5, "export_size": 3,
}  # fmt: skip


def project_with(tmp_path: Path, **changes: Any) -> Project:
    project = make_project(tmp_path)
    data = project.path / "data"
    data.mkdir()
    rows = [{"instruction": f"q{n}", "input": "", "output": "a"} for n in range(40)]
    for name in ("apples", "pears"):
        (data / f"{name}.json").write_text(json.dumps(rows))
    info = {name: {"file_name": f"{name}.json"} for name in ("apples", "pears")}
    (data / "dataset_info.json").write_text(json.dumps(info))
    options = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    (project.path / "configs").mkdir()
    (project.path / "configs" / "train_config.yaml").write_text(yaml.safe_dump(options))
    return project


def test_a_config_is_trained_as_it_says(tmp_path: Path) -> None:
    project = project_with(tmp_path, interleave_probs="0.7,0.3", mix_strategy="interleave_over")
    done = project.sft("--non-interactive", "configs/train_config.yaml", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert "`output_dir`" in done.err and "`export_size`" in done.err
    options = json.loads(done.out)["plan"]["train_options"]
    same = set(CONFIG) - {"dataset", "model_name_or_path", "output_dir", "export_size", "max_samples"}
    assert {key: options[key] for key in same} == {key: CONFIG[key] for key in same}
    # what the file leaves to LLaMA-Factory, against the guide's and the presets' own values
    assert (options["lora_dropout"], options["lr_scheduler_type"], options["eval_strategy"]) == (0.0, "linear", "no")
    assert (options["mix_strategy"], options["interleave_probs"]) == ("interleave_over", "0.7,0.3")
    written = project.path / "train_config.answers.yaml"
    answers = read_answers(written).require()
    assert [source.registered for source in answers.data.sources or ()] == ["apples", "pears"]
    assert "output_dir" in written.read_text(encoding="utf-8").splitlines()[1]
    again = project.sft("--non-interactive", "configs/train_config.yaml", "--dry-run")
    assert again.code == 0 and len(list(project.path.glob("*.answers*.yaml"))) == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"stage": "dpo"}, "stage: sft"),
        ({"do_train": None, "do_predict": True}, "do_train"),
        ({"dataset": None}, "registered data set"),
        ({"do_train": None, "export_dir": "out", "output_dir": None, "dataset": None}, "do_train"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    project = project_with(tmp_path, **changes)
    done = project.sft("--non-interactive", "configs/train_config.yaml", "--dry-run")
    assert done.code == 2
    assert word in done.err
    assert not list(project.path.glob("*.answers*.yaml"))
