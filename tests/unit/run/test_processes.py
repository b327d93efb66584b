"""Stages under their keeper: real processes that leave children, ignore signals, are stopped and are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState, Status
from sft_tui.run.leftovers import Mark, in_the_way, keepers, leftovers, lock_is_held, sweep
from sft_tui.run.processes import StageProcess, read_exit
from tests.waiting import until

_SLEEPER = "setsid sleep 600 & "
_IGNORING = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ignoring', flush=True); time.sleep(600)"
_STUBBORN = f'setsid {sys.executable} -S -E -c "{_IGNORING}" & '


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Mark]:
    mark = Mark(tmp_path / "project" / "runs" / "apples", "train", 1)
    mark.run_dir.mkdir(parents=True)
    yield mark
    for run_dir in (mark.run_dir, tmp_path / "moved" / "runs" / "apples"):
        sweep(run_dir, patience_s=0)


def start(mark: Mark, script: str) -> StageProcess:
    return StageProcess.start(["bash", "-c", script], mark.run_dir, {}, mark.run_dir / "log", mark)


def layout(mark: Mark) -> RunLayout:
    return RunLayout.of_run_dir(mark.run_dir)


def commands(processes: list[ProcessRef]) -> list[str]:
    return sorted(Path(psutil.Process(p.pid).cmdline()[0]).name for p in processes)


def stopped(processes: list[ProcessRef]) -> bool:
    """Whether one of `processes` is stopped."""
    states = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            states.append(psutil.Process(process.pid).status())
    return psutil.STATUS_STOPPED in states


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -6 $$", 134)])
def test_how_it_ended_is_in_the_marker(mark: Mark, script: str, code: int) -> None:
    before = time.time()
    process = start(mark, script)
    until(process.poll)
    seen = read_exit(mark.marker)
    assert seen is not None and seen.exit_code == process.exit_code == code
    assert before - 1 < seen.ended <= time.time() + 1 and seen.swept == 0
    assert not lock_is_held(layout(mark)) and not leftovers(mark.run_dir)
    assert list(mark.marker.parent.iterdir()) == [mark.marker]


def test_a_program_that_is_missing_leaves_nothing(mark: Mark) -> None:
    with pytest.raises(FileNotFoundError):
        StageProcess.start(["no-such-program"], mark.run_dir, {}, mark.run_dir / "log", mark)
    assert not list(mark.marker.parent.iterdir()) and not lock_is_held(layout(mark)) and not keepers(mark.run_dir)


def test_without_a_mark_it_works_too(tmp_path: Path) -> None:
    process = StageProcess.start(["bash", "-c", _SLEEPER + "exit 3"], tmp_path, {"A": "b"}, tmp_path / "log")
    until(process.poll)
    assert process.exit_code == 3 and process.exit is None
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_what_a_stage_leaves_in_other_sessions_is_ended_when_it_ends(mark: Mark) -> None:
    end = mark.run_dir / "end"
    process = start(
        mark, f"{_SLEEPER} (setsid bash -c 'kill -STOP $$' &); until test -e {end}; do sleep 0.05; done; exit 5"
    )
    until(lambda: stopped(leftovers(mark.run_dir)))
    end.touch()
    until(process.poll)
    assert not leftovers(mark.run_dir)
    assert process.exit is not None and process.exit.exit_code == 5 and process.exit.swept == 2


def test_a_killed_launcher_takes_its_ranks_along(mark: Mark) -> None:
    process = start(mark, _SLEEPER * 2 + "wait")
    until(lambda: commands(leftovers(mark.run_dir)) == ["bash", "sleep", "sleep"])
    os.kill(process.reference.pid, signal.SIGKILL)
    until(process.poll)
    assert process.exit_code == 137 and not leftovers(mark.run_dir)


def test_end_asks_and_then_kills_the_whole_tree(mark: Mark) -> None:
    # who waited only for its children would end by itself in the moment after the last of them was killed
    process = start(mark, _SLEEPER + _STUBBORN + "trap '' TERM; kill -STOP $$; wait; kill -STOP $$")
    until(lambda: psutil.Process(process.reference.pid).status() == psutil.STATUS_STOPPED)
    until(lambda: len(leftovers(mark.run_dir)) == 3)
    until(lambda: "ignoring" in (mark.run_dir / "log").read_text())
    ending = process.end(patience_s=0.5)
    assert ending.asked == 3 and ending.killed >= 2 and ending.left == 0, "two of three do not heed it"
    assert process.poll() and process.exit_code == 137
    assert not leftovers(mark.run_dir) and not lock_is_held(layout(mark))


def test_end_of_a_willing_process_kills_nobody(mark: Mark) -> None:
    process = start(mark, "exec sleep 600")
    began = time.monotonic()
    assert process.end(patience_s=20).killed == 0
    assert process.poll() and process.exit_code == 143 and time.monotonic() - began < 10


def test_nothing_is_started_beside_a_living_one(mark: Mark) -> None:
    process = start(mark, "exec sleep 600")
    again = Mark(mark.run_dir, "train", 2)
    state = RunState("apples", Status.FAILED)
    assert lock_is_held(layout(mark))
    until(lambda: str(process.reference.pid) in str(in_the_way(layout(mark), state)))
    with pytest.raises(BlockingIOError):
        start(again, "exit 0")
    process.end()
    assert in_the_way(layout(mark), state) is None
    until(start(again, "exit 0").poll)


def test_a_killed_keeper_is_told_by_the_lock_and_the_mark_and_the_program_is_waited_for(mark: Mark) -> None:
    process = start(mark, _SLEEPER + "sleep 1")
    (keeper,) = keepers(mark.run_dir)
    os.kill(keeper.pid, signal.SIGKILL)
    until(lambda: not keeper.alive())
    assert not process.poll() and lock_is_held(layout(mark))
    adopted = StageProcess.adopt(process.reference, mark.marker)
    assert not adopted.poll()
    with pytest.raises(BlockingIOError):
        start(Mark(mark.run_dir, "train", 2), "exit 0")
    until(lambda: not process.reference.alive())
    assert not adopted.poll(), "its child lives"
    assert commands(leftovers(mark.run_dir)) == ["sleep"]
    assert adopted.end().killed == 0 and adopted.poll() and process.poll()
    assert adopted.exit_code is None and process.exit_code is None, "nobody has seen it"


def test_an_adopted_process_has_the_exit_code_of_its_marker(mark: Mark) -> None:
    process = start(mark, "sleep 0.5; exit 9")
    adopted = StageProcess.adopt(process.reference, mark.marker)
    assert not adopted.poll() and adopted.exit_code is None
    until(process.poll)
    assert adopted.poll() and adopted.exit_code == 9


@pytest.mark.parametrize("change", [{"boot_id": "before the reboot"}, {"start_ticks": 1}])
def test_nobody_is_touched_who_got_the_number_of_an_adopted_process(mark: Mark, change: dict[str, Any]) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import os, time; os.fork(); time.sleep(60)"])
    try:
        until(lambda: bool(psutil.Process(stranger.pid).children()))
        stage = StageProcess.adopt(replace(ProcessRef.of(stranger.pid), **change), mark.marker)
        assert stage.poll()
        assert stage.pids() == frozenset()
        assert stage.signal(signal.SIGTERM) == 0
        assert stage.end(0.2).asked == 0
        assert stranger.poll() is None and len(psutil.Process(stranger.pid).children()) == 1
    finally:
        for child in psutil.Process(stranger.pid).children():
            child.kill()
        stranger.kill()
        stranger.wait()


def test_a_stopped_keeper_and_a_stopped_program_do_not_hang_anybody(mark: Mark) -> None:
    process = start(mark, "trap 'exit 4' USR1; touch ready; while true; do sleep 0.1; done")
    until((mark.run_dir / "ready").exists)
    (keeper,) = keepers(mark.run_dir)
    os.kill(keeper.pid, signal.SIGSTOP)
    os.kill(process.reference.pid, signal.SIGSTOP)
    assert process.signal(signal.SIGUSR1) == 1
    until(process.poll, 10)
    assert process.exit_code == 4


def test_signals_go_to_the_chosen_or_to_the_program_itself(mark: Mark) -> None:
    process = start(mark, "setsid bash -c 'exec -a worker sleep 600' & wait")
    until(lambda: len(leftovers(mark.run_dir)) == 2 and len(process.pids()) == 2)
    assert process.memory_bytes() > 0
    until(lambda: process.signal(0, lambda words: words[:1] == ["worker"]) == 1)
    assert process.signal(signal.SIGTERM, lambda words: words[:1] == ["worker"]) == 1
    until(process.poll)
    assert process.exit_code == 0, "only the worker was told"


def test_a_renamed_project_keeps_its_processes_and_its_marker(mark: Mark, tmp_path: Path) -> None:
    process = start(mark, "sleep 3; exit 6")
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "runs" / "apples"
    until(lambda: process.reference in leftovers(moved))
    assert lock_is_held(RunLayout.of_run_dir(moved))
    until(process.poll)
    seen = read_exit(moved / "exit" / "train.1.json")
    assert seen is not None and seen.exit_code == process.exit_code == 6
    assert not (tmp_path / "project").exists()


def test_the_keeper_is_small_and_sleeps(mark: Mark) -> None:
    start(mark, "exec sleep 600")
    (reference,) = keepers(mark.run_dir)
    keeper = psutil.Process(reference.pid)
    assert keeper.memory_info().rss < 15 * 2**20

    def rests() -> bool:
        before, switches = keeper.cpu_times(), keeper.num_ctx_switches()
        time.sleep(1)
        return keeper.cpu_times()[:2] == before[:2] and keeper.num_ctx_switches() == switches

    until(rests, 20)  # once it has started its program
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(reference.pid, number)
    time.sleep(0.2)
    assert reference.alive(), "it needs nobody and heeds nobody"


def test_a_program_does_not_ignore_what_its_keeper_ignores(mark: Mark) -> None:
    process = start(mark, "grep -i SigIgn /proc/self/status")
    until(process.poll)
    ignored = int((mark.run_dir / "log").read_text().split()[-1], 16)
    assert not ignored & (1 << (signal.SIGTERM - 1) | 1 << (signal.SIGINT - 1))


def test_a_run_on_another_computer_is_in_the_way(mark: Mark) -> None:
    there = ProcessRef(1, 1, "another-boot", "gpu-7", "pid:[1]")
    state = RunState("apples", Status.RUNNING, supervisor=there)
    assert "gpu-7" in str(in_the_way(layout(mark), state))
    state = RunState("apples", Status.FAILED, stages={"train": StageState(Status.FAILED, process=there)})
    assert in_the_way(layout(mark), state) is None


def test_a_damaged_marker_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", '{"exit_code": null}', json.dumps({"exit_code": 0, "ended": "x", "swept": 0})):
        (tmp_path / "train.1.json").write_text(text)
        assert read_exit(tmp_path / "train.1.json") is None
