"""Waiting for memory in turn, and watching a run's peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sft_tui.machine.gpus import Gpu, GpuProcess, GpuReport
from sft_tui.run import gpu_queue as wait
from sft_tui.run.gpu_queue import Queue, wait_for_memory
from sft_tui.run.measure import PeakMeter
from sft_tui.run.trial import longest, run_trial, trial_options, trial_rows

GIB = 2**30


def card(uuid: str, free_gib: float, total_gib: float = 24, others_gib: float = 0) -> Gpu:
    total, free = int(total_gib * GIB), int(free_gib * GIB)
    processes = (GpuProcess(1, None, None, int(others_gib * GIB)),) if others_gib else ()
    return Gpu(0, uuid, "NVIDIA A10", total, total - free, free, 0, None, None, (8, 6), processes)


def readings(*frees: tuple[float, ...]) -> Callable[[], GpuReport]:
    """A reader that gives one tuple of free GiB after the other, the last for ever."""
    left = list(frees)

    def read() -> GpuReport:
        now = left.pop(0) if len(left) > 1 else left[0]
        return GpuReport(tuple(replace(card(f"GPU-{n}", free), index=n) for n, free in enumerate(now)))

    return read


def test_it_waits_until_there_is_enough(tmp_path: Path) -> None:
    read = readings((4, 6), (4, 6), (20, 6))
    seen = list(wait_for_memory("apples", 18 * GIB, every_s=0, read=read, queue=Queue(tmp_path)))
    assert [state.over for state in seen] == [False, False, True]
    assert seen[0].best_free_bytes == 6 * GIB and seen[-1].gpus[0].uuid == "GPU-0"
    assert seen[-1].waited_s >= seen[0].waited_s


def test_only_the_allowed_cards_and_enough_of_them(tmp_path: Path) -> None:
    read = readings((20, 20, 2), (20, 20, 20))
    seen = list(wait_for_memory("a", 18 * GIB, wanted=[1, 2], every_s=0, read=read, queue=Queue(tmp_path)))
    assert [state.over for state in seen] == [False, True]
    assert {gpu.uuid for gpu in seen[-1].gpus} == {"GPU-1", "GPU-2"}


def test_the_older_ticket_goes_first_and_the_younger_keeps_its_distance(tmp_path: Path) -> None:
    first = wait_for_memory("first", 18 * GIB, every_s=0, read=readings((2,), (20,)), queue=Queue(tmp_path))
    assert not next(first).over
    second = wait_for_memory("second", 1 * GIB, every_s=0, read=readings((20,)), queue=Queue(tmp_path))
    assert next(second).ahead == 1
    assert next(first).over
    state = next(second)
    assert state.ahead == 0 and not state.over, "the first has just started"
    second.close()


def test_nobody_stands_behind_a_run_that_waits_for_other_cards(tmp_path: Path) -> None:
    read = readings((2, 20))
    busy = wait_for_memory("first", 18 * GIB, wanted=[0], every_s=0, read=read, queue=Queue(tmp_path))
    assert not next(busy).over
    idle = next(wait_for_memory("second", 18 * GIB, wanted=[1], every_s=0, read=read, queue=Queue(tmp_path)))
    assert idle.over and idle.ahead == 0 and [gpu.uuid for gpu in idle.gpus] == ["GPU-1"]
    third = wait_for_memory("third", GIB, wanted=[1], every_s=0, read=read, queue=Queue(tmp_path))
    assert not next(third).over, "its card was taken just now"
    third.close()
    busy.close()


def test_a_run_for_any_card_leaves_the_one_that_another_waits_for(tmp_path: Path) -> None:
    named = wait_for_memory("first", 18 * GIB, wanted=[0], every_s=0, read=readings((17, 9)), queue=Queue(tmp_path))
    assert not next(named).over
    free = wait_for_memory("second", 8 * GIB, every_s=0, read=readings((17, 9)), queue=Queue(tmp_path))
    assert [gpu.index for gpu in next(free).gpus] == [1]
    named.close()


def test_distance_ends(tmp_path: Path, monkeypatch: object) -> None:
    first = list(wait_for_memory("first", GIB, every_s=0, read=readings((20,)), queue=Queue(tmp_path)))
    assert first[-1].over
    before = wait.SETTLE_S
    wait.SETTLE_S = 0
    try:
        assert next(wait_for_memory("second", GIB, every_s=0, read=readings((20,)), queue=Queue(tmp_path))).over
    finally:
        wait.SETTLE_S = before


def test_tickets_of_dead_processes_and_broken_ones_do_not_count(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "pass"], check=True)
    assert done.returncode == 0
    (tmp_path / "00000000000000000001-1.json").write_text('{"run": "x", "pid": 999999999, "started": 1.0}')
    (tmp_path / "00000000000000000002-1.json").write_text("{broken")
    seen = list(wait_for_memory("apples", GIB, every_s=0, read=readings((20,)), queue=Queue(tmp_path)))
    assert seen[-1].over and not (tmp_path / "00000000000000000001-1.json").exists()


def test_giving_up_returns_the_ticket(tmp_path: Path) -> None:
    waiting = wait_for_memory("apples", 30 * GIB, every_s=0, read=readings((20,)), queue=Queue(tmp_path))
    next(waiting)
    assert list(tmp_path.glob("*.json"))
    waiting.close()
    assert not list(tmp_path.glob("*.json"))


def test_no_card_is_said(tmp_path: Path) -> None:
    waiting = wait_for_memory(
        "apples", GIB, every_s=0, read=lambda: GpuReport((), "no driver", "no_driver"), queue=Queue(tmp_path)
    )
    assert next(waiting).reason == "no driver"
    waiting.close()


def test_the_meter_leaves_out_what_others_hold() -> None:
    meter = PeakMeter.start([card("GPU-0", 20, others_gib=3.5)])
    meter.look(GpuReport((card("GPU-0", 10), card("GPU-9", 0))))
    meter.look(GpuReport((card("GPU-0", 12),)))
    assert meter.peak_bytes == int(10.5 * GIB)
    assert PeakMeter.start([]).look(GpuReport((), "gone")) is None


def test_a_trial_is_watched_and_ended(tmp_path: Path) -> None:
    log = tmp_path / "trial.log"
    code = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(0.3)"
    read = readings((20,), (5,), (8,))
    trial = run_trial([sys.executable, "-c", code], tmp_path, [card("GPU-0", 20)], log, read=read, every_s=0.05)
    assert (trial.exit_code, trial.peak_bytes) == (0, 19 * GIB)
    assert log.read_text().strip() == "GPU-0"
    slow = run_trial(
        [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, [card("GPU-0", 20)], log,
        read=read, every_s=0.05, limit_s=0.3,
    )  # fmt: skip
    assert slow.exit_code != 0 and slow.seconds < 30


def test_a_trial_takes_the_longest_rows_and_keeps_nothing(tmp_path: Path) -> None:
    rows = [(len(text), text.encode()) for text in ("a", "bbb", "cc", "ddd")]
    assert longest(rows, 2) == [b"bbb", b"ddd"]
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "val_size": 0.1, "lora_rank": 8}
    assert trial_rows(options) == 24
    trial = trial_options(options, "longest", tmp_path, tmp_path / "out")
    assert trial["max_steps"] == 3 and trial["lora_rank"] == 8 and "val_size" not in trial
    assert os.fspath(tmp_path) == trial["dataset_dir"]


def test_tickets_of_another_computer_neither_count_nor_go(tmp_path: Path) -> None:
    elsewhere = {"pid": os.getpid(), "start_ticks": 1, "boot_id": "0", "host": "gpu-7", "pid_ns": "pid:[1]"}
    ticket = tmp_path / "00000000000000000001-1.json"
    ticket.write_text(json.dumps({"run": "x", "process": elsewhere, "needed_bytes": 1, "taken": None}))
    assert next(wait_for_memory("apples", GIB, every_s=0, read=readings((20,)), queue=Queue(tmp_path))).over
    assert ticket.exists()
