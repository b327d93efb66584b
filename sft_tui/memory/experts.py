"""A mixture of experts as transformers 5 runs it: one grouped product for all experts (`integrations/moe.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sft_tui.memory.operations import Pair
from sft_tui.memory.tape import Tensor

if TYPE_CHECKING:
    from sft_tui.memory.layer import Layer


def mixture(layer: Layer, x: Tensor) -> Tensor:
    """Router, experts and the shared expert of `layer`; lets go of `x`."""
    tape, ops, shape = layer.tape, layer.ops, layer.shape
    shared = None
    if shape.shared_intermediate:
        shared = layer.mlp(tape.hold(x), shape.shared_intermediate)
    weights = _routing(layer, x)
    out = _experts(layer, x, weights)
    tape.drop(weights)
    if shared is not None:
        gate = layer.linear(x, "shared_expert_gate", shape.hidden, 1)
        gated = ops.multiply(shared, gate)
        total = ops.add(out, gated)
        tape.drop(out, gated, shared, gate)
        out = total
    tape.drop(x)
    return out


def _routing(layer: Layer, x: Tensor) -> Tensor:
    """The weights of the chosen experts of each token; Mixtral keeps them in fp32."""
    tape, ops, shape, setup = layer.tape, layer.ops, layer.shape, layer.setup
    weight = tape.leaf(shape.experts * shape.hidden, setup.trainable_width) if layer.trained else None
    logits = ops.product(x, weight, shape.experts, shape.hidden)
    wide = ops.cast(logits, 4)
    chances = ops.activation(wide)
    tape.drop(wide)
    width = 4 if shape.model_type == "mixtral" else logits.width
    chosen = tape.new(setup.tokens * shape.experts_per_token, width, needs_grad=chances.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(chances)
        tape.drop(gradient)
        yield chances, share

    tape.node(chosen, (), backward)
    tape.drop(logits, chances)
    return chosen


def _experts(layer: Layer, x: Tensor, weights: Tensor) -> Tensor:
    """The chosen tokens of all experts, up, gated, down, weighed, put back and summed."""
    tape, ops, shape, setup = layer.tape, layer.ops, layer.shape, layer.setup
    hidden, inner = shape.hidden, shape.expert_intermediate
    rows = float(setup.tokens * shape.experts_per_token)
    up_weight, down_weight = (
        tape.leaf(shape.experts * hidden * size, setup.trainable_width) if layer.trained else None
        for size in (2 * inner, inner)
    )
    chosen = _reordered(layer, x, rows * hidden)
    both = _grouped(layer, chosen, up_weight, 2 * inner, hidden)
    half, other = tape.view(both, rows * inner), tape.view(both, rows * inner)

    def backward_half(gradient: Tensor) -> Iterator[Pair]:
        whole = tape.like(both)
        tape.drop(gradient)
        yield both, whole

    for view in (half, other):
        tape.node(view, (), backward_half)
    acted = ops.activation(half)
    product = ops.multiply(acted, other)
    tape.drop(acted, half, other, both)
    down = _grouped(layer, product, down_weight, hidden, inner)
    tape.drop(product)
    weighed = _weighed(layer, down, weights)
    back = _reordered(layer, weighed, rows * hidden)
    tape.drop(weighed)
    summed = _summed(layer, back)
    out = ops.cast(summed, x.width)
    tape.drop(down, back, chosen, summed)
    return out


def _reordered(layer: Layer, x: Tensor, count: float) -> Tensor:
    """Rows of `x` by index."""
    tape = layer.tape
    out = tape.new(count, x.width, needs_grad=x.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(x)
        tape.drop(gradient)
        yield x, share

    tape.node(out, (), backward)
    return out


def _grouped(layer: Layer, x: Tensor, weight: Tensor | None, outputs: int, inputs: int) -> Tensor:
    """`grouped_mm`: not under autocast, so the input takes the weight's type."""
    tape, ops = layer.tape, layer.ops
    seen = ops.cast(x, 2 if weight is None else weight.width)
    out = tape.new(x.count / inputs * outputs, seen.width, needs_grad=x.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(seen)
        weight_share = None if weight is None else tape.like(weight)
        tape.drop(gradient)
        yield seen, share
        if weight is not None and weight_share is not None:
            yield weight, weight_share

    tape.node(out, () if weight is None else (seen,), backward)
    tape.drop(seen)
    return out


def _weighed(layer: Layer, x: Tensor, weights: Tensor) -> Tensor:
    """`x` times the routing weights, whose gradient needs a product of the full size."""
    tape = layer.tape
    out = tape.new(x.count, max(x.width, weights.width), needs_grad=x.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(out)
        tape.scratch(out.count * out.width)
        weight_share = tape.like(weights)
        tape.drop(gradient)
        if out.width != x.width:
            narrow = tape.like(x)
            tape.drop(share)
            share = narrow
        yield x, share
        yield weights, weight_share

    tape.node(out, (x, weights), backward)
    return out


def _summed(layer: Layer, x: Tensor) -> Tensor:
    """The sum over a token's experts, which autocast makes fp32."""
    tape, setup, shape = layer.tape, layer.setup, layer.shape
    out = tape.new(setup.tokens * shape.hidden, 4 if setup.low else x.width, needs_grad=x.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(x)
        tape.drop(gradient)
        yield x, share

    tape.node(out, (), backward)
    return out
