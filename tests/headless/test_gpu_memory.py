"""Runs on a card that is in use: waited for, refused just before the start, forced. The card is a file of the test."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.headless import Project, make_project
from tests.waiting import until

NVML = Path(__file__).parent.parent / "fakes" / "nvml"


class Machine:
    """A project on a machine with one fake card, of which `used` GiB of `total` are in use."""

    def __init__(self, tmp_path: Path, *, used: float, total: float = 24, **hardware: Any) -> None:
        self.project: Project = make_project(tmp_path)
        self._file = tmp_path / "cards.json"
        self.total = total
        self.use(used)
        path = os.pathsep.join([str(NVML), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.env = {"PYTHONPATH": path, "FAKE_NVML": str(self._file), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        self.project.env.update(self.env)
        self.project.answer(hardware={"gpus": "auto", **hardware}, preset="guide-16gb", export={"enabled": False})

    def use(self, used: float) -> None:
        """From now on `used` GiB are in use, by this process."""
        processes = [[os.getpid(), used - 0.5]] if used > 0.5 else []
        card = {"uuid": "GPU-one", "total": self.total, "used": used, "processes": processes}
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps([card]))
        beside.replace(self._file)

    def state(self) -> dict[str, Any]:
        """The run's state, {} before there is one."""
        path = self.project.path / "runs/apples/state.json"
        return self.project.state() if path.exists() else {}


def test_it_waits_without_a_terminal_until_the_memory_is_free(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=23.9, wait=True)
    started = machine.project.run("--detach")
    assert started.code == 0, started.err
    assert "the training will wait" in started.err
    until(lambda: "Waiting for GPU memory" in (machine.state().get("message") or ""))
    assert machine.state()["stages"]["train"]["status"] == "pending"
    assert "waiting  train" in machine.project.sft("runs").out
    machine.use(0.5)
    until(lambda: machine.state()["status"] == "finished")
    events = [json.loads(line) for line in (machine.project.path / "runs/apples/events.jsonl").read_text().splitlines()]
    waits = [event for event in events if event.get("stage") == "wait"]
    assert waits and waits[0]["ahead"] == 0 and waits[0]["needed_bytes"] > waits[0]["free_bytes"]
    plan = json.loads((machine.project.path / "runs/apples/plan.json").read_text())
    train = next(stage for stage in plan["stages"] if stage["name"] == "train")
    assert train["env"]["CUDA_VISIBLE_DEVICES"] == "GPU-one"


def test_a_waiting_run_can_be_left_and_stopped(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=23.9, wait=True)
    front = machine.project.begin("--non-interactive", "answers.yaml", env=machine.env)
    until(lambda: "Waiting for GPU memory" in front.said())
    front.process.send_signal(signal.SIGINT)
    assert front.end() == 130, front.said()
    assert machine.state()["status"] == "waiting"
    assert machine.project.sft("stop", "apples").code in (0, 130)
    until(lambda: machine.state()["status"] == "stopped")
    assert "waited" in machine.state()["message"]
    assert not list((tmp_path / "cache/sft-tui/queue").glob("*.json"))


def test_a_run_that_never_fits_does_not_wait(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=0.5, total=0.9, wait=True)
    result = machine.project.run()
    assert result.code == 3 and "does not fit" in result.err
    assert not (machine.project.path / "runs").exists()


def test_memory_that_is_taken_in_between_refuses_the_start_and_names_who_holds_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=23.9)
    result = machine.project.run("--force")
    assert result.code == 0, result.err  # forced: the same card does not stop it
    again = Machine(tmp_path / "b", used=0.5)
    plan = again.project.run("--dry-run")
    assert plan.code == 0, plan.err
    again.project.fake.set_scenario({"fail": {"stage": "train", "exit_code": 1}})
    assert again.project.run().code == 4
    again.use(23.9)
    refused = again.project.sft("resume", "apples")
    assert refused.code == 3, refused.err
    assert f"pid {os.getpid()}" in refused.err and "GiB" in refused.err
    assert again.state()["exit_code"] == 3 and again.state()["diagnoses"] == []
    again.project.fake.set_scenario({})
    assert again.project.run("--force").code == 0


def test_what_a_run_needed_stands_beside_the_next_estimate(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=0.5)
    machine.project.fake.set_scenario({"step_s": 0.2, "steps": 20})
    assert machine.project.run().code == 0
    rows = [json.loads(line) for line in (machine.project.path / "runs/peaks.jsonl").read_text().splitlines()]
    assert [(row["run"], row["model"], row["card"]) for row in rows] == [("apples", "./model", "Fake Card")]
    assert rows[0]["measured_bytes"] > 0 and rows[0]["estimate_bytes"] > 0
    dry = machine.project.run("--dry-run", "--fresh")
    assert "the run apples of this model needed" in dry.out
    shown = machine.project.sft("estimate", "model", "--dir", ".", "--json", "--set", "cutoff_len=777")
    measured = json.loads(shown.out)["measured"]
    assert measured["run"] == "apples" and measured["differs"]["cutoff_len"][1] == 777


