"""Running recorded events on an allocator, and the passes that need no more than that."""

from __future__ import annotations

from collections.abc import Sequence

from sft_tui.memory.allocator import Allocator, Block
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.simulation import record_head, record_layer
from sft_tui.memory.tape import FREED, Event

Live = dict[int, Block]
"""The blocks of a piece by the numbers of its tensors."""


def replay(allocator: Allocator, events: Sequence[Event], live: Live) -> None:
    """Run `events`; `live` has the blocks that come in and those that stay."""
    allocate, release = allocator.allocate, allocator.release
    for number, size in events:
        if size == FREED:
            release(live.pop(number))
        else:
            live[number] = allocate(size)


def evaluate(allocator: Allocator, shape: Architecture, setup: Setup) -> None:
    """One batch forwards without gradients. Liger makes whole logits then, as they might be asked for
    (`lce_forward`: they are left out only while training).
    """
    width = float(setup.stream_width)
    trained = setup.method in ("full", "freeze")
    layer = record_layer(shape, setup, trained=trained, needs_grad=False, width=width, sparse=shape.experts > 0)
    head = record_head(shape, setup, trained=False, width=width, needs_grad=False)
    x = allocator.allocate(int(setup.tokens * shape.hidden * width))
    cached: list[Block] = []
    for _number in range(min(shape.layers, 2)):
        live = {layer.entry: x}
        replay(allocator, layer.forward, live)
        x = live.pop(layer.exit)
        cached += live.values()
    live = {head.entry: x}
    replay(allocator, head.forward, live)
    for block in cached:
        allocator.release(block)
    logits = live.pop(head.logits)
    if setup.low is not None:
        allocator.release(allocator.allocate(setup.tokens * shape.vocab * 4))
    allocator.release(logits)
