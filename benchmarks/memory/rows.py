"""The measured rows with the config and the options that each was run with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CALIBRATION = HERE / "calibration_h100.jsonl"
MEASURED = HERE / "measured_h100.jsonl"
_NOT_OPTIONS = {"model", "dataset", "layers", "set", "cap_gib", "train_s", "steps", "s_per_step", "error"}


@dataclass(frozen=True, slots=True)
class Row:
    """One run: what it was, and the peaks that were seen, in bytes. `peak_nvml` is the card's used memory."""

    name: str
    config: dict[str, Any]
    options: dict[str, Any]
    peak_allocated: int
    peak_reserved: int
    peak_nvml: int
    steps_s: float | None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, with the architecture from `architectures.json` (cut to `layers` where the run was)."""
    architectures: dict[str, dict[str, Any]] = json.loads((HERE / "architectures.json").read_text("utf-8"))
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        config = dict(architectures[row["model"]])
        if row.get("layers"):
            config["num_hidden_layers"] = row["layers"]
        options = {k: v for k, v in row.items() if k not in _NOT_OPTIONS and not k.startswith("peak_")}
        options.setdefault("bf16", True)
        shown = [row["model"], *(f"{k}={v}" for k, v in options.items() if k not in ("bf16", "max_steps"))]
        yield Row(
            " ".join(shown), config, options, row["peak_allocated"], row["peak_reserved"], row["peak_nvml"],
            row.get("s_per_step"),
        )  # fmt: skip
