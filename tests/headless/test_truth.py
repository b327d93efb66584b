"""Nothing is reported that was not done: what a run ends with is made from the data, model and options of now."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.headless import Project, make_project
from tests.waiting import until


def _events(project: Project, *kinds: str, run: str = "apples") -> list[dict[str, Any]]:
    lines = (project.path / f"runs/{run}/events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["type"] in kinds]


def _started(project: Project, since: int = 0) -> list[str]:
    return [event["stage"] for event in _events(project, "stage_started")][since:]


def _rewrite_source(project: Project, count: int, word: str = "other") -> None:
    rows = "".join(f"q{i},{word} {i}\n" for i in range(count))
    (project.path / "rows.csv").write_text(f"question,answer\n{rows}")


def _trained_texts(project: Project) -> str:
    """All that the last training read."""
    config = yaml.safe_load((project.path / "configs/apples/train_config.yaml").read_text())
    return (project.path / f"data/{config['dataset']}.jsonl").read_text(encoding="utf-8")


def test_more_epochs_train_on_and_make_a_new_model(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    resumed = project.sft("resume", "apples", "--set", "num_train_epochs=7")
    assert resumed.code == 0, resumed.err
    assert _started(project, 4) == ["train", "export", "verify"]
    train = _events(project, "stage_started")[4]
    assert train["from_step"], "it goes on from its last checkpoint"
    (changed,) = _events(project, "plan_changed")
    assert changed["changes"]["num_train_epochs"] == [3, 7] and changed["reason"]
    assert list(project.path.glob("models/apples.before-1/*.safetensors")), "the old merged model is kept beside"


def test_another_rank_trains_anew_and_exports_anew(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    assert project.sft("resume", "apples", "--set", "lora_rank=4").code == 0
    assert _started(project, 4) == ["train", "export", "verify"]
    assert _events(project, "stage_started")[4]["from_step"] is None
    assert json.loads((project.path / "saves/apples/adapter_config.json").read_text())["r"] == 4
    assert list(project.path.glob("saves/apples.before-*/adapter_config.json"))


def test_another_learning_rate_of_a_finished_training_is_no_matter_of_no_steps(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    assert project.sft("resume", "apples", "--set", "learning_rate=1.0e-5").code == 0
    train = _events(project, "stage_started")[4]
    assert (train["stage"], train["from_step"]) == ("train", None)


def test_what_changes_nothing_that_is_learned_trains_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    assert project.sft("resume", "apples", "--set", "save_total_limit=1").code == 0
    assert _started(project, 4) == []
    config = yaml.safe_load((project.path / "configs/apples/train_config.yaml").read_text())
    assert config["save_total_limit"] == 1


def test_a_failed_run_with_another_source_converts_anew(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"fail": {"at_step": 1, "text": "RuntimeError: no"}})
    project.answer(data={"name": "fruit"})
    assert project.run().code == 4
    (project.path / "more.csv").write_text("question,answer\n" + "".join(f"q{i},pears {i}\n" for i in range(30)))
    project.answer(data={"name": "fruit", "source": "more.csv"})
    project.fake.set_scenario({})
    again = project.run()
    assert again.code == 0, again.err
    assert "pears 3" in _trained_texts(project)


def test_a_source_that_was_rewritten_is_converted_anew(tmp_path: Path) -> None:
    for name in (None, "fruit"):
        project = make_project(tmp_path / str(name), {"fail": {"at_step": 1, "text": "RuntimeError: no"}})
        project.answer(data={"name": name})
        assert project.run().code == 4
        _rewrite_source(project, 30)
        project.fake.set_scenario({})
        assert project.sft("resume", "apples").code == 0
        assert "other 3" in _trained_texts(project)


def test_a_finished_run_whose_source_was_rewritten_is_not_called_finished_when_it_is_resumed(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    before = len(_started(project))
    _rewrite_source(project, 30)
    assert project.sft("resume", "apples").code == 0
    assert _started(project, before) == ["convert", "train", "export", "verify"]
    assert "other 3" in _trained_texts(project)
    assert "is finished" in project.sft("resume", "apples").err
    assert len(_started(project)) == before + 4


def test_a_source_that_grows_while_it_is_read_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    from sft_tui.dataset import Columns, ConvertRequest
    from sft_tui.plan.conversion import convert_and_register
    from sft_tui.problems import Refusal

    source = tmp_path / "rows.csv"
    source.write_text("question,answer\n" + "".join(f"q{i},a{i}\n" for i in range(100)))

    def append(_progress: Any) -> None:
        with source.open("a") as stream:
            stream.write("late,row\n")

    columns = Columns(input="question", output="answer")
    request = ConvertRequest(source=str(source), out_dir=tmp_path / "data", name="rows", columns=columns)
    with pytest.raises(Refusal, match="changed while it was read"):
        convert_and_register(request, append)
    assert not list((tmp_path / "data").glob("*")) if (tmp_path / "data").exists() else True


def test_a_training_that_ended_alone_is_not_repeated(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "step_s": 0.1})
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())
    os.kill(project.state()["supervisor"]["pid"], signal.SIGKILL)
    until(lambda: (project.path / "saves/apples/train_results.json").exists())
    time.sleep(0.5)
    resumed = project.sft("resume", "apples")
    assert resumed.code == 0, resumed.err
    assert project.state()["stages"]["train"]["attempt"] == 1
    assert project.state()["status"] == "finished"
    steps = [event["step"] for event in _events(project, "metric") if "loss" in event]
    assert steps[-1] == 20 and steps == sorted(set(steps))


def test_export_again_needs_no_source_and_keeps_the_old_model_until_the_new_one_is_there(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    (project.path / "rows.csv").unlink()
    model = project.path / "models/apples"
    (model / "mine.txt").write_text("of the first export")
    project.fake.set_scenario({"fail": {"stage": "export", "text": "RuntimeError: no"}})
    assert project.sft("export", "apples", "--overwrite").code == 5
    assert (model / "mine.txt").exists() and (model / "model.safetensors").exists()
    (project.path / "model/config.json").rename(project.path / "model/config.away")
    refused = project.sft("export", "apples", "--overwrite")
    assert refused.code in (2, 3), refused.err
    assert (model / "mine.txt").exists()
    (project.path / "model/config.away").rename(project.path / "model/config.json")
    project.fake.set_scenario({})
    again = project.sft("export", "apples", "--overwrite")
    assert again.code == 0, again.err
    assert (model / "model.safetensors").exists() and not (model / "mine.txt").exists()
    assert project.state()["stages"]["train"]["attempt"] == 1
    assert sorted(path.name for path in model.parent.iterdir()) == ["apples"]


def test_an_export_that_may_not_start_touches_no_model(tmp_path: Path) -> None:
    import fcntl

    from sft_tui.project.layout import RunLayout

    project = make_project(tmp_path)
    assert project.run().code == 0
    with RunLayout(project.path, "apples").trainer_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as if something of the run were still at work
        refused = project.sft("export", "apples", "--overwrite")
    assert refused.code == 3, refused.err
    assert (project.path / "models/apples/model.safetensors").exists()


def test_changes_pass_through_the_preflight(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    before = (project.path / "runs/apples/plan.json").read_bytes()
    for setting, word in (("lerning_rate=1e-5", "learning_rate"), ("lora_rank=-3", "lora_rank")):
        refused = project.sft("resume", "apples", "--set", setting)
        assert refused.code == 2, refused.err
        assert word in refused.err
    assert (project.path / "runs/apples/plan.json").read_bytes() == before
    assert _started(project, 4) == []


def test_a_stop_that_was_left_over_stops_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path, "export_fails")
    assert project.run().code == 5
    requests = project.path / "runs/apples/requests"
    (requests / f"{time.time_ns()}-stop.json").write_text('{"kind": "stop", "details": {}}')
    project.fake.set_scenario({})
    assert project.sft("resume", "apples").code == 0


def test_two_starts_at_once_are_two_runs(tmp_path: Path) -> None:
    import concurrent.futures

    project = make_project(tmp_path)
    project.answer(run={"name": None})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: project.run("--detach", "--json", "--fresh"), range(2)))
    assert [result.code for result in results] == [0, 0], [result.err for result in results]
    names = {json.loads(result.out)["run"] for result in results}
    assert len(names) == 2
    for name in names:
        until(lambda name=name: project.state(name)["status"] == "finished")  # type: ignore[misc]


_OVERTAKEN = """
import subprocess, sys
from sft_tui import cli
from sft_tui.headless import run_command

