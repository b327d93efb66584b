"""What earlier trainings needed: which of them comes nearest, and how they differ from the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft_tui.factory.deepspeed import ZERO, zero_name, zero_path
from sft_tui.plan.peaks import Peak, append_peak, find_peak, mattering, peak_text, peaks_file, read_peaks


def _peak(run: str, options: dict[str, Any], **fields: Any) -> Peak:
    return Peak(run=run, model="./m", measured_bytes=5 << 30, options=mattering(options), **fields)


def test_the_nearest_is_found_and_among_equals_the_newest(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    first, second = _peak("a", {"cutoff_len": 512}), _peak("b", {"cutoff_len": 512})
    for peak in (first, second, _peak("c", {"cutoff_len": 512, "quantization_bit": 4})):
        append_peak(tmp_path, peak)
    with peaks_file(tmp_path).open("a") as stream:
        stream.write('half a li\n[]\n{"run": "x"}\n')
    found = find_peak(read_peaks(tmp_path), "./M", {"cutoff_len": 1024})
    assert found is not None and found.peak == second and found.differs == {"cutoff_len": (512, 1024)}
    assert find_peak(read_peaks(tmp_path), "./m", {}, gpus=2) is None


@pytest.mark.parametrize("name", ZERO)
def test_two_runs_with_the_same_zero_do_not_differ(name: str) -> None:
    peak = _peak("a", {"deepspeed": zero_path("a", name)}, gpus=2)
    for same in (zero_path("b", name), name):
        found = find_peak([peak], "./m", {"deepspeed": same}, gpus=2)
        assert found is not None and not found.differs
    other = find_peak([peak], "./m", {"deepspeed": "my/ds.json"}, gpus=2)
    assert other is not None and other.differs == {"deepspeed": (name, "my/ds.json")}


def test_only_the_files_of_plans_have_a_name() -> None:
    assert zero_name("zero3") == "zero3" and zero_name("configs/r/ds_zero2_offload.json") == "zero2_offload"
    others: tuple[object, ...] = (
        None,
        {},
        "configs/ds_zero3.json",
        "my/r/ds_zero3.json",
        "configs/r/ds_zero9.json",
        "",
    )
    for value in others:
        assert zero_name(value) is None


def test_what_was_not_set_is_not_called_none() -> None:
    found = find_peak([_peak("a", {"bf16": True})], "./m", {"quantization_bit": 4})
    assert found is not None
    text = peak_text(found)
    assert "quantization_bit: -" in text and "bf16: true" in text and "None" not in text
