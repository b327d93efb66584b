"""The whole headless run against the same commands typed by hand, and what the supervisor costs meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.measuring import say, verdict
from sft_tui.headless.demo_command import copy_demo
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import read_state

BIN = Path(sys.executable).parent


def main(argv: list[str]) -> bool:
    """Measure; whether every figure holds. `--rounds=N`: how often each side runs (default 2)."""
    given = [word.removeprefix("--rounds=") for word in argv if word.startswith("--rounds=")]
    rounds = int(given[0]) if given else 2
    say("Whole run of the demo, against llamafactory-cli train + export by hand")
    ours, by_hand, shares, sizes = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            project = copy_demo(Path(scratch) / f"demo-{number}")
            seconds, share, size = _ours(project)
            ours.append(seconds)
            shares.append(share)
            sizes.append(size)
            by_hand.append(_by_hand(project))
    ratio, more = min(ours) / min(by_hand), min(ours) - min(by_hand)
    fine = ratio <= 1.05 or more <= 3
    say(f"  {'ok  ' if fine else 'OVER'} {ratio:.3f}x, {more:+.1f} s (wanted <= 1.05x or <= 3 s more)")
    return all(
        [
            fine,
            verdict("supervisor, share of a core", max(shares) * 100, 1, " %"),
            verdict("supervisor, memory", max(sizes), 60, " MB"),
        ]
    )


def _ours(project: Path) -> tuple[float, float, float]:
    """Seconds until training and export are done, and the supervisor's share of a core and MB while training ran."""
    command = [str(BIN / "sft-tui"), "--non-interactive", str(project / "answers.yaml")]
    layout = RunLayout(project, "demo")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    share, size = 0.0, 0.0
    watched: list[tuple[float, float]] = []

    def watch() -> None:
        nonlocal share, size
        while process.poll() is None:
            state = read_state(layout)
            if state and state.supervisor and state.stage == "train":
                try:
                    supervisor = psutil.Process(state.supervisor.pid)
                    watched.append((time.monotonic(), sum(supervisor.cpu_times()[:2])))
                    size = max(size, supervisor.memory_info().rss / 1e6)
                except psutil.Error:
                    pass
            time.sleep(0.5)

    thread = threading.Thread(target=watch)
    thread.start()
    process.wait()
    thread.join()
    if len(watched) > 1:
        share = (watched[-1][1] - watched[0][1]) / (watched[-1][0] - watched[0][0])
    state = read_state(layout)
    assert state is not None and state.exit_code == 0, state
    verify = state.stages["verify"]
    verify_s = (verify.finished or 0) - (verify.started or 0)
    return (state.finished or 0) - state.created - verify_s, share, size


def _by_hand(project: Path) -> float:
    """Seconds of the plain commands in the same project, with its own YAML."""
    plan = read_json(project / "runs" / "demo" / "plan.json")
    shutil.rmtree(project / "saves")
    shutil.rmtree(project / "models")
    began = time.perf_counter()
    for stage in plan["stages"]:
        if stage["name"] in ("train", "export"):
            subprocess.run(
                stage["argv"],
                cwd=project,
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_environment(stage),
            )
    return time.perf_counter() - began


def _environment(stage: dict[str, dict[str, str]]) -> dict[str, str]:
    import os

    return {**os.environ, **stage["env"]}


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
