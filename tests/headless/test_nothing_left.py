"""Whatever is killed, and however a run is stopped: no process of it is left, and none is started beside another."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.requests import Request, RequestKind, leave_request
from sft_tui.run.leftovers import keepers, leftovers, sweep
from tests.headless import Project, make_project
from tests.waiting import until

LONG = {"steps": 2000, "step_s": 0.05}
RANKS = {**LONG, "ranks": 2, "ignore_term": True, "helpers": 1}


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Project]]:
    """Start a training as the scenario says, and end what a failed test has left."""
    run_dir = tmp_path / "project" / "runs" / "apples"

    def start(scenario: dict[str, Any]) -> Project:
        project = make_project(tmp_path, scenario)
        assert project.run("--detach").code == 0
        until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())
        return project

    yield start
    sweep(run_dir, patience_s=0)


def living(project: Project) -> list[int]:
    run_dir = project.path / "runs" / "apples"
    return [process.pid for process in (*leftovers(run_dir), *keepers(run_dir))]


def supervisor(project: Project) -> int:
    return int(project.state()["supervisor"]["pid"])


def trainer(project: Project) -> int:
    return int(project.state()["stages"]["train"]["process"]["pid"])


def keeper(project: Project) -> int:
    (reference,) = keepers(project.path / "runs" / "apples")
    return reference.pid


def ended(project: Project) -> bool:
    return project.state()["status"] not in ("running", "pending", "stopping")


def test_a_graceful_stop_reaches_the_ranks_and_saves(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin({**LONG, "ranks": 2, "helpers": 1})
    assert len(living(project)) == 5, "keeper, launcher, two ranks, a helper"
    assert project.sft("stop", "apples", "--wait").code == 0
    assert project.state()["status"] == "stopped" and not living(project)
    assert (project.path / "saves/apples/adapter_config.json").exists()


def test_stop_now_leaves_no_rank_that_ignores_it(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin(RANKS)
    stopped = next(pid for pid in living(project) if "launcher.py" in " ".join(psutil.Process(pid).cmdline()))
    os.kill(stopped, signal.SIGSTOP)
    assert project.sft("stop", "apples", "--now", "--wait").code == 0
    until(lambda: ended(project))
    assert project.state()["status"] == "stopped" and not living(project)


def test_a_killed_launcher_takes_its_ranks_along(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin({**RANKS, "ignore_term": False})
    os.kill(trainer(project), signal.SIGKILL)
    until(lambda: ended(project))
    assert project.state()["stages"]["train"]["exit_code"] == 137 and not living(project)


def test_a_killed_supervisor_leaves_the_exit_code_behind(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin({"steps": 40, "step_s": 0.05, "helpers": 1})
    os.kill(supervisor(project), signal.SIGKILL)
    until(lambda: not living(project))
    resumed = project.sft("resume", "apples")
    assert resumed.code == 0, resumed.err
    train = project.state()["stages"]["train"]
    assert (train["status"], train["attempt"], train["exit_code"]) == ("finished", 1, 0)


def test_a_killed_keeper_does_not_end_a_run_that_trains(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin({"steps": 60, "step_s": 0.05})
    os.kill(keeper(project), signal.SIGKILL)
    until(lambda: ended(project))
    assert project.state()["status"] == "finished" and project.state()["stages"]["train"]["attempt"] == 1
    assert not living(project)


def test_what_a_trainer_left_whose_keeper_was_killed_does_not_hold_up_its_run(
    begin: Callable[[dict[str, Any]], Project],
) -> None:
    project = begin({"steps": 40, "step_s": 0.05, "helpers": 1})
    for pid in (supervisor(project), keeper(project)):
        os.kill(pid, signal.SIGKILL)
    project.sft("runs")
    until(lambda: ended(project))
    assert project.state()["status"] == "finished" and project.state()["stages"]["train"]["attempt"] == 1
    assert not living(project)


def test_ranks_that_lost_everybody_are_adopted_and_ended_by_a_stop(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin(RANKS)
    for pid in (supervisor(project), keeper(project), trainer(project)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(living(project)) == 3)
    before = {str(ProcessRef.of(pid)) for pid in living(project)}
    shown = json.loads(project.sft("runs", "--json").out)
    assert shown[0]["status"] == "running", "who looks has them looked after"
    until(lambda: ProcessRef.of(supervisor(project)).alive())
    assert project.state()["stages"]["train"]["attempt"] == 1
    assert {str(ProcessRef.of(pid)) for pid in living(project)} == before, "no trainer was started beside them"
    assert project.sft("stop", "apples", "--now", "--wait").code == 0
    until(lambda: ended(project))
    assert not living(project)


def test_no_trainer_is_started_beside_a_living_one_whatever_the_state_says(
    begin: Callable[[dict[str, Any]], Project],
) -> None:
    project = begin(LONG)
    alone, before = supervisor(project), living(project)
    os.kill(alone, signal.SIGKILL)
    until(lambda: not ProcessRef.of(alone).alive())
    (project.path / "runs/apples/state.json").unlink()
    assert project.run("--detach").code == 0
    until(lambda: supervisor(project) != alone)
    assert set(living(project)) == set(before)


def test_a_stop_that_its_supervisor_did_not_live_to_read_is_not_lost(
    begin: Callable[[dict[str, Any]], Project],
) -> None:
    project = begin(LONG)
    alone = supervisor(project)
    os.kill(alone, signal.SIGKILL)
    until(lambda: not ProcessRef.of(alone).alive())
    leave_request(RunLayout(project.path, "apples"), Request(RequestKind.STOP_NOW))
    assert project.sft("attach", "apples", "--plain").code == 130
    assert project.state()["status"] == "stopped" and not living(project)


def test_torchrun_is_found_beside_the_training_python(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin(LONG)
    path = psutil.Process(trainer(project)).environ()["PATH"]
    assert path.split(os.pathsep)[0] == str(project.fake.python.parent)
    assert project.sft("stop", "apples", "--now", "--wait").code == 0


def test_a_stop_says_how_many_did_not_heed_it(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin({**LONG, "ignore_term": True})
    assert project.sft("stop", "apples", "--now", "--wait").code == 0
    until(lambda: ended(project))
    lines = (project.path / "runs/apples/events.jsonl").read_text(encoding="utf-8").splitlines()
    (killed,) = [event for event in map(json.loads, lines) if event.get("id") == "killed"]
    assert killed["message"].endswith(": 1.")


def reboot(project: Project) -> None:
    """What a power failure leaves: no process, and a state of an earlier boot."""
    for pid in (supervisor(project), *living(project)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not living(project) and not ProcessRef.of(supervisor(project)).alive())
    path = project.path / "runs/apples/state.json"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    path.write_text(path.read_text(encoding="utf-8").replace(boot_id, "an-earlier-boot"), encoding="utf-8")


def test_after_a_reboot_what_was_on_is_brought_back(begin: Callable[[dict[str, Any]], Project]) -> None:
    project = begin(LONG)
    assert project.sft("service", "--bring-back", "--json").out == "[]\n", "it is on, and no reboot"
    reboot(project)
    project.fake.set_scenario({"steps": 20})
    back = project.sft("service", "--bring-back", "--json")
    assert back.code == 0 and json.loads(back.out) == [{"run": "apples", "refused": None}]
    assert project.sft("wait", "apples").code == 0
    assert project.state()["stages"]["train"]["attempt"] == 2
    assert json.loads(project.sft("service", "--bring-back", "--json").out) == []


def test_a_training_that_hangs_when_it_is_to_stop_is_ended_after_a_time_that_is_said(
    begin: Callable[[dict[str, Any]], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFT_TUI_STOP_PATIENCE_S", "1.5")
    project = begin({**LONG, "fail": {"at_step": 2, "hang": True}})
    assert project.sft("stop", "apples", "--wait").code == 0
    assert project.state()["status"] == "stopped"
    assert living(project) == []
    lines = (project.path / "runs/apples/events.jsonl").read_text(encoding="utf-8").splitlines()
    told = {event["id"]: event["message"] for event in map(json.loads, lines) if event["type"] == "warning"}
    assert "0.025 minutes" in told["stopping"]
    assert "did not stop by itself" in told["stop_hangs"]
