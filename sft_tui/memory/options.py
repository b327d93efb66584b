"""LLaMA-Factory's training options, read for what they mean in memory. Absent ones have LLaMA-Factory's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sft_tui.i18n import _
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Setup
from sft_tui.problems import refuse

_TRUE = {"true", "yes", "on", "1"}


def flag(options: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """A yes-or-no option; texts are read as YAML reads them."""
    value = options.get(key, default)
    if isinstance(value, str):
        return value.lower() in _TRUE
    return default if value is None else bool(value)


def number(options: Mapping[str, Any], key: str, default: int) -> int:
    """A whole number; what is none counts as the default (another check reports it)."""
    value = options.get(key)
    try:
        return default if value is None else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return default


_POSITIVE = (
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "cutoff_len",
    "lora_rank", "freeze_trainable_layers", "galore_rank",
)  # fmt: skip
_POSSIBLE: dict[str, tuple[Any, ...]] = {
    "quantization_bit": (2, 3, 4, 5, 6, 8),
    "finetuning_type": ("lora", "oft", "freeze", "full"),
}


def require_estimable(options: Mapping[str, Any], where: str = "") -> None:
    """Refuse values that no run could have; `where` precedes a key in the document. Raises `Refusal` (exit 2)."""
    for key in _POSITIVE:
        value = options.get(key)
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        signed = key == "freeze_trainable_layers"
        if value is not None and not (whole and 1 <= (abs(value) if signed else value) <= 10**7):
            message = _("{key} is {value}, not a positive whole number.").format(key=key, value=value)
            raise refuse("bad_value", message, key=where + key)
    for key, possible in _POSSIBLE.items():
        value = options.get(key)
        if value is not None and value not in possible:
            message = _("{key} is {value}; possible are: {values}.")
            text = message.format(key=key, value=value, values=", ".join(map(str, possible)))
            raise refuse("bad_value", text, key=where + key)
    dropout = options.get("lora_dropout")
    if dropout is not None and (isinstance(dropout, bool) or not isinstance(dropout, int | float)):
        raise refuse(
            "bad_value",
            _("{key} is {value}, not a number.").format(key="lora_dropout", value=dropout),
            key=where + "lora_dropout",
        )


def read_evaluation(options: Mapping[str, Any], setup: Setup) -> Setup | None:
    """The batches of an evaluation during the training, or None where there is none."""
    strategy = str(options.get("eval_strategy") or "no").lower()
    if strategy == "no" and not flag(options, "do_eval"):
        return None
    batch = max(1, number(options, "per_device_eval_batch_size", 8))
    return replace(setup, batch=batch, liger=False, checkpointing=False, dropout=0.0, masked=False)


def read_setup(options: Mapping[str, Any], shape: Architecture, *, longest: int | None = None) -> Setup:
    """What the layers see of `options`. `longest` is the longest sample in tokens, where it is known.

    Raises `Refusal` for values that no run could have.
    """
    require_estimable(options)
    method = str(options.get("finetuning_type") or "lora")
    pure = flag(options, "pure_bf16")
    half = flag(options, "bf16") or flag(options, "fp16")
    packing = flag(options, "packing") or flag(options, "neat_packing")
    length = max(1, number(options, "cutoff_len", 2048))
    if longest is not None and not packing:
        length = max(1, min(length, longest))
    length = -(-length // 8) * 8
    attention = str(options.get("flash_attn") or "auto")
    targets = str(options.get("lora_target") or "all")
    bits = options.get("quantization_bit")
    return Setup(
        batch=max(1, number(options, "per_device_train_batch_size", 8)),
        length=length,
        low=2 if half else None,
        weight_width=2,
        trainable_width=2 if pure else 4,
        method=method,
        rank=max(1, number(options, "lora_rank", 8)),
        dropout=float(options.get("lora_dropout") or 0.0),
        targets=None if targets == "all" else frozenset(part.strip() for part in targets.split(",")),
        dora=flag(options, "use_dora"),
        double_quantization=flag(options, "double_quantization", default=True),
        quantization_bit=shape.stored_bits if bits is None else number(options, "quantization_bit", 4),
        checkpointing=not flag(options, "disable_gradient_checkpointing"),
        liger=flag(options, "enable_liger_kernel"),
        eager=attention == "disabled" or (shape.attention_softcap and attention in ("auto", "disabled")),
        masked=flag(options, "neat_packing") and attention != "fa2",
        packed=packing,
        windowed=shape.sliding_window is not None and length >= shape.sliding_window and attention in ("auto", "sdpa"),
        frozen_layers=0
        if method != "freeze"
        else max(0, shape.layers - abs(number(options, "freeze_trainable_layers", 2))),
    )
