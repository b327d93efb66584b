"""One decoder layer as a sequence of operations, with the adapters and the quantization of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sft_tui.memory import attention as attend
from sft_tui.memory import experts, fused, int8
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.operations import Operations, Pair
from sft_tui.memory.tape import Tape, Tensor


@dataclass(frozen=True, slots=True)
class Setup:
    """What of a training config decides the memory of a layer. Widths are bytes an element.

    `low` is the width of the autocast type (None: no autocast). `weight_width` is that of frozen weights,
    `trainable_width` that of adapters and trained weights. `masked`: an attention mask is passed (neat packing), so
    keys and values are repeated for all heads. `windowed`: one is made, because samples are longer than the window.
    `packed`: several samples lie in one row. `frozen_layers` of the first layers are not trained (freeze).
    """

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
    double_quantization: bool = True
    checkpointing: bool = True
    liger: bool = False
    eager: bool = False
    masked: bool = False
    windowed: bool = False
    packed: bool = False
    frozen_layers: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch."""
        return self.batch * self.length

    @property
    def stream_width(self) -> int:
        """Width of the hidden states between layers: that of the embeddings."""
        return self.trainable_width if self.method == "full" else self.weight_width


class Layer:
    """Runs one layer of `shape` on a tape. `trained`: its own weights are trained (full, or an unfrozen layer).

    `sparse`: it has experts. `lingering` are tensors that a local variable holds until the layer is done.
    """

    def __init__(self, tape: Tape, shape: Architecture, setup: Setup, *, trained: bool, sparse: bool = False) -> None:
        self.tape = tape
        self.shape = shape
        self.setup = setup
        self.trained = trained
        self.sparse = sparse
        self.ops = Operations(tape, setup.low)
        self.lingering: list[Tensor] = []

    def run(self, x: Tensor) -> Tensor:
        """The layer's output; `x` stays held by the caller."""
        tape, ops, shape = self.tape, self.ops, self.shape
        attended = attend.attention(self, self.norm(x, shape.hidden))
        if shape.norms == 4:
            attended = self._normed(attended)
        middle = ops.add(x, attended)
        tape.drop(attended)
        seen = self.norm(middle, shape.hidden)
        fed = experts.mixture(self, seen) if self.sparse else self.mlp(seen, shape.intermediate)
        if shape.norms == 4:
            fed = self._normed(fed)
        out = ops.add(middle, fed)
        tape.drop(fed, middle, *self.lingering)
        return out

    def _normed(self, x: Tensor) -> Tensor:
        normed = self.norm(x, self.shape.hidden)
        self.tape.drop(x)
        return normed

    def norm(self, x: Tensor, size: int) -> Tensor:
        """A norm of the layer over rows of `size`."""
        weight = self.tape.leaf(size, self.setup.trainable_width) if self.trained else None
        if self.setup.liger:
            return fused.fused_norm(self.ops, x, size, trained=self.trained, in_place=not self.shape.gemma_norms)
        return self.ops.rms_norm(x, weight, size, gemma=self.shape.gemma_norms)

    def mlp(self, x: Tensor, inner: int) -> Tensor:
        """The gated feed-forward part; lets go of `x`."""
        tape, ops, shape = self.tape, self.ops, self.shape
        bias = shape.mlp_bias
        if shape.fused_gate_up:
            both = self.linear(x, "gate_up_proj", shape.hidden, 2 * inner, bias=bias)
            product = fused_halves(self, both)
            tape.drop(both)
        else:
            gate = self.linear(x, "gate_proj", shape.hidden, inner, bias=bias)
            if self.setup.liger:
                up = self.linear(x, "up_proj", shape.hidden, inner, bias=bias)
                product = fused.fused_gate(ops, gate, up)
                tape.drop(gate, up)
            else:
                acted = ops.activation(gate)
                tape.drop(gate)
                up = self.linear(x, "up_proj", shape.hidden, inner, bias=bias)
                product = ops.multiply(acted, up)
                tape.drop(acted, up)
        out = self.linear(product, "down_proj", inner, shape.hidden, bias=bias)
        tape.drop(product, x)
        return out

    def linear(self, x: Tensor, name: str, inputs: int, outputs: int, *, bias: bool = False) -> Tensor:
        """A linear module by its name: trained, or frozen with an adapter where it is a target."""
        tape, ops, setup, shape = self.tape, self.ops, self.setup, self.shape
        adapted = setup.method == "lora" and (setup.targets is None or name in setup.targets)
        if setup.quantization_bit == 4:
            base = ops.product_4bit(x, outputs, inputs)
        elif setup.quantization_bit == 8:
            columns = int8.outlier_columns(shape.hidden, inputs, setup.tokens) if name == "down_proj" else 0.0
            base = ops.product_8bit(x, outputs, inputs, columns)
        else:
            weight = tape.leaf(inputs * outputs, setup.trainable_width) if self.trained else None
            base = ops.product(x, weight, outputs, inputs, bias=self.trained and bias)
            if self.trained and bias:
                tape.leaf(outputs, setup.trainable_width)
        if not adapted:
            return base
        if setup.quantization_bit == 4:
            clone = ops.passed(base)
            tape.drop(base)
            base = clone
        if setup.dora:
            return self._decomposed(x, base, inputs, outputs, bias=bias)
        return self._adapted(x, base, inputs, outputs)

    def _adapted(self, x: Tensor, base: Tensor, inputs: int, outputs: int) -> Tensor:
        """LoRA as peft computes it: `base + B(A(dropout(x as A's type))) * scaling`; lets go of `base`.

        On quantized layers peft leaves the input as it is under autocast.
        """
        tape, ops, setup = self.tape, self.ops, self.setup
        wide = tape.hold(x) if setup.quantization_bit and setup.low else ops.cast(x, setup.trainable_width)
        raised = self._low_rank(wide, inputs, outputs)
        scaled = ops.scaled(raised)
        tape.drop(raised)
        total = ops.add(base, scaled)
        tape.drop(scaled, base)
        out = ops.cast(total, base.width)
        tape.drop(total, wide)
        return out

    def _low_rank(self, x: Tensor, inputs: int, outputs: int) -> Tensor:
        """`B(A(dropout(x)))`, with new adapter matrices."""
        tape, ops, setup = self.tape, self.ops, self.setup
        down = tape.leaf(setup.rank * inputs, setup.trainable_width)
        up = tape.leaf(setup.rank * outputs, setup.trainable_width)
        dropped = ops.dropout(x) if setup.dropout else tape.hold(x)
        low = ops.product(dropped, down, setup.rank, inputs)
        tape.drop(dropped)
        raised = ops.product(low, up, outputs, setup.rank)
        tape.drop(low)
        return raised

    def _decomposed(self, x: Tensor, base: Tensor, inputs: int, outputs: int, *, bias: bool) -> Tensor:
        """DoRA as peft computes it: the whole adapted weight and its norm are made anew each time."""
        tape, ops, setup = self.tape, self.ops, self.setup
        wide = ops.cast(x, setup.trainable_width)
        tape.leaf(outputs, setup.trainable_width)
        if setup.dropout:
            dropped = ops.dropout(wide)
            tape.drop(wide)
            wide = dropped
        identity = tape.new(inputs * inputs, wide.width)
        narrow = ops.autocast(identity)
        if not tape.grad:
            tape.drop(narrow)
        product = tape.new(inputs * outputs, narrow.width)
        weight = tape.new(inputs * outputs, wide.width)
        tape.scratch(inputs * outputs * narrow.width, inputs * outputs * wide.width)
        down = tape.leaf(setup.rank * inputs, setup.trainable_width)
        up = tape.leaf(setup.rank * outputs, setup.trainable_width)
        low = ops.product(wide, down, setup.rank, inputs)
        raised = ops.product(low, up, outputs, setup.rank)
        tape.drop(low)
        if setup.dropout:
            plain = ops.product(wide, None, outputs, inputs)
        else:
            plain = ops.passed(base) if bias else tape.hold(base)
        first = self._magnified(plain)
        second = self._magnified(raised)
        third = ops.scaled(second)
        tape.drop(second)
        both = ops.add(first, third)
        tape.drop(first, third, plain, identity, product, weight, raised)
        if tape.grad:
            tape.drop(narrow)
        total = ops.add(base, both)
        tape.drop(both, base)
        out = ops.cast(total, base.width)
        tape.drop(total, wide)
        return out

    def _magnified(self, x: Tensor) -> Tensor:
        """`x` times DoRA's magnitude, a trained fp32 row: saves `x` for the magnitude's gradient."""
        tape = self.tape
        out = tape.new(x.count, max(4, x.width), needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            share = tape.new(x.count, out.width)
            tape.scratch(x.count * out.width)
            tape.drop(gradient)
            if x.width != out.width:
                narrow = tape.like(x)
                tape.drop(share)
                share = narrow
            yield x, share

        tape.node(out, (x,), backward)
        return out


def fused_halves(layer: Layer, both: Tensor) -> Tensor:
    """`silu(first half) * second half` of one tensor: the halves are views of it, their gradients are put together."""
    tape, ops = layer.tape, layer.ops
    inner = both.count / 2
    gate, up = tape.view(both, inner), tape.view(both, inner)

    def backward_gate(gradient: Tensor) -> Iterator[Pair]:
        whole = tape.like(both)
        tape.drop(gradient)
        yield both, whole

    for half in (up, gate):
        tape.node(half, (), backward_gate)
    if layer.setup.liger:
        product = fused.fused_gate(ops, gate, up)
    else:
        acted = ops.activation(gate)
        product = ops.multiply(up, acted)
        tape.drop(acted)
    tape.drop(gate, up)
    return product
