"""Liger's fused operations, as they take memory (liger-kernel 0.8: most of their backward passes work in place)."""

from __future__ import annotations

from collections.abc import Iterator

from sft_tui.memory.operations import Operations, Pair
from sft_tui.memory.tape import Tensor


def fused_norm(ops: Operations, x: Tensor, size: int, *, trained: bool, in_place: bool) -> Tensor:
    """RMSNorm: saves its input and a factor a row; the gradient replaces the incoming one, except for Gemma."""
    tape = ops.tape
    out = tape.new(x.count, x.width, needs_grad=x.needs_grad or trained)
    factor = tape.new(x.count / size, 4)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        if in_place and gradient.width == x.width:
            yield x, gradient
            return
        share = tape.like(x)
        tape.drop(gradient)
        yield x, share

    tape.node(out, (x, factor), backward)
    tape.drop(factor)
    return out


def fused_rotation(ops: Operations, x: Tensor) -> Tensor:
    """Rotary embedding in place, both ways."""
    return ops.tape.hold(x)


def fused_gate(ops: Operations, gate: Tensor, up: Tensor) -> Tensor:
    """`silu(gate) * up`: saves both, and writes the gradients over them."""
    tape = ops.tape
    out = tape.new(gate.count, gate.width, needs_grad=gate.needs_grad or up.needs_grad)

    def backward(gradient: Tensor) -> Iterator[Pair]:
        tape.drop(gradient)
        yield gate, tape.hold(gate)
        yield up, tape.hold(up)

    tape.node(out, (gate, up), backward)
    return out


def fused_loss(ops: Operations, x: Tensor, weight: Tensor | None, vocab: int, hidden: int) -> Tensor:
    """Output layer and loss together: the logits of a few rows at a time, and the gradients at once.

    The rows are as many as keep the logits near the size of `x` (`fused_linear_cross_entropy.py`).
    """
    tape = ops.tape
    rows = x.count / hidden
    split = -(-vocab // hidden)
    chunk = min(rows, 1 << max(0, int(-(-rows // split)) - 1).bit_length())
    share = tape.new(x.count, x.width)
    weight_share = tape.new(weight.count, weight.width) if weight is not None else None
    tape.scratch(chunk * vocab * x.width)
    loss = tape.new(1, 4, needs_grad=True)
    saved = (share,) if weight_share is None else (share, weight_share)

    def backward(_gradient: Tensor) -> Iterator[Pair]:
        yield x, tape.hold(share)
        if weight is not None and weight_share is not None:
            yield weight, tape.hold(weight_share)

    tape.node(loss, saved, backward)
    tape.drop(*saved)
    return loss
