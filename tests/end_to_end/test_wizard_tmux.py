"""A user in tmux at 80x24: from nothing to a merged model though the terminal dies; then the same without a screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.terminal import REPOSITORY, Tmux, wait_until, walk_to_the_start
from tests.waiting import until

DEMO = REPOSITORY / "data" / "demo"
SFT_TUI = f"{sys.executable} -m sft_tui.cli"


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A tmux in an empty project beside the demo's files."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    shutil.copytree(DEMO / "model", tmp_path / "model")
    rows = (DEMO / "demo.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "demo.csv").write_text("".join(rows[:65]), encoding="utf-8")
    server = Tmux(tmp_path)
    yield server
    server.kill()


@pytest.mark.real
def test_from_nothing_to_a_merged_model_though_the_terminal_dies(tmux: Tmux, tmp_path: Path) -> None:
    assert walk_to_the_start(tmux, SFT_TUI, "demo.csv") <= 12
    tmux.wait_for("You can close this window")
    run = wait_until(tmp_path, lambda s: s["status"] == "running", 30)["run"]

    tmux.kill()
    seen = wait_until(tmp_path, lambda s: s["metrics"].get("step", 0) >= 1, 600)
    assert seen["status"] == "running"

    tmux.start(f"{SFT_TUI} attach {run}")
    tmux.wait_for(f"{run}")
    state = wait_until(tmp_path, lambda s: s["status"] not in ("running", "pending"), 600)
    assert state["status"] == "finished", state
    tmux.wait_for("Everything is done", timeout_s=20)
    tmux.press("Enter")
    tmux.wait_for("Answers before and after", timeout_s=20)
    merged = tmp_path / "models" / run
    assert (merged / "config.json").is_file() and list(merged.glob("*.safetensors"))
    tmux.press("F10")

    words = ("--non-interactive", f"runs/{run}/answers.yaml", "--fresh")
    front = subprocess.Popen(
        [sys.executable, "-m", "sft_tui.cli", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(list(tmp_path.glob("runs/*/state.json"))) == 2)
    (again,) = (path.parent.name for path in tmp_path.glob("runs/*/state.json") if path.parent.name != run)
    wait_until(tmp_path, lambda s: s["stage"] == "train" and s["status"] == "running", 60, run=again)
    front.kill()  # without a screen, too, a run belongs to no front end
    _out, said = front.communicate()
    assert front.returncode == -signal.SIGKILL, said
    state = wait_until(tmp_path, lambda s: s["status"] not in ("running", "pending"), 600, run=again)
    assert state["status"] == "finished", state
    assert len(list(tmp_path.glob("models/*/config.json"))) == 2
