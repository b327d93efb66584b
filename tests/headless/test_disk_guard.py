"""A training on a disk that fills up: it stops with a checkpoint while there is room for one, and says so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headless import make_project

MIB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_it_stops_with_a_checkpoint_before_the_disk_is_full(small_disk: Path) -> None:
    project = make_project(small_disk, {"steps": 400, "step_s": 0.05, "checkpoint_bytes": 8 * MIB})
    project.answer(train={"save_steps": 20, "logging_steps": 5, "save_total_limit": 100})
    stopped = project.run()
    assert stopped.code == 130, stopped.err
    state = project.state()
    assert state["status"] == "stopped" and "The disk has" in state["message"] and "goes on after" in state["message"]
    assert (project.path / "saves/apples/adapter_config.json").exists(), "what was learned is saved"
    events = [json.loads(line) for line in (project.path / "runs/apples/events.jsonl").read_text().splitlines()]
    assert [event["id"] for event in events if event.get("id") == "disk_stop"] == ["disk_stop"]
    for old in sorted(project.path.glob("saves/apples/checkpoint-*"))[:-1]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    project.fake.set_scenario({"steps": 400})
    resumed = project.sft("resume", "apples")
    assert resumed.code == 0, resumed.err


def test_on_a_full_disk_it_is_told_why_the_training_failed(small_disk: Path) -> None:
    project = make_project(small_disk, {"steps": 400, "step_s": 0.01, "checkpoint_bytes": 200 * MIB})
    project.answer(train={"save_steps": 2, "logging_steps": 5})
    failed = project.run()
    assert failed.code == 4, failed.err
    assert (project.path / "saves/apples/checkpoint-2/padding.dat").stat().st_size < 200 * MIB, "the disk is full"
    state = project.state()
    assert state["status"] == "failed" and state["diagnoses"][0]["id"] == "disk-full"
    assert project.sft("runs", "--json").out.count('"failed"') >= 1
