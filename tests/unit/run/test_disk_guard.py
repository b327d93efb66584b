"""Stopping while there is room to save: what is still to be saved, counted as it will be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_tui.run.disk_guard import DiskGuard

MIB = 2**20
CHECKPOINT, WEIGHTS = 100 * MIB, 20 * MIB
RESERVE = 34 * MIB


@pytest.fixture
def save_dir(tmp_path: Path) -> Path:
    return tmp_path / "saves"


def save(save_dir: Path, step: int, share: float = 1.0) -> None:
    """A checkpoint of 100 MiB, of which 20 are the adapter, as far as it is written."""
    folder = save_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name, size in (("adapter_model.safetensors", WEIGHTS), ("optimizer.pt", CHECKPOINT - WEIGHTS)):
        with (folder / name).open("wb") as stream:
            stream.truncate(int(size * share))


def guard(save_dir: Path, **options: object) -> DiskGuard:
    return DiskGuard(save_dir, {"save_steps": 100, **options}, {})


def least(save_dir: Path, step: int = 150, total: int = 10_000, **options: object) -> int:
    """The least free MiB with which it goes on."""
    watch = guard(save_dir, **options)
    low, high = 0, 10_000
    while low < high:
        middle = (low + high) // 2
        if watch.lacking(middle * MIB, step, total) is None:
            high = middle
        else:
            low = middle + 1
    return low - RESERVE // MIB


def test_one_more_checkpoint_and_what_a_stop_saves(save_dir: Path) -> None:
    save(save_dir, 100)
    assert least(save_dir) == 220, "the next, then the stop's and the adapter"


def test_the_oldest_goes_when_a_new_one_is_complete(save_dir: Path) -> None:
    save(save_dir, 100)
    assert least(save_dir, save_total_limit=1) == 120 - 20, "one at a time beside the one that is there"
    assert least(save_dir, save_total_limit=2) == 200
    assert least(save_dir, save_total_limit=3) == 220


def test_a_checkpoint_that_is_being_written_is_no_reason_to_stop(save_dir: Path) -> None:
    for step in (100, 200):
        save(save_dir, step)
    before = least(save_dir, save_total_limit=2)
    save(save_dir, 300, share=0.5)
    during = least(save_dir, save_total_limit=2)
    assert during <= before - 50, "half of it is written"


def test_to_the_end_it_takes_only_what_is_left(save_dir: Path) -> None:
    save(save_dir, 100)
    assert least(save_dir, step=150, total=200) == 120, "the last checkpoint and the adapter"
    assert least(save_dir, step=200, total=200) == 20
    assert least(save_dir, step=150, total=200, save_strategy="no") == 20
    assert least(save_dir, step=150, total=200, save_strategy="epoch", num_train_epochs=2) == 120


def test_before_the_first_checkpoint_it_goes_by_the_plan(save_dir: Path) -> None:
    planned = DiskGuard(save_dir, {"save_steps": 100}, {"checkpoint": CHECKPOINT, "result": WEIGHTS})
    assert planned.lacking(220 * MIB + RESERVE - 1, 5, 10_000) == 220 * MIB + RESERVE
    assert planned.lacking(220 * MIB + RESERVE, 5, 10_000) is None
    assert guard(save_dir).lacking(33 * MIB, 5, 10_000) is None, "nothing is known but the logs"
    assert guard(save_dir).lacking(31 * MIB, 5, 10_000) == 32 * MIB


def test_what_was_measured_replaces_the_plan_and_grows_with_the_checkpoint(save_dir: Path) -> None:
    watch = DiskGuard(save_dir, {"save_steps": 100}, {"checkpoint": 1, "result": 1})
    save(save_dir, 100, share=0.1)
    assert watch.lacking(200 * MIB, 100, 10_000) is None
    save(save_dir, 200)
    assert watch.lacking(200 * MIB, 200, 10_000) == 220 * MIB + RESERVE
