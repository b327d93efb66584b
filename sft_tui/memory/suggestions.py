"""What makes a run need less memory, the cheapest loss of quality first, and how a config is made to fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sft_tui.i18n import _
from sft_tui.memory.estimate import Estimate, estimate
from sft_tui.memory.options import flag, number
from sft_tui.memory.sharding import read_sharding

SHORTEST = 256
"""No shorter `cutoff_len` is suggested."""
_LEAST_SAVED = 64 << 20


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One change. `changes` are options to set; `time_factor` says how much longer a step takes (1.0: no change).

    `quality` is what it costs: `none`, `slight` or `some`. `needs` is a package that must be
    there for it.
    """

    kind: str
    changes: dict[str, Any]
    saves_bytes: int
    peak_bytes: int
    time_factor: float
    quality: str
    text: str
    needs: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "kind": self.kind,
            "changes": self.changes,
            "saves_bytes": self.saves_bytes,
            "peak_bytes": self.peak_bytes,
            "time_factor": self.time_factor,
            "quality": self.quality,
            "needs": self.needs,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str
    changes: dict[str, Any]
    time_factor: float
    quality: str
    text: str
    needs: str | None = None


def suggestions(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    limit_bytes: int | None = None,
    *,
    gpus: int = 1,
    lengths: tuple[int, ...] | None = None,
) -> tuple[Suggestion, ...]:
    """Each change that saves memory, alone, cheapest loss of quality first.

    `lengths` are the samples' lengths in tokens, where they are known: then a shorter cutoff says what it truncates.
    `limit_bytes` leaves out the costly ones where a cheaper one is enough.
    """
    longest = max(lengths) if lengths else None
    now = estimate(config, options, gpus=gpus, longest=longest)
    found: list[Suggestion] = []
    enough = False
    for change in _changes(options, lengths, gpus):
        if enough and change.quality != "none":
            break
        after = estimate(config, {**options, **change.changes}, gpus=gpus, longest=longest)
        saved = now.peak_bytes - after.peak_bytes
        if saved < max(now.peak_bytes // 100, _LEAST_SAVED):
            continue
        found.append(
            Suggestion(
                change.kind, change.changes, saved, after.peak_bytes, change.time_factor, change.quality, change.text,
                change.needs,
            )
        )  # fmt: skip
        enough = enough or (limit_bytes is not None and after.upper_bytes <= limit_bytes)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class FittedOptions:
    """`options` as they fit, what was `changes`d, the `estimate` after, and whether it `fits` with its margin."""

    options: dict[str, Any]
    changes: dict[str, Any]
    estimate: Estimate
    fits: bool
    texts: tuple[str, ...]


def fit_options(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    limit_bytes: int,
    *,
    gpus: int = 1,
    packages: Collection[str] = ("liger-kernel", "bitsandbytes", "deepspeed"),
    lengths: tuple[int, ...] | None = None,
) -> FittedOptions:
    """Change `options`, cheapest loss of quality first, until the run fits in `limit_bytes` with its margin.

    The effective batch size stays. Only what `packages` of the training environment allow is changed. Where nothing is
    enough, `fits` is False and the options are those that need least.
    """
    longest = max(lengths) if lengths else None
    current = dict(options)
    changes: dict[str, Any] = {}
    texts: list[str] = []
    found = estimate(config, current, gpus=gpus, longest=longest)
    while found.upper_bytes > limit_bytes:
        step = _next_step(config, current, found, packages, gpus, lengths)
        if step is None:
            break
        change, found = step
        current.update(change.changes)
        changes.update(change.changes)
        texts.append(change.text)
    return FittedOptions(current, changes, found, found.upper_bytes <= limit_bytes, tuple(texts))


def _next_step(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    before: Estimate,
    packages: Collection[str],
    gpus: int,
    lengths: tuple[int, ...] | None,
) -> tuple[_Change, Estimate] | None:
    """The first change that saves at least 1 %."""
    longest = max(lengths) if lengths else None
    for change in _changes(options, lengths, gpus):
        if change.needs is not None and change.needs not in packages:
            continue
        after = estimate(config, {**options, **change.changes}, gpus=gpus, longest=longest)
        if before.peak_bytes - after.peak_bytes >= before.peak_bytes // 100:
            return change, after
    return None


def _changes(options: Mapping[str, Any], lengths: tuple[int, ...] | None, gpus: int) -> Iterator[_Change]:
    """All changes that `options` leave open, the cheapest loss of quality first."""
    yield from _free_changes(options)
    yield from _divided(options, gpus)
    zero3 = read_sharding(options, gpus).stage == 3  # it knows neither bf16 weights nor quantized ones
    method = str(options.get("finetuning_type") or "lora")
    whole = method in ("full", "freeze")
    if whole and str(options.get("optim") or "adamw_torch").startswith("adamw_torch"):
        text = _("keep the optimizer's states in 8 bits")
        yield _Change("optimizer_8bit", {"optim": "adamw_8bit"}, 1.02, "slight", text, "bitsandbytes")
    if whole and not flag(options, "pure_bf16") and not zero3:
        text = _("train the weights in bf16 instead of fp32")
        yield _Change("pure_bf16", {"pure_bf16": True}, 0.9, "slight", text)
    if method == "lora" and not options.get("quantization_bit") and not flag(options, "use_dora") and not zero3:
        changes = {"quantization_bit": 4, "quantization_method": "bnb", "double_quantization": True}
        text = _("load the base model in 4 bits (QLoRA)")
        yield _Change("quantization_4bit", changes, 1.5, "slight", text, "bitsandbytes")
    cutoff = number(options, "cutoff_len", 2048)
    if cutoff // 2 >= SHORTEST:
        text = _("cut samples off at {length} tokens").format(length=cutoff // 2)
        if lengths:
            share = sum(1 for length in lengths if length > cutoff // 2) / len(lengths)
            text = _("cut samples off at {length} tokens: shortens {share:.0%} of them").format(
                length=cutoff // 2, share=share
            )
        yield _Change("shorter_cutoff", {"cutoff_len": cutoff // 2}, 0.6, "some", text)
    if method == "lora" and number(options, "lora_rank", 8) > 8 and not options.get("adapter_name_or_path"):
        rank = number(options, "lora_rank", 8) // 2
        text = _("use an adapter of rank {rank}").format(rank=rank)
        yield _Change("smaller_rank", {"lora_rank": rank, "lora_alpha": rank * 2}, 1.0, "some", text)
    if method == "full":
        text = _("train an adapter (LoRA) instead of all weights")
        yield _Change("lora", {"finetuning_type": "lora", "lora_rank": 16, "lora_target": "all"}, 0.9, "some", text)


def _divided(options: Mapping[str, Any], gpus: int) -> Iterator[_Change]:
    """What DeepSpeed's ZeRO divides among several cards; it changes no result, but takes time for the exchange."""
    if (
        gpus < 2
        or options.get("fsdp")
        or any(flag(options, key) for key in ("use_unsloth", "use_galore", "use_apollo"))
    ):
        return
    sharding = read_sharding(options, gpus)
    if not sharding.stage and str(options.get("finetuning_type") or "lora") in ("full", "freeze"):
        text = _("divide optimizer states and gradients among the cards (ZeRO-2)")
        yield _Change("zero2", {"deepspeed": "zero2"}, 1.05, "none", text, "deepspeed")
    if options.get("quantization_bit") or flag(options, "pure_bf16") or sharding.offload_parameters:
        return
    if sharding.stage < 3:
        text = _("divide the weights too among the cards (ZeRO-3)")
        yield _Change("zero3", {"deepspeed": "zero3"}, 1.3, "none", text, "deepspeed")
    text = _("keep weights and optimizer states in the main memory (ZeRO-3 with offload)")
    yield _Change("zero3_offload", {"deepspeed": "zero3_offload"}, 3.0, "none", text, "deepspeed")


def _free_changes(options: Mapping[str, Any]) -> Iterator[_Change]:
    """What changes no result."""
    if not flag(options, "enable_liger_kernel"):
        text = _("use liger's fused kernels: the loss needs no logits")
        yield _Change("liger", {"enable_liger_kernel": True}, 0.97, "none", text, "liger-kernel")
    if number(options, "per_device_eval_batch_size", 8) > 1 and _evaluates(options):
        text = _("evaluate one sample at a time")
        yield _Change("smaller_eval_batch", {"per_device_eval_batch_size": 1}, 1.02, "none", text)
    if flag(options, "disable_gradient_checkpointing"):
        text = _("compute activations again in the backward pass (gradient checkpointing)")
        yield _Change("checkpointing", {"disable_gradient_checkpointing": False}, 1.35, "none", text)
    batch = number(options, "per_device_train_batch_size", 8)
    if batch > 1:
        steps = number(options, "gradient_accumulation_steps", 1)
        smaller = max(size for size in range(1, batch) if batch % size == 0)
        changes = {"per_device_train_batch_size": smaller, "gradient_accumulation_steps": steps * (batch // smaller)}
        text = _("take {batch} samples at a time and accumulate {steps}: the same effective batch size")
        if smaller == 1:
            text = _("take one sample at a time and accumulate {steps}: the same effective batch size")
        text = text.format(batch=smaller, steps=changes["gradient_accumulation_steps"])
        yield _Change("smaller_batch", changes, 1.15, "none", text)


def _evaluates(options: Mapping[str, Any]) -> bool:
    return str(options.get("eval_strategy") or "no").lower() != "no" or flag(options, "do_eval")
