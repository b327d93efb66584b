"""Plans are pure: these tests make situations by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sft_tui.answers import Answers
from sft_tui.factory.probe import load_factory
from sft_tui.machine.environment import Environment, Search
from sft_tui.machine.gpus import Gpu, GpuReport
from sft_tui.machine.system import System
from sft_tui.plan.context import ModelFacts, Situation
from sft_tui.presets import load_presets

GIB = 2**30


def make_answers(**sections: Any) -> Answers:
    """Answers of the guide's example, changed by `sections`."""
    data: dict[str, Any] = {
        "model": {"path": "Qwen/Qwen2.5-7B-Instruct"},
        "data": {"source": "raw/apples.parquet", "columns": {"input": "question", "output": "answer"}},
    }
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
    return Answers.model_validate(data)


def make_gpu(index: int = 0, total_gib: float = 24, **changes: Any) -> Gpu:
    """A card without anybody on it."""
    fields: dict[str, Any] = {
        "index": index,
        "uuid": f"GPU-{index}",
        "name": "Test Card",
        "total_bytes": int(total_gib * GIB),
        "used_bytes": 0,
        "free_bytes": int(total_gib * GIB),
        "utilisation": 0,
        "temperature_c": 30,
        "power_w": 50.0,
        "compute_capability": (8, 6),
        "processes": (),
    }
    return Gpu(**{**fields, **changes})


def make_situation(*gpus: Gpu, packages: tuple[str, ...] = (), **changes: Any) -> Situation:
    """A machine with 8 cores and `gpus`; LLaMA-Factory in /opt/train."""
    installed = {"llamafactory": "0.9.5", **dict.fromkeys(("tensorboard", "matplotlib", *packages), "1.0")}
    environment = Environment("/opt/train/bin/python", ("/opt/train/bin/llamafactory-cli",), "test", "0.9.5", installed)
    fields: dict[str, Any] = {
        "base": Path("/project"),
        "project": Path("/project"),
        "run": "apples",
        "dataset": "apples",
        "source": "/project/raw/apples.parquet",
        "system": System(64 * GIB, 60 * GIB, 8, 500 * GIB, "/project"),
        "gpus": GpuReport(gpus, None if gpus else "No GPU driver.", None if gpus else "no_driver"),
        "search": Search(environment, ()),
        "factory": load_factory(),
        "model": ModelFacts("Qwen/Qwen2.5-7B-Instruct", False, None, None, "qwen", "known model", True),
        "presets": load_presets(),
        "rows": 1000,
        "python": "/usr/bin/python3",
    }
    return Situation(**{**fields, **changes})
