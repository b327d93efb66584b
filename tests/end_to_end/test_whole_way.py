"""From answers to a merged model with the real LLaMA-Factory, on the demo's tiny model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from sft_tui.factory.length import optimizer_steps, trained_rows
from sft_tui.headless.demo_command import copy_demo

pytestmark = pytest.mark.real

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
ENV = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def _project(tmp_path: Path, source: str, **train: Any) -> Path:
    project = copy_demo(tmp_path / "project")
    answers = yaml.safe_load((project / "answers.yaml").read_text(encoding="utf-8"))
    answers["data"]["source"] = source
    answers["train"] |= train
    (project / "answers.yaml").write_text(yaml.safe_dump(answers, allow_unicode=True), encoding="utf-8")
    return project


def _start(project: Path) -> subprocess.Popen[str]:
    command = [str(BIN / "sft-tui"), "--non-interactive", "answers.yaml"]
    return subprocess.Popen(command, cwd=project, env=ENV, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _losses(project: Path) -> list[float]:
    lines = (project / "saves" / "demo" / "trainer_log.jsonl").read_text().splitlines()
    return [row["loss"] for line in lines if "loss" in (row := json.loads(line))]


def test_parquet_and_then_the_same_by_hand(tmp_path: Path) -> None:
    project = _project(tmp_path, "demo.parquet", max_steps=8, logging_steps=2, eval_steps=4)
    run = _start(project)
    _out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    verified = _json(project / "runs/demo/verify.json")
    assert verified["ok"], verified
    assert verified["samples"][0]["before"] != verified["samples"][0]["after"]
    events = list((project / "logs/demo/tensorboard").rglob("events.out.tfevents.*"))
    assert events and events[0].stat().st_size > 0
    first = _losses(project)
    plan = _json(project / "runs/demo/plan.json")
    by_hand = next(s["shown"] for s in plan["stages"] if s["name"] == "train")
    shutil.move(project / "saves/demo", project / "saves/kept")
    typed = subprocess.run(
        by_hand, shell=True, cwd=project, env={**ENV, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True
    )
    assert typed.returncode == 0, typed.stdout[-2000:] + typed.stderr[-2000:]
    assert _losses(project) == pytest.approx(first, abs=1e-3)


def test_json_and_the_front_end_is_killed(tmp_path: Path) -> None:
    project = _project(tmp_path, "demo.json", num_train_epochs=0.3, logging_steps=1, eval_strategy="no")
    run = _start(project)
    state = project / "runs" / "demo" / "state.json"
    deadline = time.monotonic() + 240
    while not (state.exists() and _json(state)["stage"] == "train"):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.2)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    while _json(state)["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert _json(state)["status"] == "finished", _json(state)
    assert (project / "models/demo/Modelfile").exists()
    rows = _json(project / "data/demo.convert.json")["result"]["train_rows"]
    options = _json(project / "runs/demo/plan.json")["train_options"]
    logged = (project / "saves/demo/trainer_log.jsonl").read_text().splitlines()
    assert json.loads(logged[-1])["total_steps"] == optimizer_steps(options, trained_rows(options, rows)) == 10
    attached = subprocess.run(
        [str(BIN / "sft-tui"), "attach", "demo"], cwd=project, env=ENV, capture_output=True, text=True
    )
    assert attached.returncode == 0
    assert "10/10" not in attached.stderr or "finished" in attached.stderr


def test_the_readme_is_right(tmp_path: Path) -> None:
    """Every command that the README shows exists, its answers file is one, and its demo runs."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {match[1] for match in re.finditer(r"`?sft-tui ([a-z]+)", text)}
    for command in sorted(shown):
        subprocess.run([str(BIN / "sft-tui"), command, "--help"], env=ENV, check=True, capture_output=True)
    targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
    assert targets[:2] == ["demo", "test"]
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
    (example,) = re.findall(r"```yaml\n(version: 1.*?)```", text, re.DOTALL)
    (tmp_path / "answers.yaml").write_text(example, encoding="utf-8")
    (tmp_path / "raw").mkdir()
    shutil.copy(ROOT / "data/demo/demo.parquet", tmp_path / "raw/apples.parquet")
    command = [str(BIN / "sft-tui"), "check", "answers.yaml", "--json"]
    checked = subprocess.run(command, cwd=tmp_path, env=ENV, capture_output=True, text=True)
    assert json.loads(checked.stdout)["ok"], checked.stdout


def test_the_demo_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "sft-tui"), "demo", str(tmp_path / "demo")], env=ENV, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "answer before:" in done.stdout
    assert "llamafactory-cli export configs/demo/merge_config.yaml" in done.stdout
    metrics = _json(tmp_path / "demo/runs/demo/state.json")["metrics"]
    assert metrics["loss"] < metrics["first_loss"] / 4
