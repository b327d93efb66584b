"""Self-attention: projections, rotary embedding and the attention kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sft_tui.memory import fused
from sft_tui.memory.operations import Pair
from sft_tui.memory.tape import Backward, Tensor

if TYPE_CHECKING:
    from sft_tui.memory.layer import Layer


def attention(layer: Layer, x: Tensor) -> Tensor:
    """The self-attention of `layer`; lets go of `x`, its own input."""
    tape, shape = layer.tape, layer.shape
    bias = shape.qkv_bias
    if shape.fused_qkv:
        joint = layer.linear(x, "qkv_proj", shape.hidden, shape.query + 2 * shape.key, bias=bias)
        query, key, value = _split(layer, joint)
        tape.drop(joint)
    else:
        late = shape.gemma_norms
        query = _projected(layer, x, "q_proj", shape.query, normed=not late)
        key = _projected(layer, x, "k_proj", shape.key, normed=not late)
        value = layer.linear(x, "v_proj", shape.hidden, shape.key, bias=bias)
        if late:
            query, key = _normed(layer, query), _normed(layer, key)
    turned_query, turned_key = _rotated(layer, query), _rotated(layer, key)
    tape.drop(query, key)
    kernel = _eager if layer.setup.eager else _scaled_dot_product
    mixed = kernel(layer, turned_query, turned_key, value)
    out = layer.linear(mixed, "o_proj", shape.query, shape.hidden, bias=shape.output_bias)
    tape.drop(mixed, turned_query, turned_key, value, x)
    return out


def _projected(layer: Layer, x: Tensor, name: str, outputs: int, *, normed: bool) -> Tensor:
    """A query or key projection, with its norm where the architecture has one.

    Heads and positions are exchanged in the kernels' inputs, so the gradient is copied into the projection's order.
    """
    tape = layer.tape
    out = layer.linear(x, name, layer.shape.hidden, outputs, bias=layer.shape.qkv_bias)
    turned = tape.view(out, out.count)
    if not layer.setup.liger:
        tape.node(turned, (), _copied(layer, out))
    else:
        tape.node(turned, (), lambda gradient: [(out, gradient)])
    tape.drop(out)
    return _normed(layer, turned) if normed else turned


def _normed(layer: Layer, x: Tensor) -> Tensor:
    """`x` through the norm of queries or keys, where there is one; lets go of `x`."""
    if not layer.shape.qk_norm:
        return x
    normed = layer.norm(x, layer.shape.head_dim)
    layer.tape.drop(x)
    return normed


def _split(layer: Layer, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value as views of one tensor; their gradients are put into one again."""
    tape, shape = layer.tape, layer.shape
    tokens = layer.setup.tokens
    views = []
    for width in (shape.query, shape.key, shape.key):
        view = tape.view(joint, tokens * width)
        tape.node(view, (), _copied(layer, joint))
        views.append(view)
    return views[0], views[1], views[2]


