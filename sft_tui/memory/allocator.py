"""PyTorch's CUDA caching allocator, on paper: which segments a sequence of tensors makes it reserve.

What a card must hold is not the sum of the live tensors but the segments that were ever taken from the driver, because
freed blocks are kept, cut up and only partly used again. The rules are those of `c10/cuda/CUDACachingAllocator.cpp`
(PyTorch 2.x, one stream, default settings): sizes round up to 512 bytes; requests of at most 1 MiB share segments of
2 MiB; below 10 MiB a segment is 20 MiB, above that the request rounded up to 2 MiB; the smallest free block that fits
is taken, the lowest address among equals; it is split if more than 512 bytes (small) or more than 1 MiB (large) remain;
neighbouring free blocks join.
"""

from __future__ import annotations

from bisect import bisect_left, insort

MIB = 2**20
SMALL_LIMIT = MIB
_SMALL_SEGMENT = 2 * MIB
_MEDIUM_LIMIT = 10 * MIB
_MEDIUM_SEGMENT = 20 * MIB
_LARGE_ROUND = 2 * MIB
_SEGMENT_STEP = 1 << 44
_KEY = 1 << 64
"""A free block's place in its pool is `size * _KEY + address`: ordered by size, then by address."""


class Block:
    """A piece of a segment. `previous` and `next` are its neighbours in the segment."""

    __slots__ = ("address", "free", "next", "previous", "size")

    def __init__(self, address: int, size: int, previous: Block | None, following: Block | None) -> None:
        self.address = address
        self.size = size
        self.previous = previous
        self.next = following
        self.free = False


class Allocator:
    """The state of one device's allocator. Sizes are bytes.

    `reserved` only grows; `allocated` is the sum of the live blocks and `peak_allocated` its largest value.
    """

    __slots__ = ("_blocks", "_large", "_next_address", "_small", "allocated", "peak_allocated", "reserved")

    def __init__(self) -> None:
        self.allocated = 0
        self.peak_allocated = 0
        self.reserved = 0
        self._next_address = _SEGMENT_STEP
        self._small: list[int] = []
        self._large: list[int] = []
        self._blocks: dict[int, Block] = {}

    def allocate(self, size: int) -> Block:
        """A live block of at least `size` bytes."""
        size = (size + 511) & ~511 if size > 0 else 512
        small = size <= SMALL_LIMIT
        pool = self._small if small else self._large
        place = bisect_left(pool, size * _KEY)
        if place < len(pool):
            block = self._blocks.pop(pool.pop(place))
            block.free = False
        else:
            block = self._new_segment(size, small)
        rest = block.size - size
        if (rest >= 512) if small else (rest > SMALL_LIMIT):
            after = block.next
            tail = Block(block.address + size, rest, block, after)
            if after is not None:
                after.previous = tail
            block.next = tail
            block.size = size
            tail.free = True
            key = rest * _KEY + tail.address
            self._blocks[key] = tail
            insort(pool, key)
        self.allocated += block.size
        if self.allocated > self.peak_allocated:
            self.peak_allocated = self.allocated
        return block

    def release(self, block: Block) -> None:
        """Give `block` back to the cache, joined with its free neighbours."""
        self.allocated -= block.size
        pool = self._small if block.address & 1 else self._large
        before, after = block.previous, block.next
        if before is not None and before.free:
            self._take(before, pool)
            block.address, block.previous = before.address, before.previous
            block.size += before.size
            if before.previous is not None:
                before.previous.next = block
        if after is not None and after.free:
            self._take(after, pool)
            block.size += after.size
            block.next = after.next
            if after.next is not None:
                after.next.previous = block
        block.free = True
        key = block.size * _KEY + block.address
        self._blocks[key] = block
        insort(pool, key)

    def _take(self, block: Block, pool: list[int]) -> None:
        key = block.size * _KEY + block.address
        del self._blocks[key]
        del pool[bisect_left(pool, key)]

    def _new_segment(self, size: int, small: bool) -> Block:
        """A segment of the driver's. Those of small blocks start at odd addresses, which tells the pools apart."""
        if small:
            taken = _SMALL_SEGMENT
        elif size < _MEDIUM_LIMIT:
            taken = _MEDIUM_SEGMENT
        else:
            taken = -(-size // _LARGE_ROUND) * _LARGE_ROUND
        self.reserved += taken
        self._next_address += _SEGMENT_STEP
        return Block(self._next_address | small, taken, None, None)
