"""A model's shape, read from its `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sft_tui.i18n import _
from sft_tui.problems import Refusal, refuse


@dataclass(frozen=True, slots=True)
class Architecture:
    """What of a decoder-only language model decides its memory. Sizes are elements, not bytes.

    `known`: its layers are laid out here as the library has them; otherwise they are taken to be Llama's.
    `stored_bits`: the checkpoint itself is quantized (AWQ, GPTQ, FP8, ...). `norms` counts the norms
    of a layer outside attention; `gemma_norms` are computed in fp32 to the end.
    """

    model_type: str
    known: bool
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    fused_qkv: bool = False
    fused_gate_up: bool = False
    gated_mlp: bool = True
    norms: int = 2
    gemma_norms: bool = False
    scaled_embeddings: bool = False
    rotary_fraction: float = 1.0
    attention_softcap: bool = False
    logits_softcap: bool = False
    sliding_window: int | None = None
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    shared_intermediate: int = 0
    dense_layers: int = 0
    dtype_bytes: int = 2
    stored_bits: int | None = None

    @property
    def query(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of all key heads together."""
        return self.kv_heads * self.head_dim


_LLAMA_LIKE = {
    "llama", "mistral", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe", "mixtral", "gemma", "gemma2", "gemma3_text", "phi3",
    "glm", "glm4", "internlm2", "internlm3", "baichuan", "chatglm", "yi", "olmo2", "granite", "smollm3", "seed_oss",
    "ministral", "hunyuan_v1_dense", "ernie4_5", "exaone4",
}  # fmt: skip
_GUESSED = {"chatglm", "olmo2", "granite", "hunyuan_v1_dense", "ernie4_5", "exaone4", "seed_oss", "smollm3"}
_OTHER_KINDS = {
    "bert", "roberta", "xlm-roberta", "distilbert", "deberta", "deberta-v2", "albert", "electra", "modernbert", "clip",
    "vit", "whisper", "wav2vec2", "t5", "mt5", "bart", "mbart", "marian", "pegasus", "siglip", "dinov2", "unet",
    "autoencoder_kl", "stable_diffusion",
}  # fmt: skip
_LARGEST = 1 << 40
_MOST = {"hidden": 1 << 17, "layers": 1 << 10, "vocab": 1 << 23, "intermediate": 1 << 19, "heads": 1 << 12}


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture in `config`, the content of a `config.json`.

    Other names of a key are understood (`n_layer`, `ffn_hidden_size`, ...); a multimodal model's `text_config` is used.
    Raises `Refusal` where it is no decoder-only language model, lacks a needed key or holds an absurd value.
    """
    if isinstance(config.get("text_config"), Mapping) and "hidden_size" not in config:
        text = dict(config["text_config"])
        text.setdefault("tie_word_embeddings", config.get("tie_word_embeddings", False))
        text.setdefault("model_type", config.get("model_type"))
        text.setdefault("torch_dtype", config.get("torch_dtype") or config.get("dtype"))
        config = text
    kind = str(config.get("model_type") or "").lower()
    if config.get("_class_name") or "_diffusers_version" in config:
        raise _not_a_language_model(str(config.get("_class_name", "diffusers")))
    if kind in _OTHER_KINDS or config.get("is_encoder_decoder"):
        raise _not_a_language_model(kind)
    read = _Reader(config)
    hidden = read.size("hidden", "hidden_size", "n_embd", "d_model", "dim")
    layers = read.size("layers", "num_hidden_layers", "num_layers", "n_layer", "n_layers")
    heads = read.size("heads", "num_attention_heads", "n_head", "n_heads")
    vocab = read.size("vocab", "vocab_size", "padded_vocab_size")
    kv_heads = read.optional("num_key_value_heads", "multi_query_group_num", "num_kv_heads") or heads
    intermediate = read.optional("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim") or 4 * hidden
    head_dim = read.optional("head_dim", "kv_channels") or hidden // heads
    too_large = max(hidden / _MOST["hidden"], layers / _MOST["layers"], vocab / _MOST["vocab"]) > 1
    if too_large or kv_heads > heads or head_dim < 1:
        raise refuse("absurd_config", _("The sizes in config.json cannot be those of a language model."))
    moe = _experts(config, read, layers)
    return Architecture(
        model_type=kind or "?",
        known=kind in _LLAMA_LIKE and kind not in _GUESSED,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        vocab=vocab,
        tied=bool(config.get("tie_word_embeddings", kind in ("gemma", "gemma2", "gemma3_text"))),
        dtype_bytes=4 if "32" in str(config.get("torch_dtype") or config.get("dtype") or "") else 2,
        stored_bits=_stored_bits(config),
        **_layout(kind, config, read),
        **moe,
    )


def _layout(kind: str, config: Mapping[str, Any], read: _Reader) -> dict[str, Any]:
    """How the layers of this kind differ from Llama's (transformers 5, `models/*/modeling_*.py`)."""
    bias = bool(config.get("attention_bias", config.get("add_qkv_bias", False)))
    gemma = kind.startswith("gemma")
    rotary = read.share("partial_rotary_factor")
    window = config.get("sliding_window", 4096 if kind == "mistral" else None)
    if not config.get("use_sliding_window", True) or isinstance(window, bool) or not isinstance(window, int):
        window = None
    layout: dict[str, Any] = {
        "qkv_bias": (kind in ("qwen2", "qwen2_moe") and config.get("qkv_bias", True)) or bias,
        "output_bias": bias and kind in ("llama", "gemma", "gemma2", "gemma3_text", "mistral", "qwen3"),
        "mlp_bias": bool(config.get("mlp_bias", False)),
        "qk_norm": kind in ("qwen3", "qwen3_moe", "gemma3_text", "olmo2"),
        "fused_qkv": kind in ("phi3", "baichuan", "internlm2", "chatglm"),
        "fused_gate_up": kind in ("phi3", "glm", "glm4", "chatglm"),
        "norms": 4 if kind in ("gemma2", "gemma3_text", "glm4") else 2,
        "gemma_norms": gemma,
        "scaled_embeddings": gemma,
        "rotary_fraction": rotary if rotary is not None else 0.5 if kind in ("glm", "glm4") else 1.0,
        "attention_softcap": kind == "gemma2",
        "logits_softcap": kind == "gemma2" and config.get("final_logit_softcapping", 30.0) is not None,
        "sliding_window": window or None,
    }
    return layout


