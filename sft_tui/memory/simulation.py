"""The parts of a model, recorded once as events: a decoder layer, and the head with the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sft_tui.memory import fused
from sft_tui.memory.allocator import MIB, SMALL_LIMIT
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Layer, Setup
from sft_tui.memory.operations import Operations, Pair
from sft_tui.memory.tape import FREED, Event, Tape, Tensor

CUBLAS_WORKSPACE = 32 * MIB
"""cuBLAS' workspace on Hopper, one for the forward and one for the backward thread (8 MiB on older cards)."""


@dataclass(slots=True)
class Piece:
    """A part of the model, recorded: its events forwards and backwards, and where values enter and leave.

    `kept` and `kept_backward` are the events without short-lived tensors. `cached` are the copies of weights that
    autocast holds to the end of the forward pass, `leaf_gradients` the gradients of trained weights, `leaves` the
    sizes of these weights. `workspace` is the number of cuBLAS' workspace, which only the first backward pass takes,
    `varying` are the tensors whose size is another in each layer. `small_kept` is what it leaves in small tensors
    after the forward pass, `small_peak` the most that it needs.
    """

    forward: list[Event]
    backward: list[Event]
    entry: int
    exit: int
    gradient_in: int
    gradient_out: int | None
    cached: list[int]
    leaf_gradients: list[int]
    leaves: list[int]
    leaf_width: float
    small_peak: int = 0
    small_kept: int = 0
    logits: int = 0
    entry_freed: bool = False
    workspace: int = 0
    varying: frozenset[int] = frozenset()
    kept: list[Event] = field(default_factory=list)
    kept_backward: list[Event] = field(default_factory=list)


def record_layer(
    shape: Architecture, setup: Setup, *, trained: bool, needs_grad: bool, width: float, sparse: bool = False
) -> Piece:
    """Record a layer: with checkpointing its backward pass begins with running it again."""
    again = setup.checkpointing and needs_grad
    tape = Tape(grad=needs_grad and not again)
    layer = Layer(tape, shape, setup, trained=trained, sparse=sparse)
    x = tape.external(setup.tokens * shape.hidden, width, needs_grad=needs_grad)
    out = layer.run(x)
    cached = [tensor.number for tensor in layer.ops.cached.values()]
    if not again:
        layer.ops.end_autocast()
        cached = []
        tape.drop(x)
    cut = len(tape.events)
    result: Tensor | None = None
    start = out
    tape.workspace_bytes = CUBLAS_WORKSPACE
    if again:
        tape.grad = True
        tape.leaves.clear()
        layer = Layer(tape, shape, setup, trained=trained, sparse=sparse)
        start = layer.run(x)
        layer.ops.end_autocast()
    gradient = tape.external(start.count, start.width)
    if needs_grad:
        if again:
            tape.hold(gradient)
        result = tape.run_backward(start, gradient, x)
        if again:
            tape.drop(start, x, gradient)
    return _piece(tape, cut, x, out, gradient, result, cached, setup)


def _piece(
    tape: Tape,
    cut: int,
    x: Tensor,
    out: Tensor,
    gradient: Tensor,
    result: Tensor | None,
    cached: list[int],
    setup: Setup,
    logits: Tensor | None = None,
) -> Piece:
    sizes = {number: size for number, size in tape.events if size != FREED}
    passed_on = {out.number, 0 if result is None else result.number, 0 if logits is None else logits.number}
    small = {number for number, size in sizes.items() if size <= SMALL_LIMIT} - passed_on
    live = peak = kept = 0
    for place, (number, size) in enumerate(tape.events):
        if number in small:
            live += sizes[number] if size != FREED else -sizes[number]
            peak = max(peak, live)
        if place == cut - 1:
            kept = live
    large = [event for event in tape.events[:cut] if event[0] not in small]
    freed = {number for number, size in large if size == FREED}
    backward = [event for event in tape.events[cut:] if event[0] not in small]
    return Piece(
        forward=large,
        backward=backward,
        kept_backward=_without_passing(backward),
        entry=x.number,
        exit=out.number,
        gradient_in=gradient.number,
        gradient_out=None if result is None else result.number,
        cached=[number for number in cached if number not in small],
        leaf_gradients=[t.number for t in tape.leaf_gradients.values() if t.number not in small],
        leaves=[int(leaf.count * leaf.width) for leaf in tape.leaves],
        leaf_width=setup.trainable_width,
        entry_freed=x.number in freed,
        workspace=tape.workspace,
        varying=frozenset(tape.varying),
        logits=0 if logits is None else logits.number,
        small_peak=peak,
        small_kept=kept,
        kept=_without_passing(large),
    )


