"""A user in tmux at 80x24: from nothing to a merged model though the terminal dies; then the same without a screen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "data" / "demo"
SFT_TUI = f"{sys.executable} -m sft_tui.cli"


class Tmux:
    """A tmux server of its own, with one session of 80x24 at a time."""

    def __init__(self, directory: Path) -> None:
        self._socket = f"sft-tui-{uuid.uuid4().hex[:8]}"
        self._directory = directory
        self._env = {
            **os.environ,
            "LANG": "C.UTF-8",
            "SFT_TUI_LANG": "en",
            "XDG_STATE_HOME": str(directory / "state"),
            "PYTHONPATH": str(REPOSITORY),
        }
        self._env.pop("TMUX", None)

    def _run(self, *words: str) -> str:
        command = ["tmux", "-L", self._socket, "-f", "/dev/null", *words]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=30).stdout

    def start(self, command: str) -> None:
        """A new session that runs `command`, and keeps what it printed when it ends."""
        self._run("new-session", "-d", "-s", "s", "-x", "80", "-y", "24", "-c", str(self._directory), f"{command}; cat")

    def kill(self) -> None:
        """The terminal dies, with everything that belongs to it."""
        self._run("kill-server")

    def type(self, text: str) -> None:
        """Type `text` as it is."""
        self._run("send-keys", "-t", "s", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by their names."""
        for key in keys:
            self._run("send-keys", "-t", "s", key)
            time.sleep(0.15)

    def screen(self) -> str:
        """What is on the screen."""
        return self._run("capture-pane", "-p", "-t", "s")

    def wait_for(self, *texts: str, timeout_s: float = 60) -> str:
        """The screen, once one of `texts` is on it."""
        deadline = time.monotonic() + timeout_s
        seen = ""
        while time.monotonic() < deadline:
            seen = self.screen()
            if any(text in seen for text in texts):
                return seen
            time.sleep(0.2)
        raise AssertionError(f"none of {texts} came up:\n{seen}")


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


def state_of(project: Path) -> dict[str, Any]:
    """The state of the one run of `project`."""
    for path in project.glob("runs/*/state.json"):
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return data
    return {}


def wait_until(project: Path, what: Any, timeout_s: float) -> dict[str, Any]:
    """The run's state, once `what(state)` holds."""
    deadline = time.monotonic() + timeout_s
    state: dict[str, Any] = {}
    while time.monotonic() < deadline:
        state = state_of(project)
        if state and what(state):
            return state
        time.sleep(0.3)
    raise AssertionError(f"the run did not get there: {state}")


def walk_to_the_start(tmux: Tmux) -> int:
    """Through the wizard with as few keys as a first user needs; the number of control keys until training starts."""
    tmux.start(SFT_TUI)
    tmux.wait_for("Start a new fine-tuning")
    tmux.press("Enter")
    tmux.wait_for("Which GPU should train?")
    tmux.wait_for("Next: choose the model")
    tmux.press("Enter")
    tmux.wait_for("Which model should learn?")
    tmux.type("model")
    tmux.press("Enter")
    tmux.wait_for("Which examples should it learn from?")
    tmux.type("demo.csv")
    tmux.press("Enter")
    tmux.wait_for("Which column is what?")
    tmux.press("Enter")
    tmux.wait_for("becomes a sample")
    tmux.press("Enter")
    tmux.wait_for("effective batch size")
    tmux.press("Enter")
    tmux.wait_for("Start training")
    tmux.press("Enter")
    return 8


@pytest.mark.real
def test_from_nothing_to_a_merged_model_though_the_terminal_dies(tmux: Tmux, tmp_path: Path) -> None:
    assert walk_to_the_start(tmux) <= 12
    tmux.wait_for("You can close this window")
    run = wait_until(tmp_path, lambda s: s["status"] == "running", 30)["run"]

    tmux.kill()
    seen = wait_until(tmp_path, lambda s: s["metrics"].get("step", 0) >= 1, 120)
    assert seen["status"] == "running"

    tmux.start(f"{SFT_TUI} attach {run}")
    tmux.wait_for(f"{run}")
    state = wait_until(tmp_path, lambda s: s["status"] not in ("running", "pending"), 180)
    assert state["status"] == "finished", state
    tmux.wait_for("Everything is done", timeout_s=20)
    tmux.press("Enter")
    tmux.wait_for("Answers before and after", timeout_s=20)
    merged = tmp_path / "models" / run
    assert (merged / "config.json").is_file() and list(merged.glob("*.safetensors"))
    tmux.press("F10")

    again = subprocess.run(
        [sys.executable, "-m", "sft_tui.cli", "--non-interactive", f"runs/{run}/answers.yaml", "--fresh", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert again.returncode == 0, again.stderr
    assert len(list(tmp_path.glob("models/*/config.json"))) == 2
