"""The headless run against a fake LLaMA-Factory: the way through, and every failure on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.headless import Project, make_project
from tests.waiting import until


def _files(path: Path) -> set[str]:
    return {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}


def test_from_answers_to_a_merged_model(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    result = project.run()
    assert result.code == 0, result.err
    state = project.state()
    assert state["status"] == "finished"
    assert {s["status"] for s in state["stages"].values()} == {"finished"}
    files = _files(project.path)
    assert {
        "configs/apples/train_config.yaml",
        "configs/apples/merge_config.yaml",
        "data/dataset_info.json",
        "data/rows_train.jsonl",
        "data/rows_test.jsonl",
        "logs/apples/convert.log",
        "logs/apples/train.log",
        "logs/apples/export.log",
        "logs/apples/verify.log",
        "saves/apples/adapter_config.json",
        "models/apples/config.json",
        "runs/apples/answers.yaml",
        "runs/apples/plan.json",
        "runs/apples/verify.json",
    } <= files
    assert not [name for name in files if name.endswith(".tmp")]
    info = json.loads((project.path / "data" / "dataset_info.json").read_text())
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    assert columns.items() <= info["rows_train"]["columns"].items()
    assert info["rows_test"]["file_name"] == "rows_test.jsonl"
    assert "loss" in result.err
    assert result.out == ""


def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    result = project.run("--json")
    events = result.events()
    kinds = [e["type"] for e in events]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    assert [e["stage"] for e in events if e["type"] == "stage_finished"] == ["convert", "train", "export", "verify"]
    assert any(e["type"] == "metric" and e["loss"] > 0 for e in events)
    assert events == [json.loads(line) for line in (project.path / "runs/apples/events.jsonl").read_text().splitlines()]
    assert events[-1]["exit_code"] == 0


def test_spaces_and_chinese_in_paths(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    moved = tmp_path / "我的 项目 1"
    project.path.rename(moved)
    (moved / "rows.csv").rename(moved / "问答 数据.csv")
    project.path = moved
    project.answer(data={"source": "问答 数据.csv"})
    result = project.run()
    assert result.code == 0, result.err
    assert (moved / "models/apples/config.json").exists()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    before = _files(project.path)
    result = project.run("--dry-run")
    assert result.code == 0, result.err
    assert _files(project.path) == before
    assert "llamafactory-cli train configs/apples/train_config.yaml" in result.out
    plan = json.loads(project.run("--dry-run", "--json").out)["plan"]
    assert [s["name"] for s in plan["stages"]] == ["convert", "train", "export", "verify"]


def test_a_finished_run_is_not_done_again(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    before = (project.path / "saves/apples/adapter_config.json").stat().st_mtime_ns
    again = project.run()
    assert again.code == 0
    assert "finished" in again.err
    assert (project.path / "saves/apples/adapter_config.json").stat().st_mtime_ns == before


def test_fresh_starts_beside(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    assert project.run("--fresh").code == 0
    assert project.state("apples-2")["status"] == "finished"
    assert (project.path / "models/apples").is_dir()


def test_other_answers_under_the_same_name_are_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    project.answer(train={"lora_rank": 4})
    result = project.run("--json")
    assert result.code == 2
    (problem,) = json.loads(result.out)["problems"]
    assert problem["key"] == "run.name"
    assert "lora_rank" in problem["message"]


def test_a_run_without_a_name_is_found_again(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.answer(run={"name": None})
    assert project.run().code == 0
    assert "finished; nothing to do" in project.run().err
    assert len(list((project.path / "runs").iterdir())) == 1


def test_the_kept_answers_repeat_the_run(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    again = project.sft("--non-interactive", "runs/apples/answers.yaml")
    assert again.code == 0
    assert "finished; nothing to do" in again.err


def test_training_fails_and_a_second_try_goes_on(tmp_path: Path) -> None:
    project = make_project(tmp_path, "fail_once")
    failed = project.run()
    assert failed.code == 4, failed.err
    assert "logs/apples/train.log" in failed.err
    assert project.state()["stages"]["convert"]["status"] == "finished"
    again = project.run()
    assert again.code == 0, again.err
    stages = project.state()["stages"]
    assert (stages["convert"]["attempt"], stages["train"]["attempt"]) == (1, 2)


def test_what_an_attempt_logged_is_not_told_again_when_the_next_starts_over(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 12, "startup_s": 1.5, "fail": {"at_step": 8, "times": 1}})
    project.answer(train={"logging_steps": 1, "save_steps": 1000})
    assert project.run().code == 4
    assert project.run().code == 0
    told = list(_events(project))
    begun = max(at for at, event in enumerate(told) if event["type"] == "stage_started" and event["stage"] == "train")
    steps = [event["step"] for event in told[begun:] if event["type"] == "metric" and "loss" in event]
    assert steps == list(range(1, 13))


def test_export_fails_and_training_is_not_repeated(tmp_path: Path) -> None:
    project = make_project(tmp_path, "export_fails")
    failed = project.run()
    assert failed.code == 5, failed.err
    assert "adapter is kept in saves/apples" in failed.err
    project.fake.set_scenario({})
    assert project.run().code == 0
    assert project.state()["stages"]["train"]["attempt"] == 1


def test_verification_that_fails_is_6_and_says_what(tmp_path: Path) -> None:
    project = make_project(tmp_path, "verify_fails")
    failed = project.run()
    assert failed.code == 6, failed.err
    assert "exactly as the base model" in failed.err


@pytest.mark.parametrize(("scenario", "word"), [("killed", "signal"), ("oom", "memory"), ("disk_full", "space")])
def test_how_training_fails_is_told(tmp_path: Path, scenario: str, word: str) -> None:
    failed = make_project(tmp_path, scenario).run()
    assert failed.code == 4, failed.err
    assert word in failed.err.lower()
    assert "Traceback (most recent call last)" not in failed.err.split("The last lines")[0]


def test_a_training_that_leaves_nothing_has_failed(tmp_path: Path) -> None:
    failed = make_project(tmp_path, "no_adapter").run()
    assert failed.code == 4
    assert "not all of this is there" in failed.err


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("source missing", {"data": {"source": "nowhere.csv"}}, 2, "nowhere.csv"),
    ("wrong column", {"data": {"columns": {"input": "quest", "output": "answer"}}}, 2, "question"),
    ("no model", {"model": {"path": "./nowhere"}}, 2, "nowhere"),
    ("unknown template", {"model": {"template": "qwne"}}, 2, "qwen"),
    ("unknown option", {"train": {"learning_rat": 1}}, 2, "learning_rate"),
    ("wrong type", {"train": {"learning_rate": "fast"}}, 2, "learning_rate"),
    ("unknown key", {"data": {"colums": {}}}, 2, "columns"),
]


@pytest.mark.parametrize(("sections", "code", "word"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_answers(tmp_path: Path, sections: dict[str, Any], code: int, word: str) -> None:
    project = make_project(tmp_path)
    project.answer(**sections)
    before = _files(project.path)
    result = project.run()
    assert result.code == code, result.err
    assert word in result.err
    assert "Traceback" not in result.err
    assert _files(project.path) == before


def test_no_answers_file_and_no_yaml(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.sft("--non-interactive", "nowhere.yaml").code == 2
    (project.path / "answers.yaml").write_text("a: [")
    assert project.run().code == 2


def test_a_model_directory_without_config(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project.path / "model" / "config.json").unlink()
    result = project.run()
    assert result.code == 2
    assert "config.json" in result.err


@pytest.mark.parametrize("content", [b"", b"question,answer\n", b"question,answer\n,\n"])
def test_empty_data(tmp_path: Path, content: bytes) -> None:
    project = make_project(tmp_path)
    (project.path / "rows.csv").write_bytes(content)
    result = project.run()
    assert result.code == 3, result.err
    assert not (project.path / "runs").exists()


def test_unreadable_dataset_info_is_not_replaced(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    info = project.path / "data" / "dataset_info.json"
    info.parent.mkdir()
    info.write_text("{ not json")
    result = project.run()
    assert result.code == 3, result.err
    assert info.read_text() == "{ not json"
    assert "dataset_info.json" in result.err


def test_entries_of_others_stay(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    info = project.path / "data" / "dataset_info.json"
    info.parent.mkdir()
    info.write_text(json.dumps({"other": {"file_name": "other.json"}}))
    assert project.run().code == 0
    assert json.loads(info.read_text())["other"] == {"file_name": "other.json"}


def test_no_llamafactory(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    result = project.sft(
        "--non-interactive", "answers.yaml", env={"SFT_TUI_TRAIN_PYTHON": "/nowhere/python", "PATH": "/usr/bin:/bin"}
    )
    assert result.code == 3, result.err
    assert "LLaMA-Factory was not found" in result.err


def test_ctrl_c_leaves_the_run_alone(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "hold_at": [19]})
    front = project.begin("--non-interactive", "answers.yaml")
    until(lambda: "loss" in front.said())
    front.process.send_signal(signal.SIGINT)
    assert front.end() == 130
    assert "sft-tui attach apples" in front.said()
    assert "sft-tui stop apples" in front.said()
    project.fake.go_on(19)
    until(lambda: project.state()["status"] == "finished")


def _detached(project: Project) -> None:
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())


def test_killing_the_supervisor_keeps_the_trainer_and_resume_adopts_it(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 50, "hold_at": [40]})
    _detached(project)
    os.kill(project.state()["supervisor"]["pid"], signal.SIGKILL)
    trainer = project.state()["stages"]["train"]["process"]["pid"]
    os.kill(trainer, 0)
    runs = json.loads(project.sft("runs", "--json").out)
    assert runs[0]["status"] == "running"
    resumed = project.begin("resume", "apples")
    until(lambda: "following" in resumed.said())  # who looked at the runs has started a supervisor for it
    project.fake.go_on(40)
    assert resumed.end() == 0, resumed.said()
    assert project.state()["stages"]["train"]["attempt"] == 1
    assert project.state()["status"] == "finished"
    steps = [e["step"] for e in _events(project) if e["type"] == "metric" and "loss" in e]
    assert steps == sorted(set(steps))


def test_stop_saves_and_resume_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "hold_at": [15]})
    project.answer(train={"save_steps": 2})
    _detached(project)
    until(lambda: list(project.path.glob("saves/apples/checkpoint-*/trainer_state.json")))
    assert project.sft("stop", "apples", "--wait").code == 0
    state = project.state()
    assert state["status"] == "stopped"
    assert state["exit_code"] == 130
    assert (project.path / "saves/apples/adapter_config.json").exists()
    project.fake.set_scenario({"steps": 60})
    assert project.sft("resume", "apples").code == 0
    assert project.state()["status"] == "finished"
    argv = [e["argv"] for e in _events(project) if e["type"] == "stage_started" and e["stage"] == "train"]
    assert any(word.startswith("resume_from_checkpoint=./saves/apples/checkpoint-") for word in argv[-1])


def test_a_stop_saves_a_checkpoint_where_none_was_due(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "hold_at": [15]})
    project.answer(train={"save_steps": 1000})
    _detached(project)
    assert project.sft("stop", "apples", "--wait").code == 0
    (saved,) = project.path.glob("saves/apples/checkpoint-*")
    assert f"goes on after step {saved.name.rpartition('-')[2]}" in project.state()["message"]
    project.fake.set_scenario({"steps": 60})
    assert project.sft("resume", "apples").code == 0
    started = [e for e in _events(project) if e["type"] == "stage_started" and e["stage"] == "train"]
    assert f"{saved.name[11:]}" == str(started[-1]["from_step"])


def test_without_a_checkpoint_the_adapter_is_kept_beside(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 200, "step_s": 0.1})
    (old,) = (tmp_path / "train/lib/python3.11/site-packages").glob("transformers-*")
    old.rename(old.with_name("transformers-4.57.1.dist-info"))  # it cannot save when it is stopped
    project.answer(train={"save_steps": 1000})
    _detached(project)
    assert project.sft("stop", "apples", "--wait").code == 0
    assert "resuming starts from the first step" in project.state()["message"]
    project.fake.set_scenario({"steps": 5})
    assert project.sft("resume", "apples").code == 0
    assert list(project.path.glob("saves/apples.before-*/adapter_config.json"))


def _events(project: Project) -> list[dict[str, Any]]:
    lines = (project.path / "runs/apples/events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_stop_now_ends_at_once(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "hold_at": [15], "ignore_abort": True})
    _detached(project)
    assert project.sft("stop", "apples", "--now", "--wait").code == 0
    assert project.state()["status"] == "stopped"


def test_a_second_start_follows_the_first(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "hold_at": [15]})
    _detached(project)
    second = project.begin("--non-interactive", "answers.yaml")
    until(lambda: "following" in second.said())
    project.fake.go_on(15)
    assert second.end() == 0, second.said()
    assert project.state()["stages"]["train"]["attempt"] == 1


def test_a_stop_request_names_an_unknown_run(tmp_path: Path) -> None:
    result = make_project(tmp_path).sft("stop", "aples")
    assert result.code == 2


def test_export_again_with_other_options(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    assert project.sft("export", "apples").code == 2
    assert project.sft("export", "apples", "--size-gb", "5", "--overwrite").code == 0
    merge = yaml.safe_load((project.path / "configs/apples/merge_config.yaml").read_text())
    assert merge["export_size"] == 5


def test_attach_to_a_finished_run(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.run()
    shown = project.sft("attach", "apples")
    assert shown.code == 0
    assert "finished" in shown.err


def test_out_of_memory_is_retried_smaller_with_the_same_effective_batch(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"oom_above": {"per_device_train_batch_size": 1}})
    batch = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    project.answer(on_failure={"oom": "retry"}, train=batch)
    result = project.run()
    assert result.code == 0, result.err
    retries = [e["message"] for e in _events(project) if e["type"] == "warning" and e["id"] == "oom_retry"]
    assert len(retries) == 2
    config = yaml.safe_load((project.path / "configs/apples/train_config.yaml").read_text())
    assert (config["per_device_train_batch_size"], config["gradient_accumulation_steps"]) == (1, 8)


def test_out_of_memory_stops_where_nobody_asked_for_a_retry(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"oom_above": {"per_device_train_batch_size": 1}})
    project.answer(train={"per_device_train_batch_size": 4})
    assert project.run().code == 4
    assert project.state()["diagnoses"][0]["id"] == "gpu-oom"


def test_a_failed_run_is_mended_by_a_changed_option(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"oom_above": {"per_device_train_batch_size": 1}})
    project.answer(train={"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4})
    assert project.run().code == 4
    words = ("--set", "per_device_train_batch_size=1", "--set", "gradient_accumulation_steps=8")
    mended = project.sft("resume", "apples", *words)
    assert mended.code == 0, mended.err
    assert project.state()["stages"]["convert"]["attempt"] == 1


def test_a_project_that_cannot_be_written(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project.path / "file").write_text("")
    project.answer(run={"dir": "/proc/sft-tui"}, data={"source": str(project.path / "rows.csv")})
    refused = project.run()
    assert refused.code == 3, refused.err
    assert "/proc/sft-tui" in refused.err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount")
    try:
        project = make_project(tmp_path)
        (disk / "filler").write_bytes(b"x" * 8192)
        project.answer(run={"dir": str(disk)}, data={"source": str(project.path / "rows.csv")})
        refused = project.run()
        assert refused.code == 3, refused.err
        assert "space" in refused.err.lower()
        assert _files(disk) <= {"filler"}
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_options_of_the_command_line_win_over_the_file(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    planned = project.run("--dry-run", "--json", "--set", "lora_rank=4", "--set", "learning_rate=2.0e-5")
    options = json.loads(planned.out)["plan"]["train_options"]
    assert (options["lora_rank"], options["learning_rate"]) == (4, 2e-5)
    refused = project.run("--dry-run", "--set", "lerning_rate=1")
    assert refused.code == 2 and "learning_rate" in refused.err
    assert project.sft("--set", "lora_rank=4").code == 2


def test_a_conversion_that_was_killed_before_it_registered_its_rows_is_done_again(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    info = project.path / "data" / "dataset_info.json"
    before = info.read_text()
    info.unlink()
    convert = [sys.executable, "-m", "sft_tui.run.convert", "runs/apples"]
    subprocess.run(convert, cwd=project.path, check=True, capture_output=True)
    assert json.loads(info.read_text()) == json.loads(before)
    moved = project.path.rename(tmp_path / "moved")
    shutil.rmtree(moved / "data")
    subprocess.run(convert, cwd=moved, check=True, capture_output=True)
    assert json.loads((moved / "data" / "dataset_info.json").read_text()) == json.loads(before)


def test_what_the_trainer_wrote_before_a_crash_is_told_after_it(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 12, "step_s": 0.01, "fail": {"at_step": 9, "signal": 9, "times": 1}})
    project.answer(train={"save_steps": 4, "logging_steps": 1, "eval_strategy": "no"}, export={"enabled": False})
    assert project.run().code == 4
    log, state_file = project.path / "saves/apples/trainer_log.jsonl", project.path / "runs/apples/state.json"
    log.write_bytes(log.read_bytes()[:-20])  # torn at step 9
    state = project.state()
    state["stages"]["train"]["lines_read"] = 7  # more than the events have
    state_file.write_text(json.dumps(state))
    events = project.path / "runs/apples/events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.write_text("".join(lines[: next(i for i, line in enumerate(lines) if '"step": 6' in line)]))
    assert project.sft("resume", "apples").code == 0
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [e["step"] for e in told if e["type"] == "metric"] == list(range(1, 13))
