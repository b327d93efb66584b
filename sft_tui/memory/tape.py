"""A shape-level autograd: what PyTorch keeps, makes and frees while it trains, without a number being computed.

A `Tape` runs a model's forward pass over `Tensor`s that are nothing but sizes, and then its backward pass by PyTorch's
rules (`torch/csrc/autograd/engine.cpp`): nodes run in the reverse order of their making; what a node saved is freed
after it ran; a gradient that arrives a second time is added in place if nobody else holds the buffer, otherwise into a
new one; a leaf's first gradient is kept, not copied. The outcome is a list of events for `allocator.Allocator`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Event = tuple[int, int]
"""(tensor's number, bytes): made with that many bytes, or freed where bytes is `FREED`."""

FREED = -1


class Tensor:
    """A tensor of `count` elements of `width` bytes, and how many hold its storage.

    `needs_grad`: a gradient flows back to it. A view has the `owner` of its storage. `reshaped` marks a gradient that
    comes out of a matrix product in another shape: nothing is added to it in place.
    """

    __slots__ = ("count", "holders", "needs_grad", "number", "owner", "reshaped", "width")

    def __init__(self, number: int, count: float, width: float, needs_grad: bool, owner: Tensor | None = None) -> None:
        self.number = number
        self.count = count
        self.width = width
        self.needs_grad = needs_grad
        self.holders = 1
        self.owner = owner
        self.reshaped = False


Backward = Callable[[Tensor], "Iterable[tuple[Tensor, Tensor]]"]
"""Gets the gradient of the node's output and must `drop` it; gives pairs of input and its gradient, held once."""


@dataclass(slots=True)
class Node:
    """One step that can be run backwards."""

    output: Tensor
    saved: tuple[Tensor, ...]
    backward: Backward


@dataclass(slots=True)
class Tape:
    """Records events; with `grad` on also the nodes for the way back.

    `workspace` is the number of the tensor that `multiplied` made, `varying` are those of the tensors of `vary`.
    """

    grad: bool = True
    events: list[Event] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    leaves: list[Tensor] = field(default_factory=list)
    leaf_gradients: dict[int, Tensor] = field(default_factory=dict)
    varying: set[int] = field(default_factory=set)
    workspace_bytes: int = 0
    workspace: int = 0
    _next: int = 0

    def external(self, count: float, width: float, *, needs_grad: bool = False) -> Tensor:
        """A tensor that exists already; the tape holds it once."""
        self._next += 1
        return Tensor(self._next, count, width, needs_grad)

    def leaf(self, count: float, width: float) -> Tensor:
        """A weight that is trained. Its memory is not the tape's; its gradient will be."""
        tensor = self.external(count, width, needs_grad=True)
        self.leaves.append(tensor)
        return tensor

    def new(self, count: float, width: float, *, needs_grad: bool = False) -> Tensor:
        """A new tensor, held once."""
        self._next += 1
        tensor = Tensor(self._next, count, width, needs_grad and self.grad)
        self.events.append((tensor.number, int(count * width)))
        return tensor

    def view(self, of: Tensor, count: float) -> Tensor:
        """A tensor over the storage of another, held once."""
        self._next += 1
        return Tensor(self._next, count, of.width, of.needs_grad and self.grad, self.hold(of).owner or of)

    def vary(self, count: float, width: float) -> Tensor:
        """A new tensor whose size is another in each layer; `count` is its largest."""
        tensor = self.new(count, width)
        self.varying.add(tensor.number)
        return tensor

    def like(self, tensor: Tensor) -> Tensor:
        """A new tensor of the same shape and type, without a gradient."""
        return self.new(tensor.count, tensor.width)

    def hold(self, tensor: Tensor) -> Tensor:
        """Hold `tensor` once more."""
        (tensor.owner or tensor).holders += 1
        return tensor

    def drop(self, *tensors: Tensor) -> None:
        """Let go of each tensor once; one that nobody holds is freed."""
        for tensor in tensors:
            storage = tensor.owner or tensor
            storage.holders -= 1
            if storage.holders == 0:
                self.events.append((storage.number, FREED))

    def multiplied(self) -> None:
        """A matrix product was run: the first one takes the thread's workspace, of `workspace_bytes`, for good."""
        if self.workspace_bytes:
            self.workspace = self.new(self.workspace_bytes, 1).number
            self.workspace_bytes = 0

    def scratch(self, *sizes: float) -> None:
        """Buffers of these many bytes that live for a moment, all at once."""
        made = [self.new(size, 1) for size in sizes]
        self.drop(*made)

    def node(self, output: Tensor, saved: Iterable[Tensor], backward: Backward) -> None:
        """Remember how `output` came about, if a gradient will ask; the node holds what it saved."""
        if self.grad and output.needs_grad:
            self.nodes.append(Node(output, tuple(self.hold(tensor) for tensor in saved), backward))

    def run_backward(self, output: Tensor, gradient: Tensor, wanted: Tensor | None = None) -> Tensor | None:
        """Run all nodes backwards from `gradient` of `output`, whose hold passes to the tape.

        Returns the gradient of `wanted`; those of the weights are in `leaf_gradients` by their number.
        """
        waiting: dict[int, Tensor] = {output.number: gradient}
        weights = {leaf.number for leaf in self.leaves}
        while self.nodes:
            node = self.nodes.pop()
            arrived = waiting.pop(node.output.number, None)
            shares = [] if arrived is None else list(node.backward(arrived))
            self.drop(*node.saved)
            for target, share in shares:
                self._accumulate(waiting, target, share)
                if target.number in weights and target.number in waiting:
                    self._keep(target.number, waiting.pop(target.number))
        return None if wanted is None else waiting.pop(wanted.number, None)

    def _keep(self, leaf: int, gradient: Tensor) -> None:
        if leaf in self.leaf_gradients:
            self.drop(gradient)
        else:
            self.leaf_gradients[leaf] = gradient

    def _accumulate(self, waiting: dict[int, Tensor], target: Tensor, share: Tensor) -> None:
        if not target.needs_grad:
            self.drop(share)
            return
        before = waiting.get(target.number)
        if before is None:
            waiting[target.number] = share
        elif (before.owner or before).holders == 1 and not before.reshaped:
            self.drop(share)
        else:
            total = self.like(before)
            waiting[target.number] = total
            self.drop(share, before)
