"""A model's own tensors: how many, how large, and how large when quantized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sft_tui.memory.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of `count` elements. `linear`: a matrix that LoRA adapts and bitsandbytes quantizes."""

    name: str
    inputs: int
    outputs: int
    copies: int = 1
    linear: bool = True

    @property
    def count(self) -> int:
        """Number of elements."""
        return self.inputs * self.outputs * self.copies


def layer_weights(shape: Architecture, index: int | None = None) -> Iterator[Weight]:
    """The tensors of layer `index` (None: of an ordinary one), in the order of their names, as they are loaded."""
    hidden, query, key = shape.hidden, shape.query, shape.key
    yield Weight("input_layernorm", hidden, 1, linear=False)
    if shape.experts and (index is None or index >= shape.dense_layers):
        inner = shape.expert_intermediate
        yield Weight("experts.down_proj", inner, hidden, shape.experts, linear=False)
        yield Weight("experts.gate_up_proj", hidden, 2 * inner, shape.experts, linear=False)
        yield Weight("router", hidden, shape.experts, linear=False)
        if shape.shared_intermediate:
            yield from _mlp(shape, shape.shared_intermediate)
            yield Weight("shared_expert_gate", hidden, 1)
    else:
        yield from _mlp(shape, shape.intermediate)
    for number in range(1, shape.norms):
        yield Weight(f"norm{number}", hidden, 1, linear=False)
    if shape.fused_qkv:
        yield Weight("o_proj", query, hidden)
        yield Weight("qkv_proj", hidden, query + 2 * key)
    else:
        yield Weight("k_proj", hidden, key)
        yield Weight("o_proj", query, hidden)
        yield Weight("q_proj", hidden, query)
        yield Weight("v_proj", hidden, key)
    if shape.qkv_bias:
        yield Weight("bias", query + 2 * key, 1, linear=False)
    if shape.output_bias:
        yield Weight("o_bias", hidden, 1, linear=False)
    if shape.qk_norm:
        yield Weight("qk_norm", shape.head_dim, 2, linear=False)


def _mlp(shape: Architecture, inner: int) -> Iterator[Weight]:
    yield Weight("down_proj", inner, shape.hidden)
    if shape.fused_gate_up:
        yield Weight("gate_up_proj", shape.hidden, 2 * inner)
    else:
        if shape.gated_mlp:
            yield Weight("gate_proj", shape.hidden, inner)
        yield Weight("up_proj", shape.hidden, inner)


def embedding_weights(shape: Architecture) -> Iterator[Weight]:
    """Output layer (unless tied), embeddings and final norm, in the order in which they are loaded."""
    if not shape.tied:
        yield Weight("lm_head", shape.hidden, shape.vocab, linear=False)
    yield Weight("embed_tokens", shape.hidden, shape.vocab, linear=False)


def count_parameters(shape: Architecture) -> int:
    """All parameters of the model."""
    total = sum(weight.count for weight in embedding_weights(shape)) + shape.hidden
    return total + sum(weight.count for index in range(shape.layers) for weight in layer_weights(shape, index))


def count_active_parameters(shape: Architecture) -> int:
    """Parameters that a token passes: of the experts only those that it is sent to; without the embeddings."""
    total = count_parameters(shape) - (0 if shape.tied else shape.hidden * shape.vocab)
    if shape.experts:
        unused = (shape.experts - shape.experts_per_token) * 3 * shape.hidden * shape.expert_intermediate
        total -= unused * (shape.layers - shape.dense_layers)
    return total


def quantized_bytes(weight: Weight, bits: int | None, *, double: bool = True) -> list[int]:
    """The tensors that bitsandbytes makes of a linear `weight`, in bytes.

    4 bits: half a byte an element, a scale for each 64 (one byte with double quantization, whose own scales are fp32
    for each 256, otherwise fp32). 8 bits: a byte an element and an fp32 scale a row.
    """
    if bits is None or not weight.linear:
        return [weight.count * 2]
    if bits == 8:
        return [weight.count, weight.outputs * 4]
    scales = -(-weight.count // 64)
    return [weight.count // 2, scales + -(-scales // 256) * 4 if double else scales * 4]
