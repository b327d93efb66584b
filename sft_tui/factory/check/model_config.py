"""Values in a model's config.json on which transformers fails, or trains nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sft_tui.i18n import _

_WHOLE = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
    "max_position_embeddings", "head_dim", "num_experts", "num_local_experts", "num_experts_per_tok",
)  # fmt: skip
_NUMBERS = ("rms_norm_eps", "layer_norm_eps", "initializer_range", "attention_dropout", "rope_theta")
# What transformers calls activations, kinds of layers and of position scaling (activations.py, configuration_utils.py,
# modeling_rope_utils.py of 5.x).
_ACTIVATIONS = frozenset((
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh", "gelu_pytorch_tanh",
    "hardswish", "laplace", "leaky_relu", "linear", "mish", "prelu", "quick_gelu", "relu", "relu2", "relu6", "sigmoid",
    "silu", "swish", "tanh", "xielu",
))  # fmt: skip
_ROPE_FACTOR = {
    "linear": "factor",
    "dynamic": "factor",
    "yarn": "factor",
    "llama3": "factor",
    "longrope": "long_factor",
}
_ROPE_KINDS = frozenset((*_ROPE_FACTOR, "default", "proportional", "mrope", "su"))
# Architectures of transformers itself that read the values above as the plainest ones do.
_PLAIN = frozenset(("gemma", "gemma2", "gemma3_text", "llama", "mistral", "phi3", "qwen2", "qwen3"))


def config_faults(kind: str, config: dict[str, Any]) -> Iterator[str]:
    """A sentence for each value of the language model's `config` that cannot be; `kind` is its model_type."""
    for key in (*_WHOLE, *_NUMBERS):
        value = config.get(key)
        if isinstance(value, str):
            text = _("config.json of the model has `{key}` as a text ({value}), not as a number.")
            yield text.format(key=key, value=f'"{value}"')
    if kind not in _PLAIN:
        return
    name = config.get("hidden_act")
    if isinstance(name, str) and name not in _ACTIVATIONS:
        yield _("config.json of the model has hidden_act `{name}`, which transformers does not know.").format(name=name)
    pad, rows = config.get("pad_token_id"), config.get("vocab_size")
    if isinstance(pad, int) and isinstance(rows, int) and pad >= rows:
        text = _("config.json of the model has pad_token_id {pad}, beyond the {rows} rows of its embedding.")
        yield text.format(pad=pad, rows=rows)
    heads, groups = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(groups, int) and groups > 0 and heads % groups:
        text = _("config.json of the model has {heads} attention heads, which {groups} key-value heads cannot share.")
        yield text.format(heads=heads, groups=groups)
    yield from _rope(config)
    types = config.get("layer_types")
    other = next((t for t in types if not str(t).endswith("attention")), None) if isinstance(types, list) else None
    if other is not None:
        text = _("config.json of the model has a layer type `{name}`, which transformers does not know.")
        yield text.format(name=other)


def _rope(config: dict[str, Any]) -> Iterator[str]:
    section = config.get("rope_scaling") or config.get("rope_parameters")
    if not isinstance(section, dict) or any(isinstance(value, dict) for value in section.values()):
        return
    kind = section.get("rope_type", section.get("type", "default"))
    if kind not in _ROPE_KINDS:
        yield _("config.json of the model has rope scaling `{kind}`, which transformers does not know.").format(
            kind=kind
        )
    elif (needed := _ROPE_FACTOR.get(kind)) and needed not in section:
        yield _("config.json of the model has rope scaling `{kind}` without a `{key}`.").format(kind=kind, key=needed)


def missing_code(directory: Path, config: dict[str, Any]) -> str | None:
    """The first file of Python code that the model's config names and that is not there."""
    names = config.get("auto_map")
    for name in names.values() if isinstance(names, dict) else ():
        for one in name if isinstance(name, list) else [name]:
            if isinstance(one, str) and "--" not in one and "." in one:
                file = one.rpartition(".")[0] + ".py"
                if not (directory / file).is_file():
                    return file
    return None
