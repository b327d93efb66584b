"""Tailing trainer_log.jsonl: lines as they come, files as they change, values as LLaMA-Factory writes them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

from sft_tui.factory.trainer_log import GradNorms, TrainerLog, parse_metric, read_metrics

LINE = {
    "current_steps": 10,
    "total_steps": 282,
    "loss": 1.284,
    "lr": 8.1e-05,
    "epoch": 0.11,
    "percentage": 3.55,
    "elapsed_time": "0:00:19",
    "remaining_time": "1 day, 0:08:36",
    "throughput": 8412.3,
    "total_tokens": 163840,
    "vram_allocated": 16.5,
    "vram_reserved": 18.0,
}


def line(step: int, **more: object) -> str:
    return json.dumps({**LINE, "current_steps": step, **more}) + "\n"


def steps(log: TrainerLog) -> list[int]:
    return [metric.step for metric in log.poll()]


def test_every_value_of_a_line() -> None:
    metric = parse_metric(json.dumps(LINE))
    assert metric is not None
    assert (metric.step, metric.total_steps, metric.loss, metric.learning_rate) == (10, 282, 1.284, 8.1e-05)
    assert (metric.epoch, metric.percent, metric.elapsed_s) == (0.11, 3.55, 19.0)
    assert metric.remaining_s == 86400 + 8 * 60 + 36
    assert (metric.throughput, metric.total_tokens) == (8412.3, 163840)
    assert (metric.vram_allocated, metric.vram_reserved) == (16.5, 18.0)
    assert metric.eval_loss is None


def test_an_evaluation_has_no_loss() -> None:
    metric = parse_metric('{"current_steps": 4, "total_steps": 0, "eval_loss": 1.3, "epoch": 1.0}')
    assert metric is not None
    assert (metric.loss, metric.eval_loss, metric.total_steps) == (None, 1.3, None)


def test_numbers_may_be_texts_and_no_numbers() -> None:
    metric = parse_metric('{"current_steps": "4", "loss": "nan", "lr": "1e-05", "grad_norm": "inf"}')
    assert metric is not None
    assert metric.loss is not None and math.isnan(metric.loss)
    assert (metric.step, metric.learning_rate, metric.grad_norm) == (4, 1e-05, math.inf)
    metric = parse_metric('{"current_steps": 5, "loss": NaN}')
    assert metric is not None and metric.loss is not None and math.isnan(metric.loss)
    metric = parse_metric('{"current_steps": 5, "loss": true, "epoch": [], "elapsed_time": "soon"}')
    assert metric is not None
    assert (metric.loss, metric.epoch, metric.elapsed_s) == (None, None, None)


def test_what_is_no_metric() -> None:
    for text in ("", "null", "[1]", "{}", '{"current_steps": null}', '{"current_steps": NaN}', '{"a":', "x" * 1000):
        assert parse_metric(text) is None
    assert parse_metric("[" * 100_000) is None
    assert parse_metric('{"current_steps":' + "[" * 100_000) is None


def test_lines_come_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    log = TrainerLog(path)
    assert steps(log) == []
    path.write_text(line(1))
    assert steps(log) == [1]
    assert steps(log) == []
    with path.open("a") as stream:
        stream.write(line(2) + line(3)[:20])
        stream.flush()
        assert steps(log) == [2]
        stream.write(line(3)[20:])
    assert steps(log) == [3]


def test_bad_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_bytes(line(1).encode() + b"\xff\xfe\n{broken\n\n" + b"\x00" * 50 + line(2).encode())
    assert steps(TrainerLog(path)) == [1, 2]


def test_a_resumed_training_goes_back_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text(line(10) + line(20) + line(15))
    log = TrainerLog(path)
    assert steps(log) == [10, 20, 15]
    assert log.resets == 0


def test_a_truncated_file_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text(line(10) + line(20))
    log = TrainerLog(path)
    assert steps(log) == [10, 20]
    path.write_text(line(1))
    assert steps(log) == [1]
    assert log.resets == 1


def test_a_file_truncated_and_grown_beyond_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text(line(10))
    log = TrainerLog(path)
    assert steps(log) == [10]
    path.write_text("".join(line(n, loss=0.5) for n in range(1, 6)))
    assert steps(log) == [1, 2, 3, 4, 5]


def test_a_replaced_and_a_deleted_file(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text(line(10) + line(20))
    log = TrainerLog(path)
    assert steps(log) == [10, 20]
    other = tmp_path / "new"
    other.write_text(line(1) + line(2) + line(3))
    other.rename(path)
    assert steps(log) == [1, 2, 3]
    path.unlink()
    assert steps(log) == []
    path.write_text(line(7))
    assert steps(log) == [7]


def test_a_directory_in_its_place_is_nothing(tmp_path: Path) -> None:
    assert TrainerLog(tmp_path).poll() == []


def test_a_long_file_comes_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text("".join(line(n) for n in range(60_000)))
    log = TrainerLog(path)
    assert len(log.poll()) < 60_000
    assert [metric.step for metric in read_metrics(path)] == list(range(60_000))


def test_a_writer_at_work(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    script = (
        "import sys, time\n"
        "f = open(sys.argv[1], 'a')\n"
        "for n in range(200):\n"
        "    for part in ('{\"current_', 'steps\": %d}' % n, '\\n'):\n"
        "        f.write(part); f.flush()\n"
        "    time.sleep(0.001)\n"
    )
    log, seen = TrainerLog(path), []
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as writer:
        while writer.poll() is None:
            seen += steps(log)
            time.sleep(0.003)
    assert seen + steps(log) == list(range(200))


def test_gradient_norms_from_the_console(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        "\r  1%|   | 1/9 [00:01<00:08]\n{'loss': '1.2', 'grad_norm': '0.75', 'epoch': '0.1'}\n"
        "\r  2%|   | 2/9 [00:01<00:08]\r                    \r{'loss': 1.1, 'grad_norm': 12.5, 'epoch': 0.2}\n"
        "{'loss': 0.0, 'grad_norm': nan, 'epoch': 0.3}\nthe 'grad_norm': '9' of another line\n"
    )
    norms = GradNorms(path).poll()
    assert norms[:2] == [0.75, 12.5]
    assert math.isnan(norms[2])
    assert len(norms) == 3
