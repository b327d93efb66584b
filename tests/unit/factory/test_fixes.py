"""A diagnosis' fix, applied to the options of one run."""

from __future__ import annotations

from typing import Any

import pytest

from sft_tui.factory.fixes import changes_of


@pytest.mark.parametrize(
    ("fix", "options", "changes"),
    [
        (("set", "bf16", False), {"bf16": True}, {"bf16": False}),
        (("set", "bf16", False), {"bf16": False}, {}),
        (("set", "bf16", False), {}, {"bf16": False}),
        (("unset", "flash_attn", None), {"flash_attn": "fa2"}, {"flash_attn": None}),
        (("unset", "flash_attn", None), {}, {}),
        (("env", "NCCL_P2P_DISABLE", "1"), {}, {}),
        (("set", None, 1), {}, {}),
        (("set", "cutoff_len", 1024), {"cutoff_len": 4096}, {"cutoff_len": 1024}),
        (("set", "cutoff_len", 1024), {"cutoff_len": 512}, {"cutoff_len": 256}),
        (("set", "cutoff_len", 1024), {"cutoff_len": 0}, {"cutoff_len": 1024}),
        (("set", "per_device_eval_batch_size", 1), {"per_device_eval_batch_size": 1}, {}),
        (
            ("set", "per_device_train_batch_size", 1),
            {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2},
            {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8},
        ),
        (
            ("set", "per_device_train_batch_size", 2),
            {"per_device_train_batch_size": 3},
            {"per_device_train_batch_size": 2},
        ),
        (("set", "dataloader_num_workers", 1), {"dataloader_num_workers": 0}, {"dataloader_num_workers": 1}),
    ],
)
def test_changes(fix: tuple[str, str | None, Any], options: dict[str, Any], changes: dict[str, Any]) -> None:
    kind, key, value = fix
    assert changes_of({"kind": kind, "key": key, "value": value}, options) == changes
