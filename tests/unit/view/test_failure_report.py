"""What is said about a failure, and what is offered."""

from __future__ import annotations

from pathlib import Path

from sft_tui.project.state import Status
from sft_tui.view.failure_report import failure_report
from sft_tui.view.watch import RunWatch
from tests.tui.runs.run_dirs import LOG, OOM, OOM_LOG, make_run


def test_an_out_of_memory_offers_changes_with_their_diff(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, log=OOM_LOG, diagnoses=(OOM,))
    report = failure_report(layout, RunWatch(layout).poll())
    assert report.stage == "train" and report.key == "train.per_device_train_batch_size"
    first = report.offers[0]
    assert first.changes == {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    assert first.diff[:2] == ("- per_device_train_batch_size: 4", "+ per_device_train_batch_size: 1")
    assert first.diff[2:] == ("+ gradient_accumulation_steps: 4",)
    assert report.causes[0].advice == ("Look whether another process holds the memory",)
    assert any(line.startswith("torch.OutOfMemoryError") for line in report.lines)


def test_unset_and_new_options(tmp_path: Path) -> None:
    fixes = [
        {"kind": "unset", "key": "cutoff_len", "value": None, "text": "drop it"},
        {"kind": "set", "key": "bf16", "value": False, "text": "no bf16"},
        {"kind": "env", "key": "NCCL_P2P_DISABLE", "value": "1", "text": "set NCCL_P2P_DISABLE=1"},
        {"kind": "install", "key": None, "value": "peft>=0.18", "text": "Renew it:"},
    ]
    layout = make_run(tmp_path, status=Status.FAILED, log=OOM_LOG, diagnoses=({**OOM, "fixes": fixes},))
    report = failure_report(layout, RunWatch(layout).poll())
    assert [(dict(o.changes), o.diff) for o in report.offers] == [
        ({"cutoff_len": None}, ("- cutoff_len: 2048",)),
        ({"bf16": False}, ("+ bf16: false",)),
    ]
    assert report.causes[0].advice == (
        "set NCCL_P2P_DISABLE=1 NCCL_P2P_DISABLE=1 sft-tui resume apples",
        "Renew it: /opt/train/bin/python -m pip install --upgrade 'peft>=0.18'",
    )


def test_an_unknown_failure_shows_the_end_of_the_log_and_offers_nothing(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, log=LOG + "Boom: strange\n")
    report = failure_report(layout, RunWatch(layout).poll())
    assert report.causes == () and report.offers == () and report.key is None
    assert report.lines[-1] == "Boom: strange"


def test_missing_log_and_strange_diagnoses(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, diagnoses=({"title": 3}, {"fixes": ["x", {"kind": "set"}]}))
    layout.stage_log("train").unlink()
    layout.plan.write_text("[]", encoding="utf-8")
    report = failure_report(layout, RunWatch(layout).poll())
    assert report.lines == () and report.offers == () and len(report.causes) == 2


def test_a_failed_conversion_leads_back_to_the_data(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, stage="convert", steps=0)
    report = failure_report(layout, RunWatch(layout).poll())
    assert (report.stage, report.key) == ("convert", "data.source")
