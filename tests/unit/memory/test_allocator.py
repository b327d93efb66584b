"""The allocator's rules, by what PyTorch's documentation and its source say."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.memory.allocator import MIB, Allocator, Block


def test_segments_have_the_sizes_of_pytorch() -> None:
    for size, reserved in ((1, 2), (MIB, 2), (MIB + 1, 20), (9 * MIB, 20), (10 * MIB, 10), (11 * MIB - 1, 12)):
        allocator = Allocator()
        allocator.allocate(size)
        assert allocator.reserved == reserved * MIB, size


def test_the_smallest_free_block_that_fits_is_cut() -> None:
    allocator = Allocator()
    large, middle = allocator.allocate(100 * MIB), allocator.allocate(50 * MIB)
    allocator.release(large)
    allocator.release(middle)
    kept = allocator.allocate(40 * MIB)
    assert allocator.reserved == 150 * MIB
    allocator.allocate(100 * MIB)
    assert allocator.reserved == 150 * MIB, "the larger block was left whole"
    allocator.allocate(10 * MIB)
    assert allocator.reserved == 150 * MIB, "the rest of the smaller one is used"
    allocator.release(kept)


def test_neighbours_join() -> None:
    allocator = Allocator()
    whole = allocator.allocate(60 * MIB)
    allocator.release(whole)
    parts = [allocator.allocate(20 * MIB) for _number in range(3)]
    for block in (parts[0], parts[2], parts[1]):
        allocator.release(block)
    allocator.allocate(60 * MIB)
    assert allocator.reserved == 60 * MIB


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40 * MIB)), max_size=80))
def test_nothing_is_lost(steps: list[tuple[bool, int]]) -> None:
    allocator = Allocator()
    live: list[Block] = []
    for give_back, size in steps:
        if give_back and live:
            allocator.release(live.pop(size % len(live)))
        else:
            live.append(allocator.allocate(size))
        places = sorted((block.address & ~1, block.size) for block in live)
        for (start, length), (following, _size) in itertools.pairwise(places):
            assert start + length <= following, "live blocks overlap"
        assert allocator.allocated == sum(block.size for block in live) <= allocator.reserved
    for block in live:
        allocator.release(block)
    assert allocator.allocated == 0
    free = sum(key >> 64 for key in allocator._small + allocator._large)
    assert free == allocator.reserved
