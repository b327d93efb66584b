"""The supervisor's view of a training: what it makes of the trainer's log, whenever it reads it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from sft_tui.project.events import EventLog, EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState
from sft_tui.run import monitor as module
from sft_tui.run.monitor import Monitor


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path, "apples")
    for directory in (layout.run_dir, layout.save_dir, layout.log_dir):
        directory.mkdir(parents=True)
    return layout


def train(layout: RunLayout, *steps: int, step_s: float = 0.6) -> None:
    """Append log steps of a training that takes `step_s` seconds a step; its clock shows whole seconds."""
    with (layout.save_dir / "trainer_log.jsonl").open("a", encoding="utf-8") as stream:
        for step in steps:
            elapsed = f"0:{int(step * step_s) // 60:02d}:{int(step * step_s) % 60:02d}"
            line = {"current_steps": step, "total_steps": 500, "loss": 1.0, "elapsed_time": elapsed}
            stream.write(json.dumps(line) + "\n")


def warnings(layout: RunLayout) -> list[str]:
    return [event["id"] for event in EventReader(layout.events).poll() if event["type"] == "warning"]


@pytest.mark.parametrize("step_s", [0.3, 0.45, 0.6, 2.0])
def test_a_supervisor_that_takes_over_calls_a_steady_training_no_slower(
    layout: RunLayout, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    reads = itertools.count(0.0, 1e-5)  # each look at the clock takes ten microseconds
    began, now = 5000.0, [5030.0]
    clock = SimpleNamespace(time=lambda: now[0] + next(reads), monotonic=lambda: now[0] + next(reads))
    monkeypatch.setattr(module, "time", clock)
    watch = Monitor(layout, RunState("apples"), StageState(), EventLog(layout.events), None)
    done = 0
    while done < 180:
        due = int((now[0] - began) / step_s)
        train(layout, *range(done + 1, due + 1), step_s=step_s)
        done = due
        watch.look()
        now[0] += 0.5
    assert warnings(layout) == []
