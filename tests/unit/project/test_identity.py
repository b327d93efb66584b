"""Who a process is: by its start in ticks and the boot, whatever the clock says."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from sft_tui.project.identity import ProcessRef, Standing
from sft_tui.project.state import RunState, StageState, Status, present_status, state_from_json


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-S", "-E", "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_a_living_process_a_zombie_and_a_dead_one(child: subprocess.Popen[bytes]) -> None:
    reference = ProcessRef.of(child.pid)
    assert reference.standing() is Standing.ALIVE and reference.alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert reference.standing() is Standing.DEAD, "a zombie runs no more"
    assert ProcessRef.of(child.pid).standing() is Standing.DEAD
    child.wait()
    assert reference.standing() is Standing.DEAD
    assert ProcessRef.of(2**22 - 1).standing() is Standing.DEAD


def test_a_clock_that_is_set_changes_nothing(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    reference = ProcessRef.of(child.pid)
    created = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 5)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert reference.standing() is Standing.ALIVE


def test_a_later_process_with_the_same_number_is_another(child: subprocess.Popen[bytes]) -> None:
    now = ProcessRef.of(child.pid)
    assert dataclasses.replace(now, start_ticks=now.start_ticks - 1).standing() is Standing.DEAD


def test_after_a_reboot_it_is_dead_and_what_is_elsewhere_is_unknown(child: subprocess.Popen[bytes]) -> None:
    now = ProcessRef.of(child.pid)
    rebooted = dataclasses.replace(now, boot_id="0")
    assert rebooted.standing() is Standing.DEAD and not rebooted.may_live()
    assert rebooted.before_boot and not rebooted.elsewhere and not now.before_boot
    elsewhere = dataclasses.replace(now, boot_id="0", host="gpu-7")
    assert elsewhere.standing() is Standing.UNKNOWN and elsewhere.may_live() and not elsewhere.alive()
    assert elsewhere.elsewhere == "gpu-7" and not now.elsewhere
    renamed = dataclasses.replace(now, host="an-earlier-name")
    assert renamed.standing() is Standing.ALIVE, "the host got another name while it ran"
    contained = dataclasses.replace(now, pid_ns="pid:[1]")
    assert contained.standing() is Standing.UNKNOWN


def test_files_of_older_versions_still_load(child: subprocess.Popen[bytes]) -> None:
    old = {"pid": child.pid, "started": psutil.Process(child.pid).create_time()}
    reference = ProcessRef.from_json(old)
    assert reference is not None and reference.standing() is Standing.ALIVE
    later = ProcessRef.from_json({**old, "started": old["started"] - 60})
    assert later is not None and later.standing() is Standing.DEAD


def test_it_comes_back_from_a_state_file_as_it_was(child: subprocess.Popen[bytes]) -> None:
    me = ProcessRef.of(child.pid)
    state = RunState("apples", stages={"train": StageState(process=me)}, supervisor=me)
    back = state_from_json(state.as_json())
    assert back.supervisor == me and back.stages["train"].process == me


def test_a_run_whose_supervisor_is_elsewhere_is_not_called_interrupted(child: subprocess.Popen[bytes]) -> None:
    here = ProcessRef.of(child.pid)
    state = RunState("apples", Status.RUNNING, supervisor=dataclasses.replace(here, boot_id="0", host="gpu-7"))
    assert present_status(state) is Status.RUNNING
    state.supervisor = dataclasses.replace(here, boot_id="0")
    assert present_status(state) is Status.LOST
