"""A terminal of 80x24 in tmux, a user's way through the wizard in it, and what becomes of the run."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


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

    def fill(self, text: str) -> None:
        """Type `text` into the focused field, as who looks does: again where the step was not there yet."""
        for _try in range(20):
            self.type(text)
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                if f"[{text}" in self.screen():
                    return
                time.sleep(0.2)
        raise AssertionError(f"{text} does not arrive:\n{self.screen()}")

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


def state_of(project: Path, run: str = "*") -> dict[str, Any]:
    """The state of `run`, or of the one run of `project`."""
    for path in project.glob(f"runs/{run}/state.json"):
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return data
    return {}


def wait_until(project: Path, what: Any, timeout_s: float, *, run: str = "*") -> dict[str, Any]:
    """The run's state, once `what(state)` holds."""
    deadline = time.monotonic() + timeout_s
    state: dict[str, Any] = {}
    while time.monotonic() < deadline:
        state = state_of(project, run)
        if state and what(state):
            return state
        time.sleep(0.3)
    raise AssertionError(f"the run did not get there: {state}")


def walk_to_the_start(tmux: Tmux, command: str, file: str) -> int:
    """Through the wizard with as few keys as a first user needs; the number of control keys until training starts.

    `command` starts the wizard in a project that holds the directory `model` and the examples `file`.
    """
    tmux.start(command)
    tmux.wait_for("Start a new fine-tuning")
    tmux.press("Enter")
    tmux.wait_for("Which GPU should train?")
    tmux.wait_for("Next: choose the model")
    tmux.press("Enter")
    tmux.wait_for("Which model should learn?")
    tmux.fill("model")
    tmux.press("Enter")
    tmux.wait_for("Which examples should it learn from?")
    tmux.fill(file)
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
