"""What a front end sees of a run, from its files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft_tui.machine.gpus import Gpu, GpuReport
from sft_tui.project.events import append_event, make_event
from sft_tui.project.identity import ProcessRef
from sft_tui.project.state import RunState, StageState, Status, read_state, write_state
from sft_tui.tui.runs.runs import read_rows
from sft_tui.view.failure_report import failure_report
from sft_tui.view.result import read_result
from sft_tui.view.watch import RunWatch
from tests.tui.runs.run_dirs import BEGAN, CARD, OOM, loss_at, make_run


def test_a_running_training(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    watch = RunWatch(layout, read_gpus=lambda: GpuReport((CARD,)), now=lambda: BEGAN + 245)
    snapshot = watch.poll()
    assert (snapshot.status, snapshot.stage, snapshot.alive, snapshot.supervised) == (
        Status.RUNNING,
        "train",
        True,
        True,
    )
    figures = snapshot.figures
    assert (figures.step, figures.total_steps, figures.epochs) == (128, 282, 3.0)
    assert figures.percent == pytest.approx(45.39, abs=0.01)
    assert figures.step_s == pytest.approx(1.9, abs=0.1)
    assert figures.remaining_s == pytest.approx(154 * 1.9, rel=0.05)
    assert figures.tokens_per_s == 8412
    assert snapshot.train_loss.first == loss_at(2, 282) and snapshot.train_loss.last == loss_at(128, 282)
    assert [step for step, _ in snapshot.eval_loss.points] == [50, 100]
    assert [stage.status for stage in snapshot.stages] == ["finished", "running", "pending", "pending"]
    assert snapshot.stages[1].seconds == 243
    assert snapshot.gpus == (CARD,)
    assert watch.poll() == snapshot


def test_new_records_appear_and_a_resume_replaces_its_steps(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    watch = RunWatch(layout)
    before = watch.poll().train_loss
    record = {"current_steps": 100, "total_steps": 282, "loss": 9.0, "elapsed_time": "0:00:00", "epoch": 1.1}
    with (layout.save_dir / "trainer_log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n" + '{"current_steps": 102, "tot')
    snapshot = watch.poll()
    assert snapshot.train_loss.last == 9.0 and snapshot.train_loss.points[-1] == (100, 9.0)
    assert len(snapshot.train_loss.points) < len(before.points)
    assert snapshot.figures.remaining_s is None, "one record of the new attempt says nothing about its pace"


def test_a_log_that_was_replaced_begins_a_new_curve(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    watch = RunWatch(layout)
    assert len(watch.poll().train_loss.points) == 64
    record = {"current_steps": 2, "total_steps": 10, "loss": 5.0, "elapsed_time": "0:00:01"}
    (layout.save_dir / "trainer_log.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    snapshot = watch.poll()
    assert snapshot.train_loss.points == ((2, 5.0),)
    assert snapshot.figures.total_steps == 10


def test_no_metrics_yet_are_unknown_not_zero(tmp_path: Path) -> None:
    snapshot = RunWatch(make_run(tmp_path, steps=0)).poll()
    figures = snapshot.figures
    assert (figures.step, figures.percent, figures.step_s, figures.remaining_s) == (None, None, None, None)
    assert snapshot.train_loss.first is None and snapshot.train_loss.points == ()
    assert snapshot.why_no_eval()


def test_a_run_whose_processes_are_gone_is_lost(tmp_path: Path) -> None:
    snapshot = RunWatch(make_run(tmp_path, status=Status.LOST)).poll()
    assert snapshot.status is Status.LOST and not snapshot.alive
    assert snapshot.failed_stage is not None and snapshot.failed_stage.name == "train"


def test_a_trainer_without_supervisor_still_runs(tmp_path: Path) -> None:
    layout = make_run(tmp_path, alive=False)
    state = read_state(layout)
    assert state is not None
    import os

    state.stages["train"].process = ProcessRef.of(os.getpid())
    write_state(layout, state)
    snapshot = RunWatch(layout).poll()
    assert snapshot.status is Status.RUNNING and not snapshot.supervised


def test_warnings_come_once_and_bounded(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    watch = RunWatch(layout)
    for number in range(30):
        for _twice in range(2):
            append_event(layout.events, make_event("warning", id="w", message=f"warning {number}", hint=None))
    messages = [remark.message for remark in watch.poll().warnings]
    assert messages[-1] == "warning 29" and len(messages) == len(set(messages)) == 20
    append_event(layout.events, make_event("run_started", run="apples"))
    assert watch.poll().warnings == (), "what was said of an earlier attempt is over"


def test_gpus_are_asked_seldom_and_only_while_the_run_is_on(tmp_path: Path) -> None:
    asked: list[float] = []
    clock = [BEGAN]

    def read() -> GpuReport:
        asked.append(clock[0])
        return GpuReport((), "no driver", "no_driver")

    watch = RunWatch(make_run(tmp_path), read_gpus=read, now=lambda: clock[0])
    for _ in range(10):
        snapshot = watch.poll()
        clock[0] += 0.5
    assert len(asked) == 3 and snapshot.gpu_reason == "no driver"
    on_cpu = RunWatch(make_run(tmp_path, "cpu", gpus=()), read_gpus=read, now=lambda: clock[0]).poll()
    ended = RunWatch(make_run(tmp_path, "ended", status=Status.FINISHED, stage="verify"), read_gpus=read).poll()
    assert on_cpu.on_cpu and not ended.alive and len(asked) == 3


def test_the_cards_are_those_of_the_plan_as_it_is_now(tmp_path: Path) -> None:
    """A run that waited for memory may have been given another card than it was planned for."""
    layout = make_run(tmp_path)
    plan = json.loads(layout.plan.read_text(encoding="utf-8"))
    cards = tuple(Gpu(n, f"GPU-{n}", "Card", 1 << 30, 0, 1 << 30, 0, None, None, None, ()) for n in range(2))
    watch = RunWatch(layout, read_gpus=lambda: GpuReport(cards))
    for chosen in (0, 1):
        layout.plan.write_text(json.dumps({**plan, "gpus": [chosen]}), encoding="utf-8")
        assert [gpu.index for gpu in watch.poll().gpus] == [chosen]


def test_no_run_and_broken_files(tmp_path: Path) -> None:
    from sft_tui.project.layout import RunLayout

    assert RunWatch(RunLayout(tmp_path, "none")).poll().problem == "no_state"
    layout = make_run(tmp_path)
    layout.plan.write_text("{broken", encoding="utf-8")
    layout.events.write_bytes(b"\xff\xfe broken\n[1]\n")
    (layout.save_dir / "trainer_log.jsonl").write_bytes(b"\x00\xff\n{}\n[]\n")
    watch = RunWatch(layout)
    assert watch.poll().status is Status.RUNNING
    layout.state.write_text("{half", encoding="utf-8")
    assert watch.poll().status is Status.RUNNING, "the last good state stays"
    layout.run_dir.rename(tmp_path / "elsewhere")
    assert watch.poll().problem == "no_state", "nobody follows what was moved away for ever"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *((key,) for key in RunState.__slots__),
    ("stages", "train"),
    *(("stages", "train", key) for key in StageState.__slots__),
    ("supervisor", "pid"),
    ("supervisor", "started"),
]
PLAN_PLACES = [("stages",), ("gpus",), ("train_options",), ("train_options", "output_dir"), ("environment",)]


@given(st.sampled_from(PLACES), st.sampled_from(PLAN_PLACES), anything, anything)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_state_and_no_plan_is_too_odd_to_look_at(
    tmp_path: Path, place: tuple[str, ...], plan_place: tuple[str, ...], value: Any, plan_value: Any
) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, diagnoses=(OOM,))
    for path, keys, odd in ((layout.state, place, value), (layout.plan, plan_place, plan_value)):
        data = node = json.loads(path.read_text(encoding="utf-8"))
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = odd
        path.write_text(json.dumps(data), encoding="utf-8")
    snapshot = RunWatch(layout, read_gpus=lambda: GpuReport((CARD,))).poll()
    assert snapshot.problem or snapshot.run
    failure_report(layout, snapshot)
    read_rows(tmp_path, BEGAN)
    read_result(layout)


def test_two_watches_do_not_disturb_each_other(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, diagnoses=(OOM,), message="Training failed.")
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    first, second = RunWatch(layout), RunWatch(layout)
    assert first.poll() == second.poll() == first.poll()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files
