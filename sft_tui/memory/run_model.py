"""The story of a training run as the allocator sees it: load, two optimizer steps, and what is reserved by then.

After two steps nothing new is taken: the optimizer's states, made in the first step, lie in holes that the second step
cannot use. The layers in the middle of a deep model repeat; they are replayed without their short-lived tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from sft_tui.memory.allocator import MIB, SMALL_LIMIT, Allocator, Block
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.simulation import Piece, record_head, record_layer
from sft_tui.memory.tape import FREED, Event
from sft_tui.memory.weights import embedding_weights, layer_weights, quantized_bytes

DETAILED_LAYERS = 3
"""So many layers at either end are replayed tensor by tensor."""
CUBLAS_WORKSPACE = 32 * MIB
"""cuBLAS' workspace on Hopper, one for the forward and one for the backward thread."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the run took, in bytes. `reserved` is what the driver sees besides the context.

    `weights`, `adapter`, `gradients`, `optimizer` are all there is of each; `loss` is what the loss takes at its peak.
    """

    reserved: int
    peak_allocated: int
    weights: int
    adapter: int
    gradients: int
    optimizer: int
    loss: int


class Run:
    """One run. `state_bytes` is the optimizer's bytes for each byte of a trained weight."""

    def __init__(self, shape: Architecture, setup: Setup, state_ratio: float = 2.0) -> None:
        self.shape = shape
        self.setup = setup
        self.state_ratio = state_ratio
        self.allocator = Allocator()
        full = setup.method == "full"
        self.width = float(setup.trainable_width if full else setup.weight_width)
        self.trained = setup.method in ("full", "freeze")
        frozen = setup.frozen_layers
        sparse = shape.experts > 0
        self.layer = record_layer(shape, setup, trained=self.trained, needs_grad=True, width=self.width, sparse=sparse)
        self.frozen = (
            record_layer(shape, setup, trained=False, needs_grad=False, width=self.width, sparse=sparse)
            if frozen
            else self.layer
        )
        self.head = record_head(shape, setup, trained=full, width=self.width)
        self.weights = self.adapter = self.small = 0
        self.states: list[Block] = []
        self.loss_peak = 0

    def simulate(self) -> Outcome:
        """Load and train for two steps."""
        self.load()
        self.step(first=True)
        self.step(first=False)
        small = self._small_bytes()
        trained = self._trained_bytes()
        return Outcome(
            reserved=self.allocator.reserved + -(-small // (2 * MIB)) * 2 * MIB,
            peak_allocated=self.allocator.peak_allocated + small,
            weights=self.weights,
            adapter=0 if self.trained else trained,
            gradients=trained,
            optimizer=int(trained * self.state_ratio),
            loss=self.loss_peak,
        )

    def load(self) -> None:
        """Weights come into one segment (`caching_allocator_warmup` of transformers 5) of the size that they will have.

        Quantizing one needs it whole first; weights that will be trained are copied to fp32 afterwards.
        """
        setup, allocator = self.setup, self.allocator
        bits = setup.quantization_bit
        tensors = [(weight, False) for weight in embedding_weights(self.shape)]
        for index in range(self.shape.layers):
            trained = self.trained and index >= setup.frozen_layers
            tensors += [(weight, trained) for weight in layer_weights(self.shape, index)]
        full = setup.method == "full"
        ahead = sum(quantized_bytes(weight, bits)[0] for weight, _trained in tensors)
        allocator.release(allocator.allocate(ahead))
        to_cast: list[tuple[Block, int]] = []
        for weight, trained in tensors:
            sizes = quantized_bytes(weight, bits)
            self.weights += sum(sizes)
            if max(sizes) <= SMALL_LIMIT:
                self.small += sum(sizes)
                continue
            if bits is None or not weight.linear:
                block = allocator.allocate(sizes[0])
                if (trained or full) and setup.trainable_width == 4:
                    to_cast.append((block, weight.count * 4))
                continue
            whole = [allocator.allocate(weight.count * 2)]
            if bits == 8:
                whole.append(allocator.allocate(weight.count * 2))
            for size in sizes:
                if size > SMALL_LIMIT:
                    allocator.allocate(size)
                else:
                    self.small += size
            for block in whole:
                allocator.release(block)
        for block, size in to_cast:
            allocator.allocate(size)
            allocator.release(block)
            self.weights += size // 2

    def _trained_bytes(self) -> int:
        layers = self.shape.layers - self.setup.frozen_layers
        return sum(self.layer.leaves) * layers + sum(self.head.leaves)

    def _small_bytes(self) -> int:
        """Tensors of at most 1 MiB: adapters with gradients and states, and what layers make of them."""
        layers = self.shape.layers - self.setup.frozen_layers
        leaves = sum(size for size in self.layer.leaves if size <= SMALL_LIMIT) * layers
        whole = 2 + self.state_ratio if not self.trained else 1 + self.state_ratio
        return int(self.small + leaves * whole + self.layer.small_peak + self.layer.small_kept * layers)

    def step(self, *, first: bool) -> None:
        """Forward, backward, optimizer."""
        allocator, shape, head = self.allocator, self.shape, self.head
        lives: list[tuple[Piece, dict[int, Block]]] = []
        x = allocator.allocate(int(self.setup.tokens * shape.hidden * self.width))
        if first:
            allocator.allocate(CUBLAS_WORKSPACE)
        for index in range(shape.layers):
            piece = self.frozen if index < self.setup.frozen_layers else self.layer
            live = {piece.entry: x}
            detailed = index < DETAILED_LAYERS or index >= shape.layers - DETAILED_LAYERS
            replay(allocator, piece.forward if detailed else piece.kept, live)
            x = live.pop(piece.exit)
            if not detailed and piece.entry in live and piece.entry_freed:
                allocator.release(live.pop(piece.entry))
            if piece is self.layer:
                lives.append((piece, live))
        head_live = {head.entry: x}
        replay(allocator, head.forward, head_live)
        for piece, live in lives:
            for number in piece.cached:
                allocator.release(live.pop(number))
        self._convert_logits(head_live)
        replay(allocator, head.backward, head_live)
        if first:
            allocator.allocate(CUBLAS_WORKSPACE)
        gradients = [head_live[number] for number in head.leaf_gradients]
        gradient = head_live[head.gradient_out or 0]
        for piece, live in reversed(lives):
            live[piece.gradient_in] = gradient
            replay(allocator, piece.backward, live)
            gradient = live[piece.gradient_out or 0]
            gradients += [live[number] for number in piece.leaf_gradients]
        allocator.release(gradient)
        if first:
            for block in gradients:
                half = int(block.size * self.state_ratio / 2)
                self.states += [allocator.allocate(half), allocator.allocate(half)] if half > SMALL_LIMIT else []
        for block in gradients:
            allocator.release(block)

    def _convert_logits(self, live: dict[int, Block]) -> None:
        """accelerate gives the outputs back in fp32 under mixed precision."""
        logits = live.pop(self.head.logits, None)
        if logits is None:
            return
        if self.setup.low is not None:
            copy = self.allocator.allocate(self.setup.tokens * self.shape.vocab * 4)
            self.allocator.release(logits)
            self.allocator.release(copy)
        else:
            self.allocator.release(logits)


def replay(allocator: Allocator, events: list[Event], live: dict[int, Block]) -> None:
    """Run `events`; `live` has the blocks by number, those that come in and those that stay."""
    allocate, release = allocator.allocate, allocator.release
    for number, size in events:
        if size == FREED:
            release(live.pop(number))
        else:
            live[number] = allocate(size)