plan = run_command.make_plan
words = ["--non-interactive", "answers.yaml", "--detach", "--json", *sys.argv[1:]]

def make_plan(*given):
    made = plan(*given)
    if run_command.make_plan is make_plan:
        run_command.make_plan = plan
        subprocess.run([sys.executable, "-m", "sft_tui.cli", *words], check=True, stderr=subprocess.DEVNULL)
    return made

run_command.make_plan = make_plan
sys.exit(cli.main(words))
"""


@pytest.mark.parametrize("words", [(), ("--fresh",)])
def test_a_start_that_is_overtaken_takes_another_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    project = make_project(tmp_path)
    project.answer(run={"name": None})
    env = {**os.environ, **project.fake.env}
    command = [sys.executable, "-c", _OVERTAKEN, *words]
    done = subprocess.run(command, cwd=project.path, env=env, capture_output=True, text=True, check=True)
    names = {json.loads(line)["run"] for line in done.stdout.splitlines()}
    assert len(names) == 2
    for name in names:
        until(lambda name=name: project.state(name)["status"] == "finished")  # type: ignore[misc]


def test_model_changed_before_resuming_is_refused_and_from_start_trains_anew(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 20, "fail": {"at_step": 15, "text": "RuntimeError: no"}})
    project.answer(train={"save_steps": 5})
    assert project.run().code == 4
    project.fake.set_scenario({"steps": 20})
    weights = project.path / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"another")
    refused = project.sft("resume", "apples")
    assert refused.code == 3, refused.err
    assert "the model" in refused.err and "--from-start" in refused.err
    anew = project.sft("resume", "apples", "--from-start")
    assert anew.code == 0, anew.err
    assert _events(project, "stage_started")[2]["from_step"] is None
    assert list(project.path.glob("saves/apples.before-1/checkpoint-15"))


@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_config.json"])
def test_the_newest_checkpoint_is_torn(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path, {"steps": 20, "fail": {"at_step": 15, "text": "RuntimeError: no"}})
    project.answer(train={"save_steps": 5})
    assert project.run().code == 4
    torn = project.path / "saves/apples/checkpoint-15" / name
    torn.write_bytes(torn.read_bytes()[:40])
    project.fake.set_scenario({"steps": 20})
    assert project.sft("resume", "apples").code == 0
    assert _events(project, "stage_started")[2]["from_step"] == 10
    (said,) = [event for event in _events(project, "warning") if event["id"] == "checkpoint_torn"]
    assert "15" in said["message"] and name in said["message"]
    assert (project.path / "saves/apples/torn-checkpoint-15").is_dir()


def test_a_crash_is_started_again_as_often_as_was_allowed(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 10, "fail": {"at_step": 6, "text": "Strange: no", "times": 2}})
    project.env["SFT_TUI_CRASH_WAIT_S"] = "0.1"
    project.answer(train={"save_steps": 2})
    assert project.run("--restart-on-crash", "1").code == 4
    resumed = project.sft("resume", "apples", "--restart-on-crash", "2")
    assert resumed.code == 0, resumed.err
    assert [event["from_step"] for event in _events(project, "stage_started") if event["stage"] == "train"] == [
        None,
        6,
        6,
    ]
    assert len([event for event in _events(project, "warning") if event["id"] == "crash_retry"]) == 1


def test_an_early_end_from_outside_is_no_success(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 200, "step_s": 0.1})
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())
    os.kill(project.state()["stages"]["train"]["process"]["pid"], signal.SIGTERM)
    until(lambda: project.state()["status"] != "running")
    assert project.state()["status"] == "failed"
    assert "ended early" in project.state()["message"]


def test_who_looks_finds_a_lost_run_and_it_is_adopted(tmp_path: Path) -> None:
    from sft_tui.project.layout import RunLayout
    from sft_tui.run.lifecycle import ensure_supervised

    project = make_project(tmp_path, {"steps": 20, "step_s": 0.1})
    layout = RunLayout(project.path, "apples")
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())
    assert not ensure_supervised(layout), "it has a supervisor"
    os.kill(project.state()["supervisor"]["pid"], signal.SIGKILL)
    time.sleep(0.3)
    assert ensure_supervised(layout)
    until(lambda: project.state()["status"] == "finished")
    assert project.state()["stages"]["train"]["attempt"] == 1
    assert not ensure_supervised(layout)


def test_what_failed_unseen_is_told_and_not_started_again_unasked(tmp_path: Path) -> None:
    from sft_tui.project.layout import RunLayout
    from sft_tui.run.lifecycle import ensure_supervised

    project = make_project(tmp_path, {"steps": 20, "step_s": 0.1, "fail": {"at_step": 15, "text": "oom"}})
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())
    os.kill(project.state()["supervisor"]["pid"], signal.SIGKILL)
    layout = RunLayout(project.path, "apples")
    until(lambda: layout.exit_marker("train", 1).exists())
    assert ensure_supervised(layout)
    until(lambda: project.state()["status"] == "failed")
    state = project.state()
    assert (state["exit_code"], state["stages"]["train"]["attempt"]) == (4, 1)
    assert state["stages"]["train"]["exit_code"] == 1
    assert state["diagnoses"][0]["id"].startswith("gpu-oom")


def test_a_stop_while_all_is_done_is_no_loss(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 5, "end_s": 3})
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/train_results.json").exists())
    asked = project.sft("stop", "apples", "--wait")
    assert asked.code == 0, asked.err
    state = project.state()
    assert (state["status"], state["stages"]["train"]["status"]) == ("stopped", "finished")
    assert project.sft("resume", "apples").code == 0
    assert project.state()["stages"]["train"]["attempt"] == 1


def test_the_adapter_of_half_a_training_is_exported_and_called_so(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 100, "step_s": 0.1})
    assert project.run("--detach").code == 0
    until(lambda: (project.path / "saves/apples/trainer_log.jsonl").exists())
    stopped = project.sft("stop", "apples", "--wait")
    assert "saves a checkpoint" in stopped.err
    exported = project.sft("export", "apples")
    assert exported.code == 0, exported.err
    assert project.state()["status"] == "stopped"
    assert project.state()["stages"]["export"]["status"] == "finished"
    project.fake.set_scenario({"steps": 30})
    assert project.sft("resume", "apples").code == 0
    assert _started(project)[-3:] == ["train", "export", "verify"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_in_training_is_the_reason_that_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        project = make_project(tmp_path, {"steps": 20, "hold_at": [10], "fail": {"at_step": 11, "text": "disk_full"}})
        project.answer(run={"dir": str(disk)}, data={"source": str(project.path / "rows.csv")})
        assert project.run("--detach").code == 0
        until(lambda: (disk / "saves/apples/trainer_log.jsonl").exists())
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        (tmp_path / "train/bin/go-10").touch()
        ended = project.sft("attach", "apples", "--plain", "--dir", str(disk))
        assert ended.code == 4, ended.err
        state = json.loads((disk / "runs/apples/state.json").read_text())
        assert state["status"] == "failed" and "disk" in state["diagnoses"][0]["id"]
        last = json.loads((disk / "runs/apples/events.jsonl").read_text().splitlines()[-1])
        assert (last["type"], last["status"]) == ("run_finished", "failed")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_what_a_full_disk_kept_out_of_the_events_is_told_by_the_next_supervisor(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert project.run().code == 0
    path = project.path / "runs/apples/events.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    ended = [line for line in whole if '"stage_finished"' in line and '"train"' in line]
    metrics = [line for line in whole if '"metric"' in line]
    lost = ended + metrics[-3:] + [line for line in whole if '"progress"' in line][-3:]
    path.write_text("".join(line for line in whole if line not in lost))
    assert project.sft("resume", "apples", "--set", "save_total_limit=1").code == 0 and not _started(project, 4)
    assert [event["stage"] for event in _events(project, "stage_finished")].count("train") == 1
    assert {event["step"] for event in _events(project, "metric")} == {json.loads(line)["step"] for line in metrics}


def test_the_supervisor_stays_small() -> None:
    code = (
        "import sft_tui.run.supervisor, sys, re, pathlib;"
        "print([m for m in sys.modules if m.startswith(('sft_tui.memory', 'pandas', 'polars', 'textual', 'torch'))]);"
        "print(int(re.search('VmHWM:[^0-9]*([0-9]+)', pathlib.Path('/proc/self/status').read_text())[1]) < 60 << 10)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"], done.stdout
