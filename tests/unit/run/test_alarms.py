"""Each live alarm on a training that goes wrong in that way; none on one that goes well."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from sft_tui.factory.trainer_log import GradNorms, Metric, TrainerLog, parse_metric
from sft_tui.run.alarms import ALARM_IDS, Alarm, Alarms
from tests.fakes import make_fake_environment

GIB = 1024**3


def ids(alarms: list[Alarm]) -> list[str]:
    assert all(alarm.message and alarm.hint and alarm.id in ALARM_IDS for alarm in alarms)
    return [alarm.id for alarm in alarms]


def healthy(watch: Alarms, count: int = 30, seconds: float = 1.0, every: int = 10) -> tuple[int, float]:
    """Feed a training that learns; the last step and time."""
    noise = random.Random(1)
    for number in range(1, count + 1):
        step, now = number * every, number * every * seconds
        metric = Metric(
            step, loss=2.5 / (1 + number / 10) + noise.uniform(-0.05, 0.05), grad_norm=noise.uniform(0.3, 2)
        )
        assert ids(watch.observe(metric, now)) == []
        assert ids(watch.tick(now, 95.0, 50 * GIB, 500 * GIB)) == []
    return count * every, count * every * seconds


def test_a_healthy_training_gives_none() -> None:
    watch = Alarms()
    step, now = healthy(watch, 200)
    for loss in (1.4, 1.3, 1.35, 1.31, 1.33):
        step, now = step + 10, now + 10
        assert ids(watch.observe(Metric(step, eval_loss=loss), now)) == []
    assert watch.active == frozenset()


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_nan(loss: float) -> None:
    watch = Alarms()
    step, now = healthy(watch)
    assert ids(watch.observe(Metric(step + 10, loss=loss), now + 10)) == ["loss_nan"]
    assert ids(watch.observe(Metric(step + 20, loss=loss), now + 20)) == []
    assert ids(watch.observe(Metric(step + 30, loss=1.0), now + 30)) == []
    assert ids(watch.observe(Metric(step + 40, loss=loss), now + 40)) == ["loss_nan"]


def test_nan_as_a_text_and_in_an_evaluation() -> None:
    metric = parse_metric('{"current_steps": 3, "loss": "nan"}')
    assert metric is not None
    assert ids(Alarms().observe(metric, 0)) == ["loss_nan"]
    assert ids(Alarms().observe(Metric(3, eval_loss=math.nan), 0)) == ["loss_nan"]


def test_zero() -> None:
    metric = parse_metric('{"current_steps": 3, "loss": "0"}')
    assert metric is not None
    watch = Alarms()
    assert ids(watch.observe(metric, 0)) == ["loss_zero"]
    assert ids(watch.observe(Metric(6, loss=0.0), 1)) == []


def test_rising_loss() -> None:
    watch = Alarms()
    step, now = healthy(watch)
    raised: list[str] = []
    for number in range(1, 30):
        raised += ids(watch.observe(Metric(step + number * 10, loss=0.7 + number * 0.2), now + number * 10))
    assert raised == ["loss_rising"]


def test_a_single_hard_batch_is_no_alarm() -> None:
    watch = Alarms()
    step, now = healthy(watch)
    assert ids(watch.observe(Metric(step + 10, loss=2.4), now + 10)) == []
    assert ids(watch.observe(Metric(step + 20, loss=0.7), now + 20)) == []


@pytest.mark.parametrize("norm", [900.0, math.nan, math.inf])
def test_exploding_gradients(norm: float) -> None:
    watch = Alarms()
    step, now = healthy(watch)
    assert ids(watch.observe(Metric(step + 10, loss=0.8, grad_norm=norm), now + 10)) == ["grad_norm"]
    assert ids(watch.observe_grad_norm(norm)) == []
    assert ids(watch.observe_grad_norm(1.0)) == []
    assert ids(watch.observe_grad_norm(norm)) == ["grad_norm"]


def test_infinite_gradients_of_the_first_steps_in_fp16_are_no_alarm() -> None:
    watch = Alarms()
    assert ids(watch.observe_grad_norm(math.inf)) == []
    assert ids(watch.observe_grad_norm(math.nan)) == []


def test_standing_still() -> None:
    watch = Alarms()
    _step, now = healthy(watch, seconds=2.0)
    assert ids(watch.tick(now + 30, 0.0)) == []
    assert ids(watch.tick(now + 70, 97.0)) == []
    assert ids(watch.tick(now + 71, 0.0)) == ["stalled"]
    assert ids(watch.tick(now + 90, 0.0)) == []
    watch.observe(Metric(310, loss=0.7), now + 95)
    assert "stalled" not in watch.active


def test_long_steps_are_given_their_time() -> None:
    watch = Alarms()
    _step, now = healthy(watch, seconds=60.0, every=1)
    assert ids(watch.tick(now + 500, 0.0)) == []
    assert ids(watch.tick(now + 700, 0.0)) == ["stalled"]


def test_without_a_gpu_figure_it_takes_longer() -> None:
    watch = Alarms()
    _step, now = healthy(watch)
    assert ids(watch.tick(now + 600)) == []
    assert ids(watch.tick(now + 1000)) == ["stalled"]


def test_before_the_first_steps_nothing_stands_still() -> None:
    watch = Alarms()
    assert ids(watch.tick(10_000, 0.0)) == []
    watch.observe(Metric(1, loss=2.0), 10_000)
    assert ids(watch.tick(20_000, 0.0)) == []


def test_half_the_speed() -> None:
    watch = Alarms()
    step, now = healthy(watch)
    raised: list[str] = []
    for number in range(1, 12):
        raised += ids(watch.observe(Metric(step + number * 10, loss=0.7), now + number * 25))
    assert raised == ["throughput"]
    for number in range(12, 30):
        raised += ids(watch.observe(Metric(step + number * 10, loss=0.7), now + 275 + (number - 11) * 10))
    assert "throughput" not in watch.active


def test_an_evaluation_between_two_steps_is_no_slowdown() -> None:
    watch = Alarms()
    step, now = healthy(watch)
    for _evaluation in range(12):
        now += 300
        assert ids(watch.observe(Metric(step, eval_loss=1.3), now)) == []
        for _step in range(3):
            step, now = step + 10, now + 10
            assert ids(watch.observe(Metric(step, loss=0.7), now)) == []


def test_evaluation_rising_three_times() -> None:
    watch = Alarms()
    raised = [
        ids(watch.observe(Metric(n, eval_loss=loss), n)) for n, loss in enumerate((1.5, 1.3, 1.31, 1.33, 1.36, 1.4))
    ]
    assert raised == [[], [], [], [], ["eval_rising"], []]
    assert ids(watch.observe(Metric(9, eval_loss=1.2), 9)) == []
    assert watch.active == frozenset()


def test_memory_and_disk() -> None:
    watch = Alarms()
    assert ids(watch.tick(0, None, GIB // 2, GIB)) == ["host_memory", "disk"]
    assert ids(watch.tick(1, None, int(GIB * 1.2), int(GIB * 2.5))) == []
    assert watch.active == {"host_memory", "disk"}
    assert ids(watch.tick(2, None, 8 * GIB, 80 * GIB)) == []
    assert watch.active == frozenset()
    assert ids(watch.tick(3, None, GIB // 2, 80 * GIB)) == ["host_memory"]


def test_after_a_resume_everything_is_usual_again() -> None:
    watch = Alarms()
    step, now = healthy(watch)
    for number in range(1, 30):
        watch.observe(Metric(step + number * 10, loss=0.7 + number * 0.2), now + number * 10)
    assert "loss_rising" in watch.active
    assert ids(watch.observe(Metric(100, loss=1.5), now + 400)) == []
    assert watch.active == frozenset()
    assert ids(watch.tick(now + 5000, 0.0)) == []


def test_a_log_that_is_read_at_once_keeps_its_times() -> None:
    watch = Alarms()
    for number in range(1, 30):
        assert ids(watch.observe(Metric(number, loss=1.0, elapsed_s=number * 60.0), 5000.0)) == []
    assert ids(watch.tick(5000 + 500, 0.0)) == []
    assert ids(watch.tick(5000 + 700, 0.0)) == ["stalled"]


def test_what_a_new_supervisor_reads_at_once_is_no_pace_to_be_slower_than() -> None:
    watch = Alarms()
    for number in range(1, 60):  # 0.6 s a step, of a trainer that went on alone and whose clock shows whole seconds
        assert ids(watch.observe(Metric(number, loss=1.0, elapsed_s=float(int(number * 0.6))), 5000.0)) == []
    for number in range(60, 120):
        now = 5000.0 + (number - 60) * 0.6 + 0.3
        assert ids(watch.observe(Metric(number, loss=1.0, elapsed_s=float(int(number * 0.6))), now)) == []


def test_what_is_read_late_is_no_slow_down() -> None:
    watch = Alarms()
    for number in range(1, 60):
        assert ids(watch.observe(Metric(number, loss=1.0, elapsed_s=float(int(number * 0.3))), number * 0.3)) == []
    for number in range(60, 400):  # nobody looked for a while
        assert ids(watch.observe(Metric(number, loss=1.0, elapsed_s=float(int(number * 0.3))), 120.0)) == []


def test_ranks_that_wait_for_each_other_with_busy_gpus() -> None:
    watch = Alarms()
    _step, now = healthy(watch, seconds=2.0)
    assert ids(watch.tick(now + 1700, 100.0)) == []
    (alarm,) = watch.tick(now + 1900, 100.0)
    assert alarm.id == "stalled" and "busy" in alarm.message and "idle" not in alarm.message


def test_a_training_without_a_gpu_gets_no_advice_about_one() -> None:
    watch = Alarms(on_gpu=False)
    step, now = healthy(watch)
    raised = [
        alarm
        for number in range(1, 12)
        for alarm in watch.observe(Metric(step + number * 10, loss=0.7), now + number * 25)
    ]
    assert [alarm.id for alarm in raised] == ["throughput"] and "GPU" not in raised[0].message + raised[0].hint


class Trainer:
    """The fake LLaMA-Factory at work, watched as the supervisor does it."""

    def __init__(self, directory: Path, scenario: str) -> None:
        fake = make_fake_environment(directory / "env", "ok")
        (directory / "data").mkdir()
        config = directory / "train.yaml"
        config.write_text("output_dir: saves\nlogging_steps: 1\nsave_steps: 1000\ndataset: x\n", encoding="utf-8")
        self.log = directory / "train.log"
        self.process = subprocess.Popen(
            [str(fake.cli), "train", str(config)],
            cwd=directory,
            env={**os.environ, **fake.env, "FAKE_SCENARIO": scenario},
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.watch = Alarms(stall_least_s=0.5)
        self.metrics = TrainerLog(directory / "saves" / "trainer_log.jsonl")
        self.norms = GradNorms(self.log)
        self.seen: list[str] = []

    def look(self, gpu: float | None = 95.0) -> None:
        """One look of the supervisor."""
        now = time.monotonic()
        for metric in self.metrics.poll():
            self.seen += ids(self.watch.observe(metric, now))
        for norm in self.norms.poll():
            self.seen += ids(self.watch.observe_grad_norm(norm))
        self.seen += ids(self.watch.tick(now, gpu, 50 * GIB, 500 * GIB))

    def follow(self, *, gpu: float | None = 95.0, until: str | None = None, seconds: float = 60.0) -> list[str]:
        """Watch it to its end, or until the alarm `until`; the alarms in their order."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and until not in self.seen and time.monotonic() < deadline:
            self.look(gpu)
            time.sleep(0.02)
        self.look(gpu)
        self.process.kill()
        self.process.wait()
        return [alarm for alarm in self.seen if alarm != "throughput"]  # which a loaded test machine may deserve


def scenario(**changes: object) -> str:
    return json.dumps({"steps": 60, "step_s": 0.02, "check_data": False, **changes})


def test_a_fake_trainer_that_is_well(tmp_path: Path) -> None:
    assert Trainer(tmp_path, scenario()).follow() == []


def test_a_fake_trainer_with_nan(tmp_path: Path) -> None:
    assert Trainer(tmp_path, scenario(nan_from=20)).follow() == ["loss_nan"]


def test_a_fake_trainer_whose_loss_rises(tmp_path: Path) -> None:
    assert "loss_rising" in Trainer(tmp_path, scenario(loss=[1.0, 4.0])).follow()


def test_a_fake_trainer_that_hangs(tmp_path: Path) -> None:
    hang = scenario(fail={"at_step": 30, "hang": True})
    assert Trainer(tmp_path, hang).follow(gpu=0.0, until="stalled") == ["stalled"]
