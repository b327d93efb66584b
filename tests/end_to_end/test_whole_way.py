"""From answers to a merged model with the real LLaMA-Factory, on the demo's tiny model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("demo")]

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
ENV = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One real run that several tests look at: the demo's directory, and what the command printed."""
    project = tmp_path_factory.mktemp("whole-way") / "demo"
    command = [str(BIN / "sft-tui"), "demo", str(project)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return project, done.stdout


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _losses(project: Path) -> list[float]:
    lines = (project / "saves" / "demo" / "trainer_log.jsonl").read_text().splitlines()
    return [row["loss"] for line in lines if "loss" in (row := json.loads(line))]


def test_the_demo_command(demo: tuple[Path, str]) -> None:
    project, shown = demo
    assert "answer before:" in shown
    assert "llamafactory-cli export configs/demo/merge_config.yaml" in shown
    metrics = _json(project / "runs/demo/state.json")["metrics"]
    assert metrics["loss"] < metrics["first_loss"] / 4


def test_a_run_leaves_a_verified_model_and_what_tensorboard_shows(demo: tuple[Path, str]) -> None:
    project, _shown = demo
    verified = _json(project / "runs/demo/verify.json")
    assert verified["ok"], verified
    assert verified["samples"][0]["before"] != verified["samples"][0]["after"]
    assert (project / "models/demo/Modelfile").exists()
    events = list((project / "logs/demo/tensorboard").rglob("events.out.tfevents.*"))
    assert events and events[0].stat().st_size > 0


def test_attach_tells_the_end_of_a_run_that_is_over(demo: tuple[Path, str]) -> None:
    command = [str(BIN / "sft-tui"), "attach", "demo"]
    attached = subprocess.run(command, cwd=demo[0], env=ENV, capture_output=True, text=True)
    assert attached.returncode == 0
    assert "finished" in attached.stderr


def test_the_same_by_hand(demo: tuple[Path, str], tmp_path: Path) -> None:
    project = shutil.copytree(demo[0], tmp_path / "project")
    first = _losses(project)
    assert len(first) > 10
    plan = _json(project / "runs/demo/plan.json")
    by_hand = next(s["shown"] for s in plan["stages"] if s["name"] == "train")
    shutil.move(project / "saves/demo", project / "saves/kept")
    typed = subprocess.run(
        by_hand, shell=True, cwd=project, env={**ENV, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True
    )
    assert typed.returncode == 0, typed.stdout[-2000:] + typed.stderr[-2000:]
    assert _losses(project) == pytest.approx(first, abs=1e-3)


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
