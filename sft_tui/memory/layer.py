"""One decoder layer as a sequence of operations, with the adapters and the quantization of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sft_tui.memory.architecture import Architecture
from sft_tui.memory.operations import Operations, Pair
from sft_tui.memory.tape import Tape, Tensor


@dataclass(frozen=True, slots=True)
class Setup:
    """What of a training config decides the memory of a layer. Widths are bytes an element."""

    batch: int
    length: int
    low: int | None = 2
    weight_width: int = 2
    trainable_width: int = 4
    method: str = "lora"
    rank: int = 8
    dropout: float = 0.0
    targets: frozenset[str] | None = None
    dora: bool = False
    quantization_bit: int | None = None
    checkpointing: bool = True
    liger: bool = False
    eager: bool = False
    flash_attention: bool = False
    masked: bool = False
    frozen_layers: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch."""
        return self.batch * self.length


class Layer:
    """Runs one layer of `shape` on a tape. `trained`: its own weights are trained (full, or an unfrozen layer)."""

    def __init__(self, tape: Tape, shape: Architecture, setup: Setup, *, trained: bool) -> None:
        self.tape = tape
        self.shape = shape
        self.setup = setup
        self.trained = trained
        self.ops = Operations(tape, setup.low)

    def run(self, x: Tensor) -> Tensor:
        """The layer's output; `x` stays held by the caller."""
        tape, ops, shape = self.tape, self.ops, self.shape
        seen = self.norm(x, shape.hidden)
        attended = self.attention(seen)
        if shape.norms == 4:
            normed = self.norm(attended, shape.hidden)
            tape.drop(attended)
            attended = normed
        middle = ops.add(x, attended)
        tape.drop(attended)
        seen = self.norm(middle, shape.hidden)
        fed = self.mlp(seen)
        if shape.norms == 4:
            normed = self.norm(fed, shape.hidden)
            tape.drop(fed)
            fed = normed
        out = ops.add(middle, fed)
        tape.drop(fed, middle)
        return out

    def norm(self, x: Tensor, size: int) -> Tensor:
        """A norm of the layer over rows of `size`."""
        weight = self.tape.leaf(size, self.setup.trainable_width) if self.trained else None
        return self.ops.rms_norm(x, weight, size, gemma=self.shape.gemma_norms)

    def attention(self, x: Tensor) -> Tensor:
        """Self-attention; lets go of `x`, its own input."""
        tape, shape = self.tape, self.shape
        query = self.linear(x, "q_proj", shape.hidden, shape.query, bias=shape.qkv_bias)
        key = self.linear(x, "k_proj", shape.hidden, shape.key, bias=shape.qkv_bias)
        value = self.linear(x, "v_proj", shape.hidden, shape.key, bias=shape.qkv_bias)
        turned_query, turned_key = self.rotate(query), self.rotate(key)
        tape.drop(query, key)
        mixed = self.scaled_dot_product(turned_query, turned_key, value)
        out = self.linear(mixed, "o_proj", shape.query, shape.hidden, bias=shape.output_bias)
        tape.drop(mixed, turned_query, turned_key, value, x)
        return out

    def rotate(self, x: Tensor) -> Tensor:
        """Rotary position embedding; cos and sin have the width of the hidden states."""
        tape, ops = self.tape, self.ops
        width = max(x.width, self.stream_width)
        straight = ops.scaled(x, width)
        half = self._half(x)
        crossed = ops.scaled(half, width)
        tape.drop(half)
        out = ops.add(straight, crossed)
        tape.drop(straight, crossed)
        return out

    @property
    def stream_width(self) -> int:
        """Width of the hidden states between layers: that of the embeddings."""
        return self.setup.trainable_width if self.setup.method == "full" else self.setup.weight_width

    def _half(self, x: Tensor) -> Tensor:
        """`rotate_half`: the negated second half before the first."""
        tape = self.tape
        negated = tape.new(x.count / 2, x.width)
        out = tape.new(x.count, x.width, needs_grad=x.needs_grad)
        tape.drop(negated)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            half = tape.new(x.count / 2, x.width)
            first = tape.like(x)
            tape.drop(half)
            second = tape.like(x)
            tape.drop(gradient, second)
            yield x, first

        tape.node(out, (), backward)
        return out

    def scaled_dot_product(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The attention kernel: saves its inputs, its output and a row's log-sum of exponents (fp32)."""
        tape, ops, shape = self.tape, self.ops, self.shape
        tokens = self.setup.tokens
        value_in = ops.autocast(value)
        key_in = ops.autocast(key)
        query_in = ops.autocast(query)
        needs = query.needs_grad
        out = tape.new(tokens * shape.query, query_in.width, needs_grad=needs)
        sums = tape.new(tokens * shape.heads, 4)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            shares = [tape.like(query_in), tape.like(key_in), tape.like(value_in)]
            workspace = tokens * shape.query * 4.0 + tokens * shape.heads * 4.0
            if shape.kv_heads != shape.heads:
                workspace += 2 * tokens * shape.query * 2.0
            tape.scratch(workspace)
            tape.drop(gradient)
            yield from zip((query_in, key_in, value_in), shares, strict=True)

        tape.node(out, (query_in, key_in, value_in, out, sums), backward)
        tape.drop(query_in, key_in, value_in, sums)
        return out

    def mlp(self, x: Tensor) -> Tensor:
        """The gated feed-forward part; lets go of `x`."""
        tape, ops, shape = self.tape, self.ops, self.shape
        gate = self.linear(x, "gate_proj", shape.hidden, shape.intermediate, bias=shape.mlp_bias)
        acted = ops.activation(gate)
        tape.drop(gate)
        up = self.linear(x, "up_proj", shape.hidden, shape.intermediate, bias=shape.mlp_bias)
        product = ops.multiply(acted, up)
        tape.drop(acted, up)
        out = self.linear(product, "down_proj", shape.intermediate, shape.hidden, bias=shape.mlp_bias)
        tape.drop(product, x)
        return out

    def linear(self, x: Tensor, name: str, inputs: int, outputs: int, *, bias: bool = False) -> Tensor:
        """A linear module by its name: trained, or frozen with an adapter where it is a target."""
        tape, ops, setup = self.tape, self.ops, self.setup
        weight = tape.leaf(inputs * outputs, setup.trainable_width) if self.trained else None
        base = ops.product(x, weight, outputs, inputs)
        if setup.method != "lora" or (setup.targets is not None and name not in setup.targets):
            return base
        return self._adapted(x, base, inputs, outputs)

    def _adapted(self, x: Tensor, base: Tensor, inputs: int, outputs: int) -> Tensor:
        """LoRA as peft computes it: `base + B(A(dropout(x as A's type))) * scaling`; lets go of `base`."""
        tape, ops, setup = self.tape, self.ops, self.setup
        down = tape.leaf(setup.rank * inputs, setup.trainable_width)
        up = tape.leaf(setup.rank * outputs, setup.trainable_width)
        wide = ops.cast(x, setup.trainable_width)
        dropped = ops.dropout(wide) if setup.dropout else tape.hold(wide)
        low = ops.product(dropped, down, setup.rank, inputs)
        tape.drop(dropped)
        raised = ops.product(low, up, outputs, setup.rank)
        tape.drop(low)
        scaled = ops.scaled(raised)
        tape.drop(raised)
        out = ops.add(base, scaled)
        tape.drop(scaled, base, wide)
        return out
