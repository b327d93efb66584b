"""The story of a training run as the allocator sees it: load, two optimizer steps, and what is reserved by then.

After two steps nothing new is taken: the optimizer's states, made in the first step, lie in holes that the second step
cannot use. The layers in the middle of a deep model repeat; they are replayed without their short-lived tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from sft_tui.memory import int8
from sft_tui.memory.allocator import MIB, SMALL_LIMIT, Allocator, Block
from sft_tui.memory.architecture import Architecture
from sft_tui.memory.layer import Setup
from sft_tui.memory.optimizer import Optimizer
from sft_tui.memory.replaying import Live, evaluate, replay
from sft_tui.memory.simulation import CUBLAS_WORKSPACE, Piece, record_head, record_layer
from sft_tui.memory.tape import FREED, Event
from sft_tui.memory.weights import embedding_weights, layer_weights, quantized_bytes

FORWARD = (1000, 1000)
BACKWARD = (2, 4)
"""So many layers at the beginning and at the end are replayed tensor by tensor; of the others only what stays."""
HEAD, EMBEDDINGS = -1, -2
"""Where a layer's number would be, of what is outside the layers."""


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
    """One run of `shape` with `setup`; `accumulation` is the number of micro-batches a step, `evaluation` the
    batch that the model is evaluated with, if it is."""

    def __init__(
        self,
        shape: Architecture,
        setup: Setup,
        optimizer: Optimizer,
        accumulation: int = 1,
        evaluation: Setup | None = None,
    ) -> None:
        self.shape = shape
        self.setup = setup
        self.optimizer = optimizer
        self.accumulation = accumulation
        self.evaluation = evaluation
        self.allocator = Allocator()
        self.trained = setup.method in ("full", "freeze")
        width = float(setup.stream_width)
        sparse = shape.experts > 0
        self.layer = record_layer(shape, setup, trained=self.trained, needs_grad=True, width=width, sparse=sparse)
        self.dense = self.frozen = self.layer
        if shape.dense_layers and sparse:
            self.dense = record_layer(shape, setup, trained=self.trained, needs_grad=True, width=width)
        if setup.frozen_layers:
            self.frozen = record_layer(shape, setup, trained=False, needs_grad=False, width=width, sparse=sparse)
        self.head = record_head(shape, setup, trained=setup.method == "full", width=width)
        self.weights = self.small = self.state_bytes = 0
        self.workspace_due = False
        self.gradients: dict[tuple[int, int], Block] = {}

    def simulate(self) -> Outcome:
        """Load and train for two steps."""
        self.load()
        self.micro_batch(first=True)
        self.make_states()
        self.optimize()
        for _number in range(min(2, self.accumulation)):
            self.micro_batch()
        self.optimize()
        if self.evaluation is not None:
            evaluate(self.allocator, self.shape, self.evaluation)
        small = self._small_bytes()
        trained = self._trained_bytes()
        return Outcome(
            reserved=self.reserved_bytes(),
            peak_allocated=self.allocator.peak_allocated + small,
            weights=self.weights,
            adapter=0 if self.trained else trained,
            gradients=trained,
            optimizer=self.state_bytes,
            loss=self._loss_bytes(),
        )

    def become(self, other: Run) -> None:
        """Go on with micro-batches of the shape of `other`'s."""
        self.setup, self.layer, self.dense = other.setup, other.layer, other.dense
        self.frozen, self.head = other.frozen, other.head

    def reserved_bytes(self) -> int:
        """What is reserved by now, the segments of small tensors included."""
        return self.allocator.reserved + -(-self._small_bytes() // (2 * MIB)) * 2 * MIB

    def _loss_bytes(self) -> int:
        """Logits in 16 bits and their fp32 copies at the peak: three in training, two in an evaluation."""
        training = 0 if self.setup.liger else self.setup.tokens * 12
        evaluation = self.evaluation.tokens * 10 if self.evaluation else 0
        return max(training, evaluation) * self.shape.vocab

    def load(self) -> None:
        """Weights come into one segment (`caching_allocator_warmup` of transformers 5) of the size that they will have.

        Quantizing one needs it whole first; weights that will be trained are copied to fp32 afterwards.
        """
        setup, allocator = self.setup, self.allocator
        bits = setup.quantization_bit
        full = setup.method == "full"
        tensors = [(weight, full) for weight in embedding_weights(self.shape)]
        for index in range(self.shape.layers):
            trained = self.trained and index >= setup.frozen_layers
            tensors += [(weight, trained) for weight in layer_weights(self.shape, index)]
        ahead = sum(quantized_bytes(weight, bits)[0] for weight, _trained in tensors)
        allocator.release(allocator.allocate(ahead))
        to_widen: list[tuple[Block, int]] = []
        for weight, trained in tensors:
            sizes = quantized_bytes(weight, bits, double=setup.double_quantization)
            self.weights += sum(sizes)
            packed = bits is not None and weight.linear
            whole = [weight.count * 2] * (2 if bits == 8 else 1) if packed else []
            loading = [allocator.allocate(size) for size in whole if size > SMALL_LIMIT]
            blocks = [allocator.allocate(size) for size in sizes if size > SMALL_LIMIT]
            self.small += sum(size for size in sizes if size <= SMALL_LIMIT)
            for block in loading:
                allocator.release(block)
            if trained and setup.trainable_width == 4:
                self.weights += weight.count * 2
                to_widen += [(block, weight.count * 4) for block in blocks]
        for block, size in to_widen:
            allocator.allocate(size)
            allocator.release(block)

    def micro_batch(self, *, first: bool = False) -> None:
        """Forward and backward of one micro-batch."""
        allocator, shape, head = self.allocator, self.shape, self.head
        pairs = self.setup.batch * self.setup.length * self.setup.length
        extras = [allocator.allocate(pairs * 2)] if self.setup.masked else []
        embedded = allocator.allocate(int(self.setup.tokens * shape.hidden * self.setup.stream_width))
        if shape.scaled_embeddings:
            unscaled, embedded = embedded, allocator.allocate(embedded.size)
            allocator.release(unscaled)
        if first:
            allocator.allocate(CUBLAS_WORKSPACE)
            self.workspace_due = True
        extras += self._masks_and_positions(pairs)
        lives: list[tuple[Piece, Live]] = []
        x = embedded
        for index in range(shape.layers):
            piece = self._piece(index)
            live = {piece.entry: x}
            self._forward(index, piece, live)
            x = live.pop(piece.exit)
            if piece.gradient_out is not None:
                lives.append((piece, live))
        head_live = {head.entry: x}
        replay(allocator, head.forward, head_live)
        if self.layer.entry_freed:
            allocator.release(embedded)
        for piece, live in lives:
            for number in piece.cached:
                allocator.release(live.pop(number))
        self._convert_logits(head_live)
        self._backward(HEAD, head, head.backward, head_live)
        self._keep_gradients(HEAD, head, head_live)
        gradient = head_live[head.gradient_out or 0]
        for index, (piece, live) in reversed(list(enumerate(lives, self.setup.frozen_layers))):
            live[piece.gradient_in] = gradient
            events = piece.backward if self._detailed(index, BACKWARD) else piece.kept_backward
            self._backward(index, piece, events, live)
            gradient = live[piece.gradient_out or 0]
            self._keep_gradients(index, piece, live)
        self._embedding_gradient(gradient)
        for block in extras:
            allocator.release(block)

    def _piece(self, index: int) -> Piece:
        if index < self.setup.frozen_layers:
            return self.frozen
        return self.dense if index < self.shape.dense_layers else self.layer

    def _forward(self, index: int, piece: Piece, live: Live) -> None:
        """A layer forwards. The model holds the embeddings to the end, so the first layer does not free them."""
        events = piece.forward if self._detailed(index, FORWARD) else piece.kept
        if index == 0 and piece.entry_freed:
            events = [event for event in events if event != (piece.entry, FREED)]
        replay(self.allocator, self._sized(index, piece, events), live)

    def _sized(self, index: int, piece: Piece, events: list[Event]) -> list[Event]:
        """`events` with the sizes of layer `index`, where they differ from layer to layer (8 bits)."""
        if not piece.varying:
            return events
        part = int8.share_of_outliers(index, self.shape.layers, self.shape.hidden, self.setup.tokens)
        varying = piece.varying
        return [(n, int(size * part)) if size != FREED and n in varying else (n, size) for n, size in events]

    def _backward(self, index: int, piece: Piece, events: list[Event], live: Live) -> None:
        """A piece backwards; the first one to multiply takes the workspace of the backward thread."""
        if piece.workspace and self.workspace_due:
            self.workspace_due = False
        elif piece.workspace:
            events = [event for event in events if event[0] != piece.workspace]
        replay(self.allocator, self._sized(index, piece, events), live)

    def _detailed(self, index: int, layers: tuple[int, int]) -> bool:
        return index < layers[0] or index >= self.shape.layers - layers[1]

    def _masks_and_positions(self, pairs: int) -> list[Block]:
        """Eager attention's masks and the position tables, which live for the whole micro-batch."""
        allocator, shape, setup = self.allocator, self.shape, self.setup
        masks = 0 if not setup.eager else 2 if shape.sliding_window else 1
        kept = [allocator.allocate(pairs * 2) for _number in range(masks)]
        if setup.windowed:
            made = [allocator.allocate(pairs // setup.batch) for _number in range(2)]
            kept.append(allocator.allocate(pairs))
            for block in made:
                allocator.release(block)
        rows = setup.length * (setup.batch if setup.masked else 1)
        table = int(rows * shape.head_dim * shape.rotary_fraction)
        if table * 4 > SMALL_LIMIT:
            wide = [allocator.allocate(table * 4) for _number in range(4)]
            allocator.release(wide.pop())
            kept += [allocator.allocate(table * setup.stream_width) for _number in range(2)]
            for block in wide:
                allocator.release(block)
        return kept

    def _convert_logits(self, live: Live) -> None:
        """accelerate gives the outputs back in fp32 under mixed precision."""
        logits = live.pop(self.head.logits, None)
        if logits is None:
            return
        copy = None
        if self.setup.low is not None:
            copy = self.allocator.allocate(self.setup.tokens * self.shape.vocab * 4)
        self.allocator.release(logits)
        if copy is not None:
            self.allocator.release(copy)

    def _keep_gradients(self, index: int, piece: Piece, live: Live) -> None:
        """The first gradients of the weights stay, later ones are added to them."""
        for number in piece.leaf_gradients:
            if (index, number) in self.gradients:
                self.allocator.release(live.pop(number))
            else:
                self.gradients[index, number] = live.pop(number)

    def _embedding_gradient(self, gradient: Block) -> None:
        """Full fine-tuning: the embeddings' gradient is as large as they are; tied ones add it to the output layer's.

        That is done in place after a cast; a gradient that came straight out of a product is added into a new tensor.
        """
        allocator, shape, setup = self.allocator, self.shape, self.setup
        if setup.method != "full":
            allocator.release(gradient)
            return
        block = allocator.allocate(shape.vocab * shape.hidden * setup.trainable_width)
        allocator.release(gradient)
        if not shape.tied:
            if (EMBEDDINGS, 0) in self.gradients:
                allocator.release(block)
            else:
                self.gradients[EMBEDDINGS, 0] = block
            return
        if setup.trainable_width == (setup.low or setup.trainable_width):
            key = max((key for key in self.gradients if key[0] == HEAD), key=lambda key: self.gradients[key].size)
            total = allocator.allocate(block.size)
            allocator.release(self.gradients.pop(key))
            self.gradients[key] = total
        allocator.release(block)

    def make_states(self) -> None:
        """The optimizer's states, made in its first step."""
        width = self.setup.trainable_width
        first = HEAD if self.shape.tied else EMBEDDINGS
        for key in sorted(self.gradients, key=lambda key: (key[0] != first, key[0] < 0, key)):
            block = self.gradients[key]
            embedding = key[0] in (first, EMBEDDINGS)
            for size in self.optimizer.states(int(block.size / width), width, embedding=embedding):
                if size > SMALL_LIMIT:
                    self.allocator.allocate(size)
                    self.state_bytes += size
        self.state_bytes += self._small_leaf_states()

    def optimize(self) -> None:
        """A step of the optimizer; the gradients go."""
        allocator, width = self.allocator, self.setup.trainable_width
        for block in self.gradients.values():
            made = [allocator.allocate(size) for size in self.optimizer.scratch(int(block.size / width), width)]
            for piece in made:
                allocator.release(piece)
        for block in self.gradients.values():
            allocator.release(block)
        self.gradients.clear()

    def _trained_layers(self) -> int:
        return self.shape.layers - self.setup.frozen_layers

    def _trained_bytes(self) -> int:
        embeddings = 0
        if self.setup.method == "full" and not self.shape.tied:
            embeddings = self.shape.vocab * self.shape.hidden * self.setup.trainable_width
        return sum(self.layer.leaves) * self._trained_layers() + sum(self.head.leaves) + embeddings

    def _small_leaves(self) -> list[int]:
        return [size for size in self.layer.leaves if size <= SMALL_LIMIT]

    def _small_leaf_states(self) -> int:
        width = self.setup.trainable_width
        states = (sum(self.optimizer.states(int(size / width), width)) for size in self._small_leaves())
        return sum(states) * self._trained_layers()

    def _small_bytes(self) -> int:
        """Tensors of at most 1 MiB: adapters with gradients and states, and what layers make of them."""
        layers = self._trained_layers()
        leaves = sum(self._small_leaves()) * layers * (1 if self.trained else 2)
        made = self.layer.small_peak + self.layer.small_kept * layers
        return int(self.small + leaves + self._small_leaf_states() + made)
