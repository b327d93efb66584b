"""state.json damaged, deleted, moved or copied: the run is neither invisible nor mistaken for another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import write_json
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.project.state import RunState, StageState, Status, present_status, read_state, write_state
from sft_tui.project.whereabouts import Anchor

DAMAGE = [
    b"",
    b"{",
    b"\x00" * 500,
    b"[" * 100_000,
    b'{"run": "apples", "status": "dancing"}',
    b'{"run": "apples", "created": NaN}',
]
DAMAGE += [
    b'{"run": 1}',
    b'{"run": "apples", "metrics": {"step": 1' + b"0" * 400 + b"}}",
    b'{"run": "apples", "exit_code": "x"}',
]


def _run(project: Path, name: str = "apples", events: list[dict[str, Any]] | None = None) -> RunLayout:
    layout = RunLayout(project, name)
    write_json(
        layout.plan, {"run": name, "model": "m", "dataset": "d", "stages": [{"name": "train"}, {"name": "export"}]}
    )
    for event in events or []:
        append_event(layout.events, make_event(**event))
    return layout


def _trained(**last: Any) -> list[dict[str, Any]]:
    me = {"pid": os.getpid(), "started": 1.0}
    return [
        {"kind": "run_started", "run": "apples"},
        {"kind": "stage_started", "stage": "train", "attempt": 2, "argv": ["x"], "process": me, "made_from": "abc"},
        {"kind": "progress", "stage": "train", "step": 10, "total_steps": 20, "percent": 50.0},
        {"kind": "metric", "step": 10, "loss": 2.5, "learning_rate": 1e-4},
        {"kind": "progress", "stage": "train", "step": 20, "total_steps": 20, "percent": 100.0},
        {"kind": "metric", "step": 20, "loss": 1.5},
        {"kind": "stage_finished", "stage": "train", "status": "finished", "exit_code": 0},
        *([last] if last else []),
    ]


@pytest.mark.parametrize("damage", [None, *DAMAGE], ids=lambda damage: repr(damage)[:30])
def test_a_finished_run_stays_finished_whatever_became_of_its_state(tmp_path: Path, damage: bytes | None) -> None:
    layout = _run(tmp_path, events=_trained(kind="run_finished", status="finished", exit_code=0, message=None))
    if damage is not None:
        layout.state.write_bytes(damage)
    assert runs_of(tmp_path) == [layout]
    state = read_state(layout)
    assert state is not None and state.rebuilt and state.message and "state.json" in state.message
    assert (state.run, state.status, state.exit_code, state.model) == ("apples", Status.FINISHED, 0, "m")
    train = state.stages["train"]
    assert (train.status, train.attempt, train.lines_read) == (Status.FINISHED, 2, 2)
    assert state.stages["export"].status is Status.PENDING
    assert state.metrics == {
        "step": 20,
        "total_steps": 20,
        "percent": 100.0,
        "loss": 1.5,
        "first_loss": 2.5,
        "learning_rate": 1e-4,
    }
    assert state.created and state.finished and state.updated >= state.finished
    write_state(layout, state)
    again = read_state(layout)
    assert again is not None and not again.rebuilt and again.status is Status.FINISHED


def test_a_failure_keeps_its_cause(tmp_path: Path) -> None:
    diagnosis = {"id": "oom", "title": "t", "cause": "c", "fixes": []}
    events = [*_trained(), {"kind": "diagnosis", "stage": "train", **diagnosis}]
    events.append({"kind": "run_finished", "status": "failed", "exit_code": 4, "message": "why"})
    state = read_state(_run(tmp_path, events=events))
    assert state is not None
    assert (state.status, state.exit_code, state.message, state.diagnoses) == (Status.FAILED, 4, "why", [diagnosis])


def test_a_run_that_goes_on_is_seen_without_its_state(tmp_path: Path) -> None:
    me = ProcessRef.of(os.getpid())
    refs = {name: getattr(me, name) for name in ProcessRef.__slots__}
    events = [{"kind": "run_started", "run": "apples", "supervisor": refs}, *_trained()[1:6]]
    state = read_state(_run(tmp_path, events=events))
    assert state is not None and state.supervisor == me and present_status(state) is Status.RUNNING
    assert state.stages["train"].status is Status.RUNNING and state.stage == "train"
    old = read_state(_run(tmp_path, "pears", _trained()[:6]))
    assert old is not None and present_status(old) is Status.LOST


def test_events_with_odd_values_hide_no_run(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"kind": "run_finished", "status": [], "exit_code": {}},
        {"kind": "stage_started", "stage": {}, "attempt": "x"},
        {"kind": "stage", "stage": "train"},
    ]
    layout = _run(tmp_path, events=odd)
    with layout.events.open("a") as stream:
        stream.write('{"t": 5, "type": "run_started"}\n{"t": "9999-99-99", "type": []}\n[[]]\n')
    state = read_state(layout)
    assert state is not None and state.run == "apples" and state.rebuilt


def test_a_plan_alone_is_a_run_that_waits_for_its_start(tmp_path: Path) -> None:
    state = read_state(_run(tmp_path))
    assert state is not None and (present_status(state), list(state.stages)) == (Status.PENDING, ["train", "export"])
    assert state.created > 0
    assert read_state(RunLayout(tmp_path, "none")) is None
    RunLayout(tmp_path, "empty").run_dir.mkdir()
    assert [layout.name for layout in runs_of(tmp_path)] == ["apples"]
    assert read_state(RunLayout(tmp_path, "empty")) is None and runs_of(tmp_path / "nowhere") == []


def test_the_run_that_was_written_last_comes_first(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c")):
        layout = _run(tmp_path, name)
        os.utime(layout.plan, (number, number))
    write_state(RunLayout(tmp_path, "b"), RunState("b"))
    (tmp_path / "runs" / "peaks.jsonl").write_text("")
    assert [layout.name for layout in runs_of(tmp_path)] == ["b", "c", "a"]


def _running(project: Path, status: Status = Status.RUNNING) -> RunLayout:
    layout = RunLayout(project, "apples")
    me = ProcessRef.of(os.getpid())
    stages = {"train": StageState(Status.RUNNING, 1, me)}
    write_state(layout, RunState("apples", status, "train", stages, supervisor=me))
    return layout


@pytest.mark.parametrize("status", [Status.RUNNING, Status.WAITING, Status.STOPPING])
def test_a_copy_of_a_running_run_does_not_run(tmp_path: Path, status: Status) -> None:
    layout = _running(tmp_path / "project", status)
    shutil.copytree(tmp_path / "project", tmp_path / "copy")
    copied = RunLayout(tmp_path / "copy", "apples")
    state = read_state(copied)
    assert state is not None and present_status(state) is Status.STOPPED
    assert state.message and str(layout.run_dir) in state.message
    assert state.supervisor is None and state.stages["train"].process is None
    write_state(copied, state)
    state = read_state(copied)
    assert state is not None and state.place is not None and state.place.path == str(copied.run_dir)
    original = read_state(layout)
    assert original is not None and present_status(original) is status


def test_a_copy_in_the_place_of_the_original_does_not_run(tmp_path: Path) -> None:
    _running(tmp_path / "project")
    (tmp_path / "project").rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "project")
    for place, status in (("project", Status.STOPPED), ("moved", Status.RUNNING)):
        state = read_state(RunLayout(tmp_path / place, "apples"))
        assert state is not None and present_status(state) is status


def test_a_moved_run_runs_where_it_is_now(tmp_path: Path) -> None:
    layout = _running(tmp_path / "project")
    state = read_state(layout)
    assert state is not None
    anchor = Anchor(layout)
    assert anchor.layout() == layout
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = RunLayout(tmp_path / "moved", "apples")
    assert anchor.layout() == moved
    with pytest.raises(FileNotFoundError):
        write_state(layout, state)
    assert not (tmp_path / "project").exists()
    write_state(moved, state)
    state = read_state(moved)
    assert state is not None and present_status(state) is Status.RUNNING


def test_the_state_of_another_computer_is_no_copy(tmp_path: Path) -> None:
    layout = _running(tmp_path)
    data = json.loads(layout.state.read_text())
    data["place"].update(host="elsewhere", path="/nfs/elsewhere/runs/apples", device=99)
    layout.state.write_text(json.dumps(data))
    state = read_state(layout)
    assert state is not None and present_status(state) is Status.RUNNING
    del data["place"]  # of an older version
    layout.state.write_text(json.dumps(data))
    state = read_state(layout)
    assert state is not None and present_status(state) is Status.RUNNING


def test_an_anchor_lets_go_of_what_is_gone(tmp_path: Path) -> None:
    layout = _running(tmp_path)
    anchor = Anchor(layout)
    layout.run_dir.rename(tmp_path / "runs" / "pears")
    assert anchor.layout() is None
    (tmp_path / "runs" / "pears").rename(layout.run_dir)
    assert anchor.layout() == layout
    shutil.rmtree(layout.run_dir)
    assert anchor.layout() is None
    layout.run_dir.mkdir()
    assert anchor.layout() is None


def test_planted_state_is_passed_over(tmp_path: Path) -> None:
    layout = _run(tmp_path)
    os.mkfifo(layout.state)
    state = read_state(layout)
    assert state is not None and state.rebuilt


_OPENED = """
import contextlib, io, json, sys
from sft_tui.cli import main
opened = []
sys.addaudithook(lambda kind, args: opened.append(str(args[0])) if kind == "open" else None)
sys.argv = ["sft-tui", "runs", "--dir", sys.argv[1]]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(json.dumps(opened))
"""


def test_listing_opens_one_file_a_run(tmp_path: Path) -> None:
    for number in range(40):
        layout = _run(tmp_path, f"run-{number}", _trained())
        write_state(layout, RunState(layout.name, Status.FINISHED), durable=False)
    words = [sys.executable, "-c", _OPENED, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    opened = [path for path in json.loads(done.stdout) if path.startswith(str(tmp_path))]
    assert sorted(opened) == sorted(str(RunLayout(tmp_path, f"run-{number}").state) for number in range(40))
