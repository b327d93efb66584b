"""One trial's ground: a project, a home, a sibling directory, the commands run there, all processes they left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.headless import Result

MARK = "CHAOS_TRIAL"
WORKERS = ("supervisor", "keeper", "trainer", "rank", "convert")
FINAL = ("finished", "failed", "stopped", "lost")
ROLES = {
    "keeper": "run/keeper.py",
    "supervisor": "sft_tui.run.supervisor",
    "convert": "sft_tui.run.convert",
    "front": "sft_tui.cli",
    "child": "sleep 600",
    "rank": "launcher.py",
    "trainer": "llamafactory",
}
"""What is found in the command line of each kind of process, in the order in which to look."""


class Violation(Exception):
    """Something that must hold did not."""


class Skip(Exception):
    """The fault cannot be made here."""


@dataclass
class World:
    """`root` holds project, home and sibling; `python` is the training environment's, None for the real one."""

    root: Path
    rng: random.Random
    python: Path | None
    run: str = "apples"
    wait_s: float = 60.0
    project: Path = field(init=False)
    notes: list[str] = field(default_factory=list)
    events_torn: bool = False
    lines_torn: int = 0
    changed: set[str] = field(default_factory=set)
    sources: list[str] = field(default_factory=lambda: ["rows"])

    def __post_init__(self) -> None:
        self.project = self.root / "project"
        for name in ("home", "sibling"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "sibling" / "precious.txt").write_text("precious")

    @property
    def env(self) -> dict[str, str]:
        """The variables of every command; the mark finds what it leaves behind."""
        own = {
            **os.environ,
            MARK: str(self.root),
            "HOME": str(self.root / "home"),
            "XDG_STATE_HOME": str(self.root / "state"),
            "XDG_CONFIG_HOME": str(self.root / "config"),  # matplotlib, which LLaMA-Factory draws with
            "SFT_TUI_LANG": "en",
        }
        return own | ({"SFT_TUI_TRAIN_PYTHON": str(self.python)} if self.python else {})

    def popen(self, *words: str, project: Path | None = None) -> subprocess.Popen[str]:
        """Start `sft-tui WORDS` in the project, in a session of its own as a terminal's."""
        return subprocess.Popen(
            [sys.executable, "-m", "sft_tui.cli", *words],
            cwd=project or self.project,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sft(self, *words: str, project: Path | None = None) -> Result:
        """Run `sft-tui WORDS` to its end; a traceback or a hang is a violation."""
        process = self.popen(*words, project=project)
        try:
            out, err = process.communicate(timeout=2 * self.wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Violation(f"`{' '.join(words)}` hung; it said: {err[-300:]}") from None
        self.note(f"{' '.join(words)} -> {process.returncode} {err.strip().splitlines()[-1:]}")
        if "Traceback" in err and "  | " not in err:
            raise Violation(f"`{' '.join(words)}` printed a traceback: {err[-600:]}")
        return Result(process.returncode, out, err)

    def note(self, text: str) -> None:
        """Remember what was done, for the report of a violation."""
        self.notes.append(text[:300])

    def scenario(self, **changes: Any) -> None:
        """What the fake trainer does from its next start on."""
        path = self.root / "train" / "bin" / "scenario.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def start(self, *words: str) -> Result:
        """Start the run without waiting for it."""
        return self.sft("--non-interactive", "answers.yaml", "--detach", *words)

    @property
    def run_dir(self) -> Path:
        """`runs/<run>`."""
        return self.project / "runs" / self.run

    @property
    def save_dir(self) -> Path:
        """`saves/<run>`."""
        return self.project / "saves" / self.run

    def state(self) -> dict[str, Any]:
        """state.json as it is; empty where it cannot be read."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            data = json.loads((self.run_dir / "state.json").read_text(encoding="utf-8"))
            return data if isinstance(data, dict) else {}
        return {}

    def told(self) -> dict[str, Any]:
        """What `runs` says of the run; this also lets a trainer without a supervisor be adopted."""
        runs: list[dict[str, Any]] = json.loads(self.sft("runs", "--json").out or "[]")
        return next((run for run in runs if run["run"] == self.run), {"status": "missing", "stages": {}})

    def status(self) -> str:
        """The status that `runs` gives."""
        return str(self.told()["status"])

    def processes(self, *roles: str) -> list[int]:
        """The living processes of this trial, of these roles (all without), wherever they were reparented to."""
        mark = f"{MARK}={self.root}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if mark in (entry / "environ").read_bytes().split(b"\0") and (not roles or role(command) in roles):
                        found.append(int(entry.name))
        return found

    def trainers(self) -> list[int]:
        """The trainers; what one of them starts has its command line for a moment, and is none."""
        found = self.processes("trainer")
        with contextlib.suppress(psutil.Error):
            return [pid for pid in found if psutil.Process(pid).ppid() not in found]
        return []  # one of them has just ended

    def described(self) -> str:
        """The living processes as text."""
        texts = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                texts.append(f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ')[-90:]!r}")
        return "; ".join(texts)

    def kill(self, *roles: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to every process of these roles."""
        pids = self.processes(*roles)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self.note(f"signal {number} to {roles or 'all'}: {len(pids)} processes, at {self.where()}")
        return len(pids)

    def where(self) -> str:
        """Stage and step that the run is in."""
        state = self.state()
        return f"{state.get('status')}/{state.get('stage')}/{state.get('metrics', {}).get('step')}"

    def wait(self, condition: Callable[[], Any], what: str, seconds: float | None = None) -> None:
        """Wait until `condition`; a violation where it never comes."""
        deadline = time.monotonic() + (seconds or self.wait_s)
        while not condition():
            if time.monotonic() > deadline:
                raise Violation(f"waited in vain for {what}; {self.where()}; alive: {self.described()}")
            time.sleep(0.03)

    def moment(self, *stages: str) -> None:
        """Wait for a random moment of a random stage (of `stages`, where some are named), or for the run's end."""
        stage = self.rng.choice(stages or ("convert", "train", "train", "train", "export", "verify"))

        def reached() -> bool:
            state = self.state()
            return state.get("stage") == stage or state.get("status") in FINAL

        self.wait(reached, f"stage {stage}")
        pause = self.rng.uniform(0, {"convert": 1.2, "train": 0.7}.get(stage, 0.4)) * self.slowness
        self.note(f"moment: {stage} + {pause:.2f} s")
        time.sleep(pause)

    @property
    def slowness(self) -> float:
        """How many times longer stages take than with the fake."""
        return 1.0 if self.python else 12.0

    def crash(self) -> None:
        """As a power cut: everything is gone at once."""
        while self.kill():
            time.sleep(0.02)


def role(command: str) -> str:
    """What kind of process has this command line."""
    return next((name for name, part in ROLES.items() if part in command), "other")


def digest(paths: Sequence[Path]) -> dict[str, str]:
    """A hash of every file at and below `paths`."""
    files = [f for p in paths for f in ([p] if p.is_file() else sorted(p.rglob("*"))) if f.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def mount_small(path: Path, megabytes: int) -> bool:
    """Put a file system of that size at `path`; whether that could be done."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    return bool(shutil.which("mount")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def remove(root: Path) -> None:
    """Take the trial's directories away, and what was mounted there."""
    if (root / "small").is_mount():
        subprocess.run(["umount", "-l", str(root / "small")], check=False)
    shutil.rmtree(root, ignore_errors=True)