def _without_passing(events: list[Event]) -> list[Event]:
    """`events` without the tensors that are both made and freed in them."""
    made = {number for number, size in events if size != FREED}
    freed = {number for number, size in events if size == FREED}
    passing = made & freed
    return [event for event in events if event[0] not in passing]


def record_head(shape: Architecture, setup: Setup, *, trained: bool, width: float, needs_grad: bool = True) -> Piece:
    """Record final norm, output layer and loss; the weight of the output layer is trained in full fine-tuning.

    The logits outlive the forward pass: accelerate's copy of them in fp32 comes after it.
    """
    tape = Tape(grad=needs_grad)
    ops = Operations(tape, setup.low)
    x = tape.external(setup.tokens * shape.hidden, width, needs_grad=needs_grad)
    norm_weight = tape.leaf(shape.hidden, setup.trainable_width) if trained else None
    if setup.liger:
        normed = fused.fused_norm(ops, x, shape.hidden, trained=trained, in_place=not shape.gemma_norms)
    else:
        normed = ops.rms_norm(x, norm_weight, shape.hidden, gemma=shape.gemma_norms)
    tape.drop(x)
    weight = tape.leaf(shape.vocab * shape.hidden, setup.trainable_width) if trained else None
    logits: Tensor | None = None
    if setup.liger:
        loss = fused.fused_loss(ops, normed, weight, shape.vocab, shape.hidden)
    else:
        logits = _capped(ops, ops.product(normed, weight, shape.vocab, shape.hidden), shape)
        loss = _loss(tape, ops, logits)
    tape.drop(normed)
    cached = [tensor.number for tensor in ops.cached.values()]
    ops.end_autocast()
    cut = len(tape.events)
    gradient = tape.external(1, 4)
    tape.workspace_bytes = CUBLAS_WORKSPACE
    result = tape.run_backward(loss, gradient, x) if needs_grad else None
    return _piece(tape, cut, x, loss, gradient, result, cached, setup, logits)


def _capped(ops: Operations, logits: Tensor, shape: Architecture) -> Tensor:
    """Gemma 2's `tanh(logits / cap) * cap`."""
    if not shape.logits_softcap:
        return logits
    divided = ops.scaled(logits)
    ops.tape.drop(logits)
    bent = ops.bend(divided)
    ops.tape.drop(divided)
    out = ops.scaled(bent)
    ops.tape.drop(bent)
    return out


def _loss(tape: Tape, ops: Operations, logits: Tensor) -> Tensor:
    """`ForCausalLMLoss`: the logits in fp32, their logarithms, and as many gradients."""
    wide = ops.cast(logits, 4)
    logarithms = tape.new(logits.count, 4, needs_grad=wide.needs_grad)

    def backward_softmax(gradient: Tensor) -> Iterator[Pair]:
        share = tape.like(wide)
        tape.drop(gradient)
        yield wide, share

    tape.node(logarithms, (logarithms,), backward_softmax)
    loss = tape.new(1, 4, needs_grad=logarithms.needs_grad)

    def backward_loss(gradient: Tensor) -> Iterator[Pair]:
        yield logarithms, tape.like(logarithms)

    tape.node(loss, (logarithms,), backward_loss)
    tape.drop(logarithms, wide)
    return loss
