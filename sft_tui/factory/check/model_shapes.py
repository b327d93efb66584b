"""Whether config.json belongs to the weight files beside it: shapes of tensors against the numbers of the config."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from sft_tui.i18n import _

# Architectures whose layers are built as the plainest ones are; in others the same names mean other shapes.
_PLAIN = frozenset(("gemma", "gemma2", "llama", "mistral", "qwen2", "qwen3"))
_SPLIT_HEADS = frozenset(("llama", "mistral", "qwen2"))  # without a head_dim the heads share the hidden size
_LAYER = re.compile(r"^(.*?\blayers\.|.*?\bh\.)(\d+)\.(.+)$")
_MIN_LAYERS = 3
_BEGINNINGS = ("model.", "language_model.", "lm_head.", "embed_tokens.", "layers.", "norm.")

Shapes = dict[str, tuple[int, ...]]


def misfits(config: dict[str, Any], text_config: dict[str, Any], tensors: Shapes) -> Iterator[tuple[str, str]]:
    """`("error" or "warning", sentence)` of each way in which the weights do not belong to the config."""
    for what, wanted, found in _numbers(str(config.get("model_type", "")), text_config, tensors):
        text = _("config.json says {what} {wanted}, but the weights have {found}: they belong to another model.")
        yield "error", text.format(what=what, wanted=wanted, found=found)
        return
    kind = str(text_config.get("model_type", ""))
    if kind in _PLAIN and tensors and not any(name.startswith(_BEGINNINGS) for name in tensors):
        text = _("The weights have names of another tool ({name}); the model would start from random numbers.")
        yield "error", text.format(name=next(iter(tensors)))
        return
    stray = next((name for name in tensors if name.endswith("q_proj.bias")), None)
    if stray and kind in ("llama", "mistral", "qwen3") and not text_config.get("attention_bias"):
        text = _(
            "The weights have {name}, which a model of type `{kind}` does not read: is config.json another model's?"
        )
        yield "warning", text.format(name=stray, kind=kind)
    yield from _layers(text_config, tensors)


def _numbers(kind: str, config: dict[str, Any], tensors: Shapes) -> Iterator[tuple[str, Any, int]]:
    """`(option of the config, its value, what the tensors say)` where the two differ."""
    rows: dict[str, int] = {}
    for name, shape in tensors.items():
        if len(shape) != 2:
            continue
        if name.endswith("embed_tokens.weight"):
            rows["vocab_size"], rows["hidden_size"] = shape
        elif kind in _PLAIN and ".layers.0." in name:
            leaf = name.split(".")[-2]
            if leaf == "gate_proj":
                rows["intermediate_size"] = shape[0]
            elif leaf in ("q_proj", "k_proj"):
                heads = _integer(config, "num_attention_heads")
                size = _integer(config, "head_dim")
                if not size and heads and kind in _SPLIT_HEADS:
                    size = _integer(config, "hidden_size") // heads
                key = "num_attention_heads" if leaf == "q_proj" else "num_key_value_heads"
                if size and shape[0] % size == 0:
                    rows[key] = shape[0] // size
                elif size:
                    rows["num_attention_heads"] = shape[0]
    for key, found in rows.items():
        wanted = config.get(key)
        if isinstance(wanted, int) and wanted != found:
            yield key, wanted, found


def _integer(config: dict[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _layers(config: dict[str, Any], tensors: Shapes) -> Iterator[tuple[str, str]]:
    """Layers that are missing, too many, or incomplete; what is missing starts from random numbers."""
    parts: dict[int, set[str]] = defaultdict(set)
    for name in tensors:
        match = _LAYER.match(name)
        if match and "vision" not in match.group(1) and "visual" not in match.group(1):
            parts[int(match.group(2))].add(match.group(3))
    wanted = _integer(config, "num_hidden_layers")
    types = config.get("layer_types")
    if isinstance(types, list) and wanted and len(types) != wanted:
        text = _("config.json has {count} layer_types for {wanted} layers.")
        yield "error", text.format(count=len(types), wanted=wanted)
    if not parts or not wanted:
        return
    found = max(parts) + 1
    if found < wanted:
        text = _("The weights have {found} layers, config.json asks for {wanted}: the others would be random numbers.")
        yield "error", text.format(found=found, wanted=wanted)
    elif len(parts) == found >= _MIN_LAYERS:
        usual = Counter(frozenset(names) for names in parts.values()).most_common(1)[0][0]
        for number, names in sorted(parts.items()):
            if names < usual and sum(other == usual for other in parts.values()) == len(parts) - 1:
                text = _("Layer {number} of the weights lacks {name}, which would be random numbers.")
                yield "warning", text.format(number=number, name=sorted(usual - names)[0])