def _stored_bits(config: Mapping[str, Any]) -> int | None:
    """Bits of the linear weights where the checkpoint is quantized; None where it is not."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        return None
    if found.get("load_in_4bit") or found.get("quant_method") == "mxfp4":
        return 4
    if found.get("load_in_8bit") or found.get("quant_method") in ("fp8", "fbgemm_fp8"):
        return 8
    bits = found.get("bits") or found.get("w_bit")
    return bits if isinstance(bits, int) and bits in (2, 3, 4, 8) else None


def _experts(config: Mapping[str, Any], read: _Reader, layers: int) -> dict[str, Any]:
    """The mixture of experts, if it is one."""
    count = read.optional("num_local_experts", "num_experts", "n_routed_experts")
    if not count:
        return {}
    step = read.optional("decoder_sparse_step") or 1
    only = config.get("mlp_only_layers")
    dense = len(only) if isinstance(only, list) and only else read.optional("first_k_dense_replace") or 0
    return {
        "experts": count,
        "experts_per_token": read.optional("num_experts_per_tok", "moe_topk", "num_selected_experts") or 2,
        "expert_intermediate": read.optional("moe_intermediate_size") or read.optional("intermediate_size") or 0,
        "shared_intermediate": read.optional("shared_expert_intermediate_size") or 0,
        "dense_layers": min(layers, dense + layers - layers // step if step > 1 else dense),
    }


class _Reader:
    """Positive whole numbers of a config under several names."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def size(self, what: str, *names: str) -> int:
        """The first of `names` that is there; `Refusal` where none is."""
        value = self.optional(*names)
        if value is None:
            message = _("config.json has no {key}: it is not that of a language model.").format(key=names[0])
            raise refuse("config_key_missing", message, key=names[0])
        return value

    def optional(self, *names: str) -> int | None:
        """The first of `names` that is there, or None; `Refusal` where it is no positive whole number."""
        for name in names:
            value = self._config.get(name)
            if value is None:
                continue
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or value % 1 != 0
                or not 0 <= value < _LARGEST
            ):
                message = _("{key} in config.json is {value}, not a positive whole number.").format(
                    key=name, value=value
                )
                raise refuse("bad_config_value", message, key=name)
            if value > 0:
                return int(value)
        return None

    def share(self, name: str) -> float | None:
        """A share above 0 and up to 1, or None; `Refusal` where it is something else."""
        value = self._config.get(name)
        if not value:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            message = _("{key} in config.json is {value}, not a share of 1.").format(key=name, value=value)
            raise refuse("bad_config_value", message, key=name)
        return float(value)


def _not_a_language_model(kind: str) -> Refusal:
    message = _("This is a {kind} model, not a language model that can be fine-tuned here.").format(kind=kind)
    return refuse("not_a_language_model", message, hint=_("Choose a decoder-only model (Qwen, Llama, Mistral, ...)."))
