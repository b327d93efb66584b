"""Three real steps with the real LLaMA-Factory, evaluation and all, of which nothing stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sft_tui.headless.demo_command import copy_demo

pytestmark = pytest.mark.real


def test_three_steps_on_the_processor(tmp_path: Path) -> None:
    project = copy_demo(tmp_path / "project")
    before = sorted(project.rglob("*"))
    command = [str(Path(sys.executable).parent / "sft-tui"), "estimate", "answers.yaml", "--measure", "--json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["steps"] == 3 and found["gpus"] == [] and found["memory_bytes"] > 200 << 20
    assert sorted(project.rglob("*")) == before