def _rotated(layer: Layer, x: Tensor) -> Tensor:
    """Rotary position embedding; cos and sin have the width of the hidden states."""
    tape, ops = layer.tape, layer.ops
    if layer.setup.liger:
        return fused.fused_rotation(ops, x)
    width = max(x.width, layer.setup.stream_width)
    part = layer.shape.rotary_fraction
    turned = tape.view(x, x.count * part) if part != 1 else tape.hold(x)
    if part != 1:
        tape.node(turned, (), _copied(layer, x))
    straight = ops.scaled(turned, width)
    half = _half(layer, turned)
    crossed = ops.scaled(half, width)
    tape.drop(half)
    out = ops.add(straight, crossed)
    tape.drop(straight, crossed)
    if part == 1:
        tape.drop(turned)
        return out
    whole = tape.new(x.count, width, needs_grad=x.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        rest = tape.like(x)
        yield out, tape.hold(gradient)
        tape.drop(gradient)
        yield x, rest

    tape.node(whole, (), backward)
    tape.drop(out, turned)
    return whole


def _copied(layer: Layer, x: Tensor) -> Backward:
    """The way back from a part of `x`, or from `x` in another order: a new tensor of its size."""

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = layer.tape.like(x)
        layer.tape.drop(gradient)
        yield x, share

    return backward


def _half(layer: Layer, x: Tensor) -> Tensor:
    """`rotate_half`: the negated second half before the first."""
    tape = layer.tape
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


def _scaled_dot_product(layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The fused kernel: saves its inputs, its output and a row's log-sum of exponents (fp32).

    Its way back needs an fp32 copy of the queries' gradient and, with grouped heads, keys' and values' for all heads.
    """
    tape, ops, shape = layer.tape, layer.ops, layer.shape
    tokens = layer.setup.tokens
    value_in, key_in, query_in = ops.autocast(value), ops.autocast(key), ops.autocast(query)
    if (layer.setup.masked or layer.setup.windowed) and shape.kv_heads != shape.heads:
        key_in, value_in = _repeated(layer, key_in), _repeated(layer, value_in)
    bias = []
    if layer.setup.windowed:
        bias.append(tape.new(layer.setup.batch * layer.setup.length**2, query_in.width))
    out = tape.new(tokens * shape.query, query_in.width, needs_grad=query_in.needs_grad)
    sums = tape.new(tokens * shape.heads, 4)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        shares = [tape.like(query_in), tape.like(key_in), tape.like(value_in)]
        workspace = tokens * shape.query * 4.0 + tokens * shape.heads * 4.0
        if key_in.count != query_in.count:
            workspace += 2 * tokens * shape.query * 2.0
        tape.scratch(workspace)
        tape.drop(gradient)
        yield from zip((query_in, key_in, value_in), shares, strict=True)

    tape.node(out, (key_in, query_in, value_in, *bias, out, sums), backward)
    tape.drop(query_in, key_in, value_in, sums, *bias)
    return out


def _repeated(layer: Layer, x: Tensor) -> Tensor:
    """Keys or values for all heads (`repeat_kv`), a view where there is one head; lets go of `x`."""
    tape, shape = layer.tape, layer.shape
    count = layer.setup.tokens * shape.query
    out = tape.view(x, count) if shape.kv_heads == 1 else tape.new(count, x.width, needs_grad=x.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(x)
        tape.drop(gradient)
        yield x, share

    tape.node(out, (), backward)
    tape.drop(x)
    return out


def _eager(layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention step by step: the scores of all pairs of positions, several times over, two of them saved."""
    tape, ops, shape, setup = layer.tape, layer.ops, layer.shape, layer.setup
    keys, values = (_repeated(layer, tape.hold(x)) for x in (key, value))
    pairs = float(setup.batch * shape.heads * setup.length * setup.length)
    query_in, keys_in = ops.autocast(query), ops.autocast(keys)
    turned = tape.like(keys_in)
    scores = tape.new(pairs, query_in.width, needs_grad=query_in.needs_grad)

    def backward_scores(gradient: Tensor) -> Iterator[Pair]:
        shares = (tape.like(query_in), tape.like(keys_in))
        tape.drop(gradient)
        yield query_in, shares[0]
        yield keys_in, shares[1]

    tape.node(scores, (query_in, turned), backward_scores)
    tape.drop(query_in, keys_in, turned)
    scores = _replaced(layer, scores, ops.scaled(scores))
    if shape.attention_softcap:
        scores = _replaced(layer, scores, ops.scaled(scores))
        scores = _replaced(layer, scores, ops.bend(scores))
        scores = _replaced(layer, scores, ops.scaled(scores))
    scores = _replaced(layer, scores, ops.passed(scores))
    wide = ops.cast(scores, 4)
    chances = tape.new(pairs, 4, needs_grad=wide.needs_grad)

    def backward_softmax(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(wide)
        tape.scratch(wide.count * 4)
        tape.drop(gradient)
        yield wide, share

    tape.node(chances, (chances,), backward_softmax)
    tape.drop(wide)
    narrow = ops.cast(chances, query.width)
    tape.drop(chances, scores)
    out = _mixed(layer, narrow, values)
    tape.drop(keys, values)
    layer.lingering.append(narrow)
    return out


def _replaced(layer: Layer, old: Tensor, new: Tensor) -> Tensor:
    layer.tape.drop(old)
    return new


def _mixed(layer: Layer, chances: Tensor, values: Tensor) -> Tensor:
    """The values weighed by the scores, brought into the order of the positions."""
    tape, ops = layer.tape, layer.ops
    weighed, values_in = ops.autocast(chances), ops.autocast(values)
    product = tape.new(values.count, weighed.width, needs_grad=weighed.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        shares = (tape.like(weighed), tape.like(values_in))
        tape.drop(gradient)
        yield weighed, shares[0]
        yield values_in, shares[1]

    tape.node(product, (weighed, values_in), backward)
    tape.drop(weighed, values_in)
    out = ops.passed(product)
    tape.drop(product)
    return out
