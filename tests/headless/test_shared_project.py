"""A project that others share, move and copy: secrets stay secret, traps are refused, a run is where it is."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headless import Project, make_project
from tests.waiting import until

SLOW = {"steps": 60, "step_s": 0.1}


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def _step(project: Path) -> float:
    try:
        state = json.loads((project / "runs" / "apples" / "state.json").read_text())
    except (OSError, ValueError):
        return 0
    return float(state["metrics"].get("step", 0))


def _status(project: Path) -> str:
    return str(json.loads((project / "runs" / "apples" / "state.json").read_text())["status"])


def test_secrets_are_private_and_the_rest_follows_the_umask(tmp_path: Path, umask: None) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    modes = {
        path.relative_to(project.path).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for folder in ("runs", "logs", "configs", "data")
        for path in (project.path / folder).rglob("*")
        if path.is_file()
    }
    private = {"runs/apples/plan.json", "runs/apples/answers.yaml", "runs/apples/verify_spec.json"}
    assert {name: mode for name, mode in modes.items() if name in private} == dict.fromkeys(private, 0o600)
    others = {name: mode for name, mode in modes.items() if name not in private}
    del others["runs/apples/verify.json"]  # the stand-in's own
    assert set(others.values()) == {0o640}, others


@pytest.mark.parametrize("name", ["logs/apples/train.log", "runs/apples/events.jsonl", "runs/apples/supervisor.log"])
def test_a_planted_link_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (project.path / name).parent.mkdir(parents=True)
    (project.path / name).symlink_to(victim)
    done = project.run()
    said = done.err + "".join(path.read_text() for path in (project.path / "runs" / "apples").glob("supervisor.log"))
    assert done.code in (3, 4) and "symbolic link" in said and Path(name).name in said
    assert "Traceback" not in said and victim.read_text() == "mine"


def test_a_project_that_is_moved_while_it_trains(tmp_path: Path) -> None:
    project = make_project(tmp_path, SLOW)
    assert project.run("--detach").code == 0
    words = [sys.executable, "-m", "sft_tui.cli", "attach", "apples", "--plain"]
    follower = subprocess.Popen(words, cwd=project.path, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _step(project.path) >= 3)
        moved = Project(project.path.rename(tmp_path / "moved"), project.fake, project.env)
        (listed,) = json.loads(moved.sft("runs", "--json").out)
        assert listed["status"] == "running" and listed["project"] == str(moved.path)
        until(lambda: _status(moved.path) == "finished")
        follower.wait(timeout=30)
    finally:
        follower.kill()
        follower.wait()
    assert not project.path.exists()
    assert _step(moved.path) == 60
    log = moved.path / "runs/apples/events.jsonl"
    until(lambda: "run_finished" in log.read_text())
    events = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [event["step"] for event in events if event["type"] == "metric" and "loss" in event]
    assert steps == sorted(set(steps)) and steps[-1] == 60
    assert events[-1]["type"] == "run_finished" and events[-1]["exit_code"] == 0


def test_a_stop_reaches_a_moved_run_and_none_reaches_it_from_a_copy(tmp_path: Path) -> None:
    project = make_project(tmp_path, SLOW)
    assert project.run("--detach").code == 0
    until(lambda: _step(project.path) >= 3)
    copy = Project(shutil.copytree(project.path, tmp_path / "copy"), project.fake, project.env)
    (listed,) = json.loads(copy.sft("runs", "--json").out)
    assert listed["status"] == "stopped" and str(project.path) in listed["message"]
    refused = copy.sft("stop", "apples")
    assert refused.code == 2 and not list((copy.path / "runs/apples/requests").iterdir())
    assert _status(project.path) == "running"
    moved = Project(project.path.rename(tmp_path / "moved"), project.fake, project.env)
    assert moved.sft("stop", "apples", "--wait").code == 0
    assert _status(moved.path) == "stopped" and not project.path.exists()
    copy.fake.set_scenario({"steps": 5})
    assert copy.sft("resume", "apples").code == 0


def test_a_run_directory_that_is_removed_ends_its_training(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 600, "step_s": 0.1})
    assert project.run("--detach").code == 0
    until(lambda: _step(project.path) >= 3)
    state = project.state()
    pids = [state["supervisor"]["pid"], state["stages"]["train"]["process"]["pid"]]
    shutil.rmtree(project.path / "runs")
    until(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in pids))
    assert not (project.path / "runs").exists()


@pytest.mark.parametrize("damage", [None, b"", b"[" * 100_000])
def test_a_finished_run_does_not_train_again_without_its_state(tmp_path: Path, damage: bytes | None) -> None:
    project = make_project(tmp_path, {"steps": 5})
    assert project.run().code == 0
    state, log = project.path / "runs/apples/state.json", project.path / "logs/apples/train.log"
    before = log.stat().st_mtime_ns
    state.unlink()
    if damage is not None:
        state.write_bytes(damage)
    (listed,) = json.loads(project.sft("runs", "--json").out)
    assert listed["status"] == "finished" and "state.json" in listed["message"]
    assert project.sft("resume", "apples").code == 0 and project.run().code == 0
    assert log.stat().st_mtime_ns == before


def test_a_run_that_was_written_and_never_started_is_started(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 5})
    assert project.run().code == 0
    for name in ("state.json", "events.jsonl"):
        (project.path / "runs/apples" / name).unlink()
    (listed,) = json.loads(project.sft("runs", "--json").out)
    assert listed["status"] == "pending"
    assert project.run().code == 0 and project.state()["status"] == "finished"
