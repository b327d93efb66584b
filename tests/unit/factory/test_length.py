"""Rows and steps of a training, against what LLaMA-Factory 0.9.5 said of the demo's 288 rows."""

from __future__ import annotations

from typing import Any

import pytest

from sft_tui.factory.length import every_steps, optimizer_steps, packed_sequences, trained_rows

OPTIONS: dict[str, Any] = {
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 1,
    "val_size": 0.1,
}


@pytest.mark.parametrize(
    ("changes", "rows", "steps"),
    [
        ({}, 259, 33),
        ({"num_train_epochs": 1.5, "gradient_accumulation_steps": 3}, 259, 17),
        ({"max_samples": 100}, 90, 12),
        ({"dataloader_drop_last": True}, 259, 32),
        ({"val_size": 2.5}, 286, 36),
        ({"val_size": 1}, 287, 36),
        ({"num_train_epochs": 2.3, "gradient_accumulation_steps": 5}, 259, 17),
        ({"max_steps": 7}, 259, 7),
        ({"per_device_train_batch_size": "four"}, 259, None),
        ({"num_train_epochs": -1}, 259, None),
    ],
)
def test_what_llamafactory_said(changes: dict[str, Any], rows: int, steps: int | None) -> None:
    options = {**OPTIONS, **changes}
    assert (trained_rows(options, 288), optimizer_steps(options, rows)) == (rows, steps)


def test_several_processes_share_the_rows() -> None:
    assert [optimizer_steps(OPTIONS, 259, processes) for processes in (1, 2, 3)] == [33, 17, 11]


def test_packing_is_near_what_llamafactory_packs() -> None:
    """Lengths of the demo's samples; 81 and 91 sequences were packed of 259 and 288 rows."""
    lengths = [40] * 36 + [60] * 70 + [72] * 80 + [85] * 70 + [100] * 32
    options = {**OPTIONS, "packing": True, "cutoff_len": 256, "preprocessing_num_workers": 2}
    assert packed_sequences(options, 259, lengths) == pytest.approx(81, rel=0.1)
    assert packed_sequences(options, 288, lengths) == pytest.approx(91, rel=0.1)
    assert packed_sequences({"cutoff_len": 8}, 10, [5000]) == 10


def test_a_share_of_the_steps() -> None:
    """As transformers logged, evaluated and saved a training of 33 steps."""
    options = {"eval_steps": 0.2, "save_steps": 0.5, "logging_steps": 0.05}
    assert [every_steps(options, key, 500, 33) for key in options] == [7, 17, 2]
    assert every_steps({}, "save_steps", 500, 33) == 500
