"""DeepSpeed's ZeRO by a short name: `deepspeed: zero3` instead of the path of a JSON file.

The values are those of LLaMA-Factory's examples (`ds_z2_config.json` and the like), of which "auto" follows the
training options.
"""

from __future__ import annotations

import json
from typing import Any

_COMMON: dict[str, Any] = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "zero_allow_untested_optimizer": True,
    "fp16": {
        "enabled": "auto",
        "loss_scale": 0,
        "loss_scale_window": 1000,
        "initial_scale_power": 16,
        "hysteresis": 2,
        "min_loss_scale": 1,
    },
    "bf16": {"enabled": "auto"},
}
_STAGE_2: dict[str, Any] = {
    "stage": 2,
    "allgather_partitions": True,
    "allgather_bucket_size": 5e8,
    "overlap_comm": False,
    "reduce_scatter": True,
    "reduce_bucket_size": 5e8,
    "contiguous_gradients": True,
    "round_robin_gradients": True,
}
_STAGE_3: dict[str, Any] = {
    "stage": 3,
    "overlap_comm": False,
    "contiguous_gradients": True,
    "sub_group_size": 1e9,
    "reduce_bucket_size": "auto",
    "stage3_prefetch_bucket_size": "auto",
    "stage3_param_persistence_threshold": "auto",
    "stage3_max_live_parameters": 1e9,
    "stage3_max_reuse_distance": 1e9,
    "stage3_gather_16bit_weights_on_model_save": True,
}
_TO_CPU = {"device": "cpu", "pin_memory": True}
ZERO: dict[str, dict[str, Any]] = {
    "zero2": _STAGE_2,
    "zero2_offload": {**_STAGE_2, "offload_optimizer": _TO_CPU},
    "zero3": _STAGE_3,
    "zero3_offload": {**_STAGE_3, "offload_optimizer": _TO_CPU, "offload_param": _TO_CPU},
}
"""What each name stands for, under `zero_optimization`."""


def zero_path(run: str, name: str) -> str:
    """Where the configuration that `name` stands for is written, relative to the project."""
    return f"configs/{run}/ds_{name}.json"


def zero_name(value: object) -> str | None:
    """The name of `ZERO` that `value` of `deepspeed` is, or that its path in any run stands for."""
    for name in ZERO:
        parts = value.split("/") if isinstance(value, str) else []
        if value == name or (len(parts) == 3 and value == zero_path(parts[1], name)):
            return name
    return None


def zero_config(run: str, value: object) -> dict[str, Any] | None:
    """The configuration where `value` of `deepspeed` is a name of `ZERO`, or the path that it has in the run `run`."""
    for name, zero in ZERO.items():
        if value in (name, zero_path(run, name)):
            return {**_COMMON, "zero_optimization": zero}
    return None


def render_zero_config(config: dict[str, Any]) -> str:
    """The text of the JSON file."""
    return json.dumps(config, indent=2) + "\n"
