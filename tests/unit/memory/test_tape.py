"""The shape-level autograd: what is freed when."""

from __future__ import annotations

from sft_tui.memory.operations import Operations
from sft_tui.memory.tape import FREED, Tape


def sizes(tape: Tape, start: int = 0) -> list[str]:
    """Events as `+bytes` and `-bytes`."""
    known = {number: size for number, size in tape.events if size != FREED}
    return [f"-{known[number]}" if size == FREED else f"+{size}" for number, size in tape.events[start:]]


def test_without_gradients_nothing_is_kept() -> None:
    tape = Tape(grad=False)
    ops = Operations(tape)
    x = tape.external(10, 2, needs_grad=True)
    wide = ops.cast(x, 4)
    out = ops.activation(wide)
    tape.drop(wide)
    tape.drop(out)
    assert sizes(tape) == ["+40", "+40", "-40", "-40"] and not tape.nodes


def test_saved_tensors_live_until_their_node_ran() -> None:
    tape = Tape()
    ops = Operations(tape)
    x = tape.external(10, 4, needs_grad=True)
    a = ops.scaled(x)
    out = ops.activation(a)
    tape.drop(a)
    start = len(tape.events)
    gradient = tape.external(10, 4)
    result = tape.run_backward(out, gradient, x)
    assert result is not None
    freed = [number for number, size in tape.events[start:] if size == FREED]
    assert freed[:2] == [gradient.number, a.number], "the gradient that came goes first, then what was saved"
    live = {number for number, size in tape.events if size != FREED} - {n for n, size in tape.events if size == FREED}
    assert live == {out.number, result.number}


def test_a_second_gradient_is_added_in_place() -> None:
    tape = Tape()
    ops = Operations(tape)
    x = tape.external(10, 4, needs_grad=True)
    total = ops.add(ops.scaled(x), ops.scaled(x))
    made = len([1 for _number, size in tape.events if size != FREED])
    tape.run_backward(total, tape.external(10, 4), x)
    backward = len([1 for _number, size in tape.events if size != FREED]) - made
    assert backward == 2, "two products, no sum"


def test_a_trained_weight_gets_one_gradient() -> None:
    tape = Tape()
    ops = Operations(tape, low=2)
    weight = tape.leaf(100, 4)
    x = tape.external(50, 2, needs_grad=True)
    out = ops.product(x, weight, 10, 10)
    ops.end_autocast()
    tape.run_backward(out, tape.external(50, 2), x)
    (gradient,) = tape.leaf_gradients.values()
    assert (gradient.count, gradient.width) == (100, 4)
