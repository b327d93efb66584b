"""What a run writes to the disk: checkpoints, the adapter, the merged model. Arithmetic over shapes and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft_tui.factory.length import every_steps
from sft_tui.memory.architecture import Architecture, read_architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.optimizer import read_optimizer
from sft_tui.memory.options import flag, number, read_setup
from sft_tui.memory.weights import count_parameters, embedding_weights, layer_weights

EXTRAS_BYTES = 20 << 20
"""Tokenizer, configs, logs and plots beside the weights: the tokenizers of large vocabularies have 7-17 MB."""


def adapter_parameters(shape: Architecture, setup: Setup) -> int:
    """Parameters of the LoRA adapter: two matrices a target, and DoRA's magnitudes."""
    total = 0
    for index in range(shape.layers):
        for weight in layer_weights(shape, index):
            if weight.linear and (setup.targets is None or weight.name in setup.targets):
                total += setup.rank * (weight.inputs + weight.outputs) + (weight.outputs if setup.dora else 0)
    return total


def trained_parameters(shape: Architecture, setup: Setup) -> int:
    """Parameters that the run trains."""
    if setup.method == "full":
        return count_parameters(shape)
    if setup.method == "freeze":
        return sum(w.count for index in range(setup.frozen_layers, shape.layers) for w in layer_weights(shape, index))
    return adapter_parameters(shape, setup)


def checkpoint_bytes(shape: Architecture, setup: Setup, options: Mapping[str, Any]) -> int:
    """One checkpoint: the adapter (fp32) or the whole model (16 bits), and the optimizer's states unless left out."""
    trained = trained_parameters(shape, setup)
    whole = setup.method in ("full", "freeze")
    weights = count_parameters(shape) * 2 if whole else trained * setup.trainable_width
    if flag(options, "save_only_model"):
        return weights + EXTRAS_BYTES
    optimizer = read_optimizer(options)
    embeddings = sum(w.count for w in embedding_weights(shape)) if setup.method == "full" else 0
    states = sum(optimizer.states(trained - embeddings, setup.trainable_width))
    states += sum(optimizer.states(embeddings, setup.trainable_width, embedding=True)) if embeddings else 0
    return weights + states + EXTRAS_BYTES


def saved_bytes(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of one `checkpoint` and of the `result`. Raises as `read_architecture` and `read_setup` do."""
    shape = read_architecture(config)
    setup = read_setup(options, shape)
    whole = setup.method in ("full", "freeze")
    weights = count_parameters(shape) * 2 if whole else trained_parameters(shape, setup) * setup.trainable_width
    return {"checkpoint": checkpoint_bytes(shape, setup, options), "result": weights + EXTRAS_BYTES}


def disk_needs(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    export: bool = True,
    steps: int | None = None,
    download: bool = False,
) -> dict[str, int]:
    """Bytes that a run adds to the disk, part by part: `checkpoints`, `result`, `merged`, `download`.

    `steps` bounds the number of checkpoints (`save_steps`), as `save_total_limit` does; without either two are counted.
    A new checkpoint is complete before the oldest goes, so one more than the limit is there at times. `merged` is the
    exported model in 16 bits, `download` the base model where it is not on the disk yet.
    """
    one = saved_bytes(config, options)
    needs = {"checkpoints": one["checkpoint"] * _checkpoint_count(options, steps), "result": one["result"]}
    shape = read_architecture(config)
    if export and read_setup(options, shape).method not in ("full", "freeze"):
        needs["merged"] = count_parameters(shape) * 2 + EXTRAS_BYTES
    if download:
        needs["download"] = count_parameters(shape) * shape.dtype_bytes + EXTRAS_BYTES
    return {name: size for name, size in needs.items() if size}


def _checkpoint_count(options: Mapping[str, Any], steps: int | None) -> int:
    if str(options.get("save_strategy") or "steps") == "no":
        return 0
    made = None if steps is None else max(1, -(-steps // every_steps(options, "save_steps", 500, steps)))
    limit = options.get("save_total_limit")
    kept = None if limit is None else number(options, "save_total_limit", 1) + 1
    counts = [count for count in (made, kept) if count is not None]
    return min(counts) if counts else 2
