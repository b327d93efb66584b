"""Run directories as a supervisor and LLaMA-Factory leave them, written in milliseconds."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sft_tui.machine.gpus import Gpu
from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import write_json
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState, Status, write_state

BEGAN = 1_790_000_000.0
"""Epoch seconds at which the made-up runs began."""

CARD = Gpu(
    0, "GPU-0", "NVIDIA H100 80GB HBM3", 85_471_199_232, 19_327_352_832, 66_143_846_400, 97, 61, 412.0, (9, 0), ()
)
"""The card that the made-up runs use."""

TRAIN_OPTIONS = {
    "model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct",
    "finetuning_type": "lora",
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 4,
    "cutoff_len": 2048,
    "learning_rate": 1.0e-4,
    "eval_strategy": "steps",
    "eval_steps": 50,
}
LOG = """[INFO|2026-11-24 07:40:00] llamafactory.hparams.parser:427 >> Process rank: 0, world size: 1
[INFO|2026-11-24 07:40:02] llamafactory.data.loader:143 >> Loading dataset apples_train.jsonl...
training example:
inputs:
<|im_start|>user
苹果是什么颜色？[/b] \x1b[31mred\x1b[0m<|im_end|>
[WARNING|2026-11-24 07:40:03] a warning [type=int
***** Running training *****
  Num examples = 900
\r  0%|          | 0/282 [00:00<?]\r  1%|1         | 3/282 [00:05<08:51]
{'loss': '2.912', 'grad_norm': '1.1', 'learning_rate': '1e-05', 'epoch': '0.05'}
"""


def make_run(
    project: Path,
    name: str = "apples",
    *,
    status: Status = Status.RUNNING,
    stage: str = "train",
    steps: int = 128,
    total: int = 282,
    alive: bool | None = None,
    log: str = LOG,
    gpus: tuple[int, ...] = (0,),
    diagnoses: tuple[Mapping[str, Any], ...] = (),
    message: str | None = None,
    created: float = BEGAN,
) -> RunLayout:
    """A run that stands at `stage`. `alive`: whether a living process is named as its supervisor."""
    layout = RunLayout(project, name)
    layout.log_dir.mkdir(parents=True, exist_ok=True)
    layout.save_dir.mkdir(parents=True, exist_ok=True)
    order = ("convert", "train", "export", "verify")
    stages = {s: StageState() for s in order}
    for done in order[: order.index(stage)]:
        stages[done] = StageState(Status.FINISHED, 1, None, created, created + 2, 0)
        layout.stage_log(done).write_text(f"$ {done}\ndone\n", encoding="utf-8")
    last = Status.RUNNING if status is Status.LOST else status
    if status is not Status.PENDING:
        ended = None if status in (Status.RUNNING, Status.LOST) else created + 90
        code = {Status.FAILED: 1, Status.FINISHED: 0, Status.STOPPED: 0}.get(status)
        stages[stage] = StageState(last, 1, None, created + 2, ended, code)
    layout.stage_log(stage).write_text(log, encoding="utf-8")
    write_plan_json(layout, gpus)
    write_metrics(layout, steps, total)
    ours = ProcessRef.of(os.getpid())
    gone = ProcessRef.of(2**22 - 1)
    living = alive if alive is not None else status in (Status.RUNNING, Status.PENDING)
    state = RunState(name, last, stage, stages, ours if living else gone, created, message=message)
    state.model, state.dataset = "Qwen/Qwen2.5-0.5B-Instruct", "apples"
    state.diagnoses = [dict(d) for d in diagnoses]
    if status not in (Status.RUNNING, Status.PENDING, Status.LOST):
        state.finished = created + 95
    if steps:
        state.metrics = {"step": steps, "total_steps": total, "loss": loss_at(steps, total), "first_loss": 2.912}
    write_state(layout, state)
    append_event(layout.events, make_event("run_started", run=name))
    return layout


def loss_at(step: int, total: int) -> float:
    """A made-up loss that falls."""
    return round(1.1 + 1.9 * math.exp(-5 * step / total) + 0.06 * math.sin(step), 3)


_CONVERSION = {"source": "/nowhere/rows.csv", "out_dir": "data", "name": "rows", "columns": {}}


def write_plan_json(layout: RunLayout, gpus: tuple[int, ...]) -> None:
    """As much of plan.json as the screens read."""
    stages = [
        {"name": s, "log": f"logs/{layout.name}/{s}.log", "argv": [s], "proofs": []}
        for s in ("convert", "train", "export", "verify")
    ]
    plan = {
        "project": str(layout.project),
        "run": layout.name,
        "model": "Qwen/Qwen2.5-0.5B-Instruct",
        "template": "qwen",
        "dataset": "rows",
        "preset": "cpu",
        "gpus": list(gpus),
        "files": [],
        "stages": stages,
        "merge_options": {"export_dir": f"models/{layout.name}"},
        "conversion": _CONVERSION,
        "verification": {},
        "reasons": {},
        "train_options": TRAIN_OPTIONS | {"output_dir": f"saves/{layout.name}"},
        "environment": {"python": "/opt/train/bin/python", "cli": ["/opt/train/bin/llamafactory-cli"]},
    }
    write_json(layout.plan, plan)


def write_metrics(layout: RunLayout, steps: int, total: int) -> None:
    """trainer_log.jsonl up to `steps`: a loss every 2 steps, an evaluation every 50."""
    with (layout.save_dir / "trainer_log.jsonl").open("w", encoding="utf-8") as stream:
        for step in range(2, steps + 1, 2):
            minutes, seconds = divmod(int(step * 1.9), 60)
            common = {
                "current_steps": step,
                "total_steps": total,
                "epoch": round(3 * step / total, 2),
                "elapsed_time": f"0:{minutes:02d}:{seconds:02d}",
            }
            figures = {"loss": loss_at(step, total), "lr": 1e-4 * (1 - step / total), "throughput": 8412.0}
            stream.write(json.dumps(common | figures) + "\n")
            if step % 50 == 0:
                stream.write(json.dumps(common | {"eval_loss": loss_at(step, total) + 0.08}) + "\n")


OOM = {
    "id": "cuda_oom",
    "title": "The GPU ran out of memory",
    "cause": "The batch and the longest sample together need more memory than the card has [/b].",
    "line": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "fixes": [
        {"kind": "set", "key": "per_device_train_batch_size", "value": 1, "text": "Train one sample at a time"},
        {"kind": "set", "key": "cutoff_len", "value": 1024, "text": "Cut samples at 1024 tokens"},
        {"kind": "advice", "key": None, "value": None, "text": "Look whether another process holds the memory"},
    ],
    "source": "https://github.com/hiyouga/LLaMA-Factory/issues/3914",
}
OOM_LOG = LOG + (
    "Traceback (most recent call last):\n"
    '  File "workflow.py", line 141, in run_sft\n'
    "    train_result = trainer.train()\n"
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.65 GiB\n"
    "\r  1%|1         | 3/282 [00:05<08:51]\n"
)
