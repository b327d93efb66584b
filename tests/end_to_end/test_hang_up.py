"""The network goes away under a run: a real sshd, a connection that is cut, and the next one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.ssh_server import SSHD, SshServer, ssh_server
from tests.end_to_end.terminal import REPOSITORY, Tmux, wait_until, walk_to_the_start
from tests.headless import Project, make_project
from tests.waiting import until

pytestmark = pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="needs sshd and ssh")

SFT_TUI = (sys.executable, "-m", "sft_tui.cli")
FIRST, SECOND, LAST = 40, 80, 120  # the training waits after the first two until the test says that it may go on


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose training waits for the test."""
    made = make_project(tmp_path, {"steps": LAST, "step_s": 0.01, "hold_at": [FIRST, SECOND]})
    yield made
    for step in (FIRST, SECOND):  # where the test failed, its training shall end too
        made.fake.go_on(step)


@pytest.fixture
def server(project: Project, tmp_path: Path) -> Iterator[SshServer]:
    """An sshd whose sessions start in the project, with the training environment of the test."""
    names = ("PATH", "SFT_TUI_LANG", "XDG_CACHE_HOME")
    environment = {name: os.environ[name] for name in names} | project.fake.env
    environment |= {"PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8", "XDG_STATE_HOME": str(tmp_path / "state")}
    with ssh_server(tmp_path / "ssh", project.path, environment) as found:
        yield found


def run_of(server: SshServer) -> dict[str, Any]:
    """What `runs` says of the one run, in a connection of its own."""
    done = subprocess.run(
        server.command(*SFT_TUI, "runs", "--json", terminal=False),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    (found,) = json.loads(done.stdout)
    return dict(found)


def seen_going_on(project: Project, server: SshServer) -> str:
    """Let the run go on after its connection was cut, and see from another one that it does; its name."""
    before = run_of(server)
    assert (before["status"], before["stage"], before["metrics"]["step"]) == ("running", "train", FIRST)
    project.fake.go_on(FIRST)
    wait_until(project.path, lambda state: state["metrics"]["step"] == SECOND, 60)
    after = run_of(server)
    assert (after["status"], after["stage"], after["metrics"]["step"]) == ("running", "train", SECOND)
    return str(after["run"])


def assert_whole(project: Project, run: str) -> None:
    """The run came to its end in one piece: every stage once, every logged step once."""
    state = project.state(run)
    assert state["status"] == "finished"
    assert {stage["attempt"] for stage in state["stages"].values()} == {1}
    lines = (project.path / "runs" / run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [e["step"] for e in map(json.loads, lines) if e["type"] == "metric" and "loss" in e]
    assert steps == sorted(set(steps)) and steps[-1] == LAST
    assert len({after - before for before, after in pairwise(steps)}) == 1


def test_a_headless_run_outlives_its_connection(project: Project, server: SshServer, tmp_path: Path) -> None:
    command = server.command(*SFT_TUI, "--non-interactive", "answers.yaml")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        wait_until(project.path, lambda state: state["metrics"].get("step") == FIRST, 60)
        assert client.poll() is None
        server.cut()
    assert seen_going_on(project, server) == "apples"
    shown = tmp_path / "shown.txt"
    with shown.open("wb") as out:
        command = server.command(*SFT_TUI, "attach", "apples", terminal=False)
        attached = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        until(lambda: shown.stat().st_size > 0)  # it follows the run before the run may go on
        project.fake.go_on(SECOND)
        assert attached.wait(60) == 0, shown.read_text()
    text = shown.read_text(encoding="utf-8")
    assert f"{LAST}/{LAST}" in text and "merged model" in text
    assert_whole(project, "apples")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_a_run_of_the_wizard_outlives_its_connection(project: Project, server: SshServer, tmp_path: Path) -> None:
    terminal = Tmux(tmp_path)
    try:
        walk_to_the_start(terminal, shlex.join(server.command(*SFT_TUI)), "rows.csv")
        terminal.wait_for("You can close this window")
        wait_until(project.path, lambda state: state["metrics"].get("step") == FIRST, 60)
        server.cut()
        terminal.kill()
        run = seen_going_on(project, server)
        terminal.start(shlex.join(server.command(*SFT_TUI, "attach", run)))
        terminal.wait_for(run)
        project.fake.go_on(SECOND)
        terminal.wait_for("Everything is done", "finished")
    finally:
        terminal.kill()
    assert_whole(project, run)
