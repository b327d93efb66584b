"""How far an estimate may be off, and what the user should know about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft_tui.i18n import _
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.optimizer import read_optimizer
from sft_tui.memory.options import flag

USUAL = 0.04
"""No measured row with the usual settings is further off (`make bench`)."""


def expected_error(shape: Architecture, setup: Setup, options: Mapping[str, Any], gpus: int) -> float:
    """The relative error to be expected: the largest that such settings showed, more where nothing was measured."""
    margins = [USUAL]
    if not shape.known:
        margins.append(0.15)
    if shape.experts:
        margins.append(0.06)
    if setup.eager:
        margins.append(0.06 if setup.checkpointing else 0.17)  # equal blocks are chosen by address
    if setup.quantization_bit == 8:
        margins.append(0.12)  # the columns with outliers depend on the weights
    if setup.quantization_bit not in (None, 4, 8) or shape.stored_bits:
        margins.append(0.2)
    if setup.method == "full":
        margins.append(0.05)
    if gpus > 1 or options.get("deepspeed") or options.get("fsdp"):
        margins.append(0.15)
    if read_optimizer(options).kind == "low_rank" or flag(options, "use_badam") or setup.method == "oft":
        margins.append(0.2)
    if flag(options, "use_unsloth") or flag(options, "use_unsloth_gc") or flag(options, "shift_attn"):
        margins.append(0.3)
    return max(margins)


def remarks(shape: Architecture, setup: Setup, options: Mapping[str, Any], gpus: int) -> tuple[str, ...]:
    """Sentences about what is not known, or not measured, or may surprise."""
    found: list[str] = []
    if not shape.known:
        text = _("{name} is not known here: it is taken to be built like Llama, so the estimate is rougher.")
        found.append(text.format(name=shape.model_type))
    if shape.experts and setup.quantization_bit:
        found.append(_("The experts stay in 16 bits: quantizing on loading leaves them as they are."))
    if gpus > 1 or options.get("deepspeed"):
        found.append(_("Training on several cards is computed, not measured."))
    if shape.stored_bits:
        found.append(_("The model comes quantized; how its kernels take memory was not measured."))
    if setup.quantization_bit == 8:
        found.append(_("In 8 bits the need depends on the weights' outliers; 4 bits need less and vary less."))
    if setup.eager and shape.attention_softcap:
        found.append(_("Without FlashAttention 2 this model computes attention step by step, which takes much memory."))
    if flag(options, "use_unsloth") or flag(options, "use_unsloth_gc"):
        found.append(_("What unsloth saves is not counted."))
    if flag(options, "use_cpu"):
        found.append(_("Trained on the processor: this is what a GPU would need; the main memory needs about as much."))
    return tuple(found)
