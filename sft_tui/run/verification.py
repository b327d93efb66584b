"""What the verify stage is asked: a file for the script that runs in the training environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

from sft_tui.project.files import write_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan

SAMPLES = 3


def write_verify_spec(layout: RunLayout, plan: Plan) -> Path:
    """Write `runs/<run>/verify_spec.json`: what to compare, and up to three samples, held-out if there are any."""
    path = layout.run_dir / "verify_spec.json"
    samples, held_out = _samples(layout.project / "data", plan.datasets)
    spec: dict[str, Any] = {
        **plan.verification,
        "samples": samples,
        "held_out": held_out,
        "out": f"runs/{layout.name}/verify.json",
    }
    write_json(path, spec, private=True, follow=False)
    return path


def _samples(data_dir: Path, datasets: Sequence[str]) -> tuple[list[dict[str, Any]], bool]:
    for (suffix, held_out), dataset in product((("test", True), ("train", False)), datasets):
        try:
            with (data_dir / f"{dataset}_{suffix}.jsonl").open(encoding="utf-8") as stream:
                rows = [json.loads(line) for line in islice(stream, SAMPLES)]
        except (OSError, ValueError):
            continue
        if rows:
            return rows, held_out
    return [], False
