"""The estimates against real runs of LLaMA-Factory on an H100, as NVML saw them."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from benchmarks.memory.rows import CALIBRATION, MEASURED, Row, read_rows
from sft_tui.memory import estimate

CALIBRATION_ROWS = list(read_rows(CALIBRATION))
FURTHER_ROWS = list(read_rows(MEASURED))


def error(row: Row) -> float:
    """Relative error of the estimate of a row."""
    return estimate(row.config, row.options).peak_bytes / row.peak_nvml - 1


def test_the_calibration_rows_are_met() -> None:
    errors = [error(row) for row in CALIBRATION_ROWS]
    assert len(errors) == 29
    assert statistics.fmean(map(abs, errors)) <= 0.015
    assert max(map(abs, errors)) <= 0.05


@pytest.mark.parametrize("row", CALIBRATION_ROWS + FURTHER_ROWS, ids=lambda row: row.name.replace(" ", ","))
def test_no_row_is_further_off_than_its_margin_says(row: Row) -> None:
    found = estimate(row.config, row.options)
    assert found.lower_bytes <= row.peak_nvml <= found.upper_bytes
    assert sum(found.parts.values()) == found.peak_bytes
    assert all(size > 0 for size in found.parts.values())


def test_what_torch_had_allocated_is_met_too() -> None:
    errors = [
        abs(estimate(row.config, row.options).allocated_bytes - row.peak_allocated - 1247 * 2**20) / row.peak_nvml
        for row in CALIBRATION_ROWS
        if row.options.get("quantization_bit") != 8
    ]
    assert max(errors) <= 0.02


FAMILIES: dict[str, Callable[[Row], bool]] = {
    "gemma": lambda row: row.config["model_type"].startswith("gemma") and "disable_gradient" not in row.name,
    "experts": lambda row: "moe" in row.config["model_type"] or row.config["model_type"] == "mixtral",
    "phi and glm": lambda row: row.config["model_type"] in ("phi3", "glm4"),
    "optimizers": lambda row: "optim" in row.options,
    "adapters": lambda row: bool(row.options.get("use_dora") or row.options.get("lora_dropout")),
    "liger": lambda row: bool(row.options.get("enable_liger_kernel")),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_that_the_calibration_lacks_are_met(family: str) -> None:
    rows = [row for row in FURTHER_ROWS if FAMILIES[family](row)]
    assert rows and statistics.fmean(abs(error(row)) for row in rows) <= 0.02