def test_a_measurement_needs_a_gpu_and_keeps_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=0.5)
    result = machine.project.sft("estimate", "--measure", "answers.yaml", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["estimate_bytes"] > 0 and found["steps"] == 3
    assert not (machine.project.path / "data").exists() and not (machine.project.path / "runs").exists()
    assert found["gpus"] == [0] and found["memory_bytes"] > 0
    no_data = machine.project.sft("estimate", "model", "--measure")
    assert no_data.code == 2 and "no answers file" in no_data.err


def test_without_a_gpu_the_main_memory_is_measured(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"step_s": 0.1})
    result = project.sft("estimate", "answers.yaml", "--measure", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["memory_bytes"] > 0 and found["gpus"] == []
    assert found["estimate_bytes"] is found["measured_bytes"] is found["error"] is None
    assert "No GPU is used" in result.err
    shown = project.sft("estimate", "answers.yaml", "--measure")
    assert "of main memory" in shown.out


def test_a_trial_that_fails_says_why(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"fail": {"stage": "train", "at_step": 1, "text": "oom"}})
    result = project.sft("estimate", "answers.yaml", "--measure")
    assert result.code == 4 and "cause:" in result.err
    told = project.sft("estimate", "answers.yaml", "--measure", "--json")
    assert told.code == 4 and json.loads(told.out)["problems"][0]["code"] == "trial_failed"


def test_the_estimate_goes_by_the_samples_that_are_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=0.5)
    assert "no sample has more than" in machine.project.run("--dry-run").out
    checked = machine.project.sft("check", "answers.yaml")
    assert checked.code == 0, checked.err
    machine.project.fake.set_scenario({"step_s": 0.2, "steps": 20})
    assert machine.project.run().code == 0
    plan = json.loads((machine.project.path / "runs/apples/plan.json").read_text())
    assert 20 < plan["estimate"]["longest"] < 400
    row = json.loads((machine.project.path / "runs/peaks.jsonl").read_text().splitlines()[0])
    assert row["longest"] == plan["estimate"]["longest"]


def test_an_answers_file_can_be_estimated(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=23.5)
    done = machine.project.sft("estimate", "answers.yaml", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["fits"] is False and 20 < found["longest"] < 400 and found["measured"] is None
    assert found["time"]["steps"] > 0, "the rows of the data are counted"
    roomy = json.loads(machine.project.sft("estimate", "answers.yaml", "--json", "--gpu-memory", "24").out)
    assert roomy["fits"] is True and roomy["peak_bytes"] == found["peak_bytes"]
    packed = json.loads(machine.project.sft("estimate", "answers.yaml", "--json", "--set", "packing=true").out)
    assert packed["peak_bytes"] > found["peak_bytes"], "packed sequences are as long as cutoff_len"
    table = machine.project.sft("estimate", "answers.yaml")
    assert "no sample has more than" in table.out and "does not fit" in table.out
    (machine.project.path / "broken.yaml").write_text("model: {}\n")
    assert machine.project.sft("estimate", "broken.yaml").code == 2


def test_a_model_in_the_hubs_cache_is_known(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=0.5)
    store = tmp_path / "hub/models--some--thing"
    (store / "refs").mkdir(parents=True)
    (store / "refs/main").write_text("abc")
    (store / "snapshots").mkdir()
    (machine.project.path / "model").rename(store / "snapshots/abc")
    machine.project.env["HF_HUB_CACHE"] = str(tmp_path / "hub")
    machine.project.answer(hardware={"gpus": "auto"}, preset="guide-16gb", model={"path": "some/thing"})
    found = machine.project.sft("estimate", "answers.yaml", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["longest"] > 20


def test_two_cards_train_with_deepspeed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, used=0.5)
    cards = [{"uuid": f"GPU-{n}", "total": 24, "used": 0.5, "processes": []} for n in range(2)]
    (tmp_path / "cards.json").write_text(json.dumps(cards))
    machine.project.answer(
        hardware={"gpus": [0, 1]}, preset="guide-16gb", train={"deepspeed": "zero3"}, export={"enabled": False}
    )
    missing = machine.project.run()
    assert missing.code in (2, 3) and "deepspeed" in missing.err
    site = next((tmp_path / "train").glob("lib/python3.*/site-packages"))
    (site / "deepspeed-0.18.0.dist-info").mkdir()
    (site / "deepspeed-0.18.0.dist-info/METADATA").write_text("Name: deepspeed\nVersion: 0.18.0\n")
    measured = machine.project.sft("estimate", "answers.yaml", "--measure", "--json")
    assert measured.code == 0 and json.loads(measured.out)["gpus"] == [0, 1], measured.err
    assert not (machine.project.path / "configs").exists()
    assert machine.project.run().code == 0
    zero = json.loads((machine.project.path / "configs/apples/ds_zero3.json").read_text())
    assert zero["zero_optimization"]["stage"] == 3
    again = machine.project.sft("check", "configs/apples/train_config.yaml", "--json")
    assert not [p for p in json.loads(again.out)["problems"] if p["key"] == "deepspeed" and p["severity"] == "error"]
