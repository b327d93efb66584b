"""What `estimate` can be asked about, on a machine without a GPU: for another machine, with changes, from a YAML."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from sft_tui.answers import read_answers
from sft_tui.plan.subject import changed_answers
from tests.headless import Project, make_project


def estimate(project: Project, *words: str) -> dict[str, Any]:
    done = project.sft("estimate", *words, "--json", timeout=120)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def refused(project: Project, *words: str) -> str:
    done = project.sft("estimate", *words, timeout=120)
    assert done.code == 2 and "Traceback" not in done.err
    assert "did not expect" not in done.err
    return done.err


def test_answers_for_another_machine_are_judged_by_its_cards(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.answer(hardware={"gpus": [0, 1], "launcher": "deepspeed"}, preset="auto")
    assert "not there" in refused(project, "answers.yaml")
    found = estimate(project, "answers.yaml", "--gpu-memory", "24")
    assert found["fits"] is True and "parallel" in found["parts"], "two cards, as the answers say"
    assert 20 < found["longest"] < 400 and not any("processor" in note for note in found["notes"])
    assert estimate(project, "answers.yaml", "--gpu-memory", "1")["fits"] is False


def test_the_samples_count_without_a_gpu_too(tmp_path: Path) -> None:
    found = estimate(make_project(tmp_path), "answers.yaml")
    assert 20 < found["longest"] < 400 and found["fits"] is None


def test_preset_and_options_of_the_command_line_change_the_answers(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.answer(train={"per_device_train_batch_size": 2})
    card = ("--gpu-memory", "24")
    plain = estimate(project, "answers.yaml", *card)
    preset = estimate(project, "answers.yaml", "--preset", "guide-24gb", *card)
    assert preset["parts"] != plain["parts"]
    larger = estimate(project, "answers.yaml", "--set", "per_device_train_batch_size=64", *card)
    assert larger["peak_bytes"] > plain["peak_bytes"]
    measured = project.sft("estimate", "answers.yaml", "--measure", "--set", "lora_rank=abc", timeout=120)
    assert measured.code == 2 and "lora_rank" in measured.err
    for option in (("--gpus", "2"), ("--gpu-memory", "24"), ("--fit",), ("--tokens", "9")):
        assert option[0] in refused(project, "answers.yaml", "--measure", *option)


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = make_project(tmp_path).answer(train={"cutoff_len": 100, "lora_rank": 4})
    changed = changed_answers(path, "24gb", {"cutoff_len": 333})
    assert changed.train == {"cutoff_len": 333, "lora_rank": 4} and changed.preset == "24gb"
    assert changed_answers(path, None, {}) == read_answers(path).require()


def test_a_measurement_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """By a batch system, or by a connection that breaks: the trainer ends too, and the converted data goes."""
    project = make_project(tmp_path, {"steps": 3000, "step_s": 0.2})
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, **project.fake.env, **project.env, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-m", "sft_tui.cli", "estimate", "answers.yaml", "--measure"]
    process = subprocess.Popen(command, cwd=project.path, env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any("out/trainer_log" in str(path) for path in (tmp_path / "tmp").rglob("*.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, "it did not begin"
        time.sleep(0.1)
    trial = str(next((tmp_path / "tmp").iterdir()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 130
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not [
        other.pid for other in psutil.process_iter(["cmdline"]) if trial in " ".join(other.info["cmdline"] or [])
    ]


def test_a_train_yaml_can_be_estimated(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    options = {"model_name_or_path": "model", "stage": "sft", "finetuning_type": "lora", "bf16": True, "lora_rank": 8}
    path = project.path / "train_config.yaml"
    path.write_text(yaml.safe_dump(options))
    found = estimate(project, "train_config.yaml", "--gpu-memory", "24")
    assert found["fits"] is True and found["architecture"] == "qwen2"
    wider = estimate(project, "train_config.yaml", "--set", "lora_rank=16", "--gpu-memory", "24")
    assert wider["parts"]["adapter"] == 2 * found["parts"]["adapter"]
    path.write_text(yaml.safe_dump({**options, "cutoff_len": "long"}))
    assert "cutoff_len" in refused(project, "train_config.yaml")


@pytest.mark.parametrize(
    "words",
    [
        ("model", "--gpus", "0"),
        ("model", "--gpus", "two"),
        ("model", "--samples", "-5"),
        ("model", "--samples", "10", "--tokens", "nan"),
        ("model", "--set", "cutoff_len=.inf"),
        ("model", "--gpu-memory", "nan"),
        ("gone.yaml",),
        ("gone.yaml", "--measure"),
        ("model", "--measure"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert refused(make_project(tmp_path), *words)


@pytest.mark.parametrize("train", [{"cutoff_len": "abc"}, {"lora_rank": -3}, {"per_device_train_batch_size": [1]}])
def test_no_number_is_made_up_for_a_value_that_no_run_takes(tmp_path: Path, train: dict[str, Any]) -> None:
    project = make_project(tmp_path)
    project.answer(train=train)
    assert next(iter(train)) in refused(project, "answers.yaml", "--gpu-memory", "24")
