"""The steps that models are made of, as they take memory: each method runs one on a tape.

The order of the allocations is that of PyTorch 2.x and transformers 5 as recorded with CUDA's memory history on an H100
(`benchmarks/memory/`), because the order decides how much the allocator reserves. A method holds its result once and
leaves its arguments held; `eat` marks those that it lets go of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sft_tui.memory.tape import Tape, Tensor

Pair = tuple[Tensor, Tensor]

ROW_SUM_BYTES = 8
"""Scratch bytes an element that PyTorch takes to sum over rows (the gradients of norms and biases), measured."""


@dataclass(slots=True)
class Operations:
    """Runs operations on `tape`. `low` is the width of the autocast type (2), or None without autocast."""

    tape: Tape
    low: int | None = 2
    cached: dict[int, Tensor] = field(default_factory=dict)

    def cast(self, x: Tensor, width: float) -> Tensor:
        """`x` in another type; `x` itself, held once more, where it has that type."""
        if x.width == width:
            return self.tape.hold(x)
        out = self.tape.new(x.count, width, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            share = self.tape.like(x)
            self.tape.drop(gradient)
            yield x, share

        self.tape.node(out, (), backward)
        return out

    def autocast(self, x: Tensor) -> Tensor:
        """`x` as a matrix product sees it."""
        return self.cast(x, x.width if self.low is None or x.width < self.low else self.low)

    def autocast_weight(self, weight: Tensor) -> Tensor:
        """A trained weight as a matrix product sees it: its copy is kept until autocast ends, and used again."""
        if self.low is None or weight.width == self.low:
            return self.tape.hold(weight)
        copy = self.cached.get(weight.number)
        if copy is None:
            copy = self.cast(weight, self.low)
            self.cached[weight.number] = copy
        return self.tape.hold(copy)

    def end_autocast(self) -> None:
        """The copies of the weights go, except those that a node has saved."""
        self.tape.drop(*self.cached.values())
        self.cached.clear()

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """`a + b`, in the wider type of the two."""
        out = self.tape.new(max(a.count, b.count), max(a.width, b.width), needs_grad=a.needs_grad or b.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            for target in (a, b):
                if not target.needs_grad:
                    continue
                if target.width == gradient.width:
                    yield target, self.tape.hold(gradient)
                else:
                    yield target, self.tape.like(target)
            self.tape.drop(gradient)

        self.tape.node(out, (), backward)
        return out

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """`a * b`, elementwise, in the wider type."""
        out = self.tape.new(max(a.count, b.count), max(a.width, b.width), needs_grad=a.needs_grad or b.needs_grad)
        saved = [a] if b.needs_grad else []
        saved += [b] if a.needs_grad else []

        def backward(gradient: Tensor) -> Iterable[Pair]:
            shares = [(target, self.tape.like(target)) for target in (a, b) if target.needs_grad]
            self.tape.drop(gradient)
            return shares

        self.tape.node(out, saved, backward)
        return out

    def scaled(self, x: Tensor, width: float | None = None, *, keep: tuple[Tensor, ...] = ()) -> Tensor:
        """`x` times something that is not trained (a number, cos, sin); `keep` is saved for the way back."""
        out = self.tape.new(x.count, width or x.width, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            if gradient.width != x.width:
                wide = self.tape.like(gradient)
                self.tape.drop(gradient)
                gradient = wide
            share = self.tape.like(x)
            self.tape.drop(gradient)
            yield x, share

        self.tape.node(out, keep, backward)
        return out

    def activation(self, x: Tensor) -> Tensor:
        """SiLU, GELU: saves its input."""
        out = self.tape.new(x.count, x.width, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            share = self.tape.like(x)
            self.tape.drop(gradient)
            yield x, share

        self.tape.node(out, (x,), backward)
        return out

    def bend(self, x: Tensor) -> Tensor:
        """tanh: saves its output."""
        out = self.tape.new(x.count, x.width, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            share = self.tape.like(x)
            self.tape.drop(gradient)
            yield x, share

        self.tape.node(out, (out,), backward)
        return out

    def dropout(self, x: Tensor) -> Tensor:
        """`x` with some of it set to zero: a new tensor and a mask of one byte an element."""
        mask = self.tape.new(x.count, 1)
        out = self.tape.new(x.count, x.width, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            share = self.tape.like(x)
            self.tape.drop(gradient)
            yield x, share

        self.tape.node(out, (mask,), backward)
        self.tape.drop(mask)
        return out

    def rms_norm(self, x: Tensor, weight: Tensor | None, size: int, *, gemma: bool = False) -> Tensor:
        """Llama's RMSNorm in plain PyTorch: squares and scales in fp32. `size` is the length of a row."""
        tape, rows = self.tape, x.count / size
        wide = self.cast(x, 4)
        tape.scratch(wide.count * 4)
        factor = tape.new(rows, 4)
        scaled = tape.new(x.count, 4, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            products = tape.new(x.count, 4)
            share = tape.new(x.count, 4)
            tape.drop(products, gradient)
            spread = tape.new(x.count, 4)
            power, double, result = (tape.new(x.count, 4) for _ in range(3))
            tape.drop(double, power, spread, result)
            yield wide, share

        tape.node(scaled, (wide, factor), backward)
        tape.drop(factor, wide)
        if gemma:
            out = self._weighted(scaled, weight, 4)
            tape.drop(scaled)
            narrow = self.cast(out, x.width)
            tape.drop(out)
            return narrow
        narrow = self.cast(scaled, x.width)
        out = self._weighted(narrow, weight, x.width if weight is None else max(x.width, weight.width))
        tape.drop(narrow, scaled)
        return out

    def _weighted(self, x: Tensor, weight: Tensor | None, width: float) -> Tensor:
        """`x` times a norm's weight, which is trained or frozen (None)."""
        tape = self.tape
        trained = weight is not None
        out = tape.new(x.count, width, needs_grad=x.needs_grad or trained)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            product = tape.like(out) if weight is not None else None
            share = tape.like(x)
            if weight is not None and product is not None:
                tape.scratch(out.count * ROW_SUM_BYTES)
                tape.drop(gradient)
                total = tape.like(weight)
                tape.drop(product)
                yield weight, total
            else:
                tape.drop(gradient)
            yield x, share

        tape.node(out, (x,) if trained else (), backward)
        return out

    def passed(self, x: Tensor, width: float | None = None) -> Tensor:
        """A new tensor whose gradient is that of `x` (adding or subtracting something that is not trained)."""
        out = self.tape.new(x.count, width or x.width, needs_grad=x.needs_grad)

        def backward(gradient: Tensor) -> Iterator[Pair]:
            yield x, gradient

        self.tape.node(out, (), backward)
        return out

    def _reshaped(self, x: Tensor) -> Tensor:
        share = self.tape.like(x)
        share.reshaped = True
        return share

    def product(self, x: Tensor, weight: Tensor | None, outputs: int, inputs: int, *, bias: bool = False) -> Tensor:
        """`x @ weight`: `weight` is trained, or frozen (None); `bias`: so is a bias."""
        tape = self.tape
        matrix = self.autocast_weight(weight) if weight is not None else None
        seen = self.autocast(x)
        out = tape.new(x.count / inputs * outputs, seen.width, needs_grad=x.needs_grad or weight is not None)
        tape.multiplied()

        def backward(gradient: Tensor) -> Iterable[Pair]:
            shares: list[Pair] = []
            if matrix is not None:
                shares.append((matrix, tape.like(matrix)))
                tape.multiplied()
            if seen.needs_grad:
                shares.append((seen, self._reshaped(seen)))
                tape.multiplied()
            tape.drop(gradient)
            if bias:
                tape.scratch(out.count * ROW_SUM_BYTES)
            return shares

        tape.node(out, (matrix, seen) if matrix is not None else (), backward)
        tape.drop(seen)
        if matrix is not None:
            tape.drop(matrix)
        return out

    def product_4bit(self, x: Tensor, outputs: int, inputs: int) -> Tensor:
        """bitsandbytes' `MatMul4Bit`: the weight is unpacked to 16 bits for a moment, both ways."""
        tape = self.tape
        seen = self.cast(x, 2)
        unpacked = tape.new(inputs * outputs, 2)
        out = tape.new(x.count / inputs * outputs, 2, needs_grad=x.needs_grad)
        tape.drop(unpacked)

        def backward(gradient: Tensor) -> Iterable[Pair]:
            again = tape.new(inputs * outputs, 2)
            share = self._reshaped(seen)
            tape.multiplied()
            tape.drop(again, gradient)
            return [(seen, share)]

        tape.node(out, (), backward)
        tape.drop(seen)
        return out

    def product_8bit(self, x: Tensor, outputs: int, inputs: int, outliers: float = 0.0) -> Tensor:
        """bitsandbytes' `MatMul8bitLt`: the input is quantized by rows, columns with values above 6 stay bf16.

        `outliers` is how many columns these are; the tensors that they need are in `tape.varying`.
        """
        tape, rows = self.tape, x.count / inputs
        half = tape.new(x.count, 2)
        packed = tape.new(x.count, 1)
        sizes = tape.new(x.count, 2)
        found = tape.new(x.count, 1)
        tape.drop(sizes, found, half)
        columns = tape.vary(rows * outliers, 2)
        some = tape.vary(outputs * outliers, 1)
        wide, scaled_wide = tape.vary(outputs * outliers, 4), tape.vary(outputs * outliers, 4)
        tape.drop(wide, some)
        narrow = tape.vary(outputs * outliers, 2)
        tape.drop(scaled_wide)
        whole = tape.new(rows * outputs, 4)
        scaled = tape.new(rows * outputs, 2)
        out = tape.new(rows * outputs, x.width, needs_grad=x.needs_grad)
        tape.drop(scaled, whole)
        tape.scratch(rows * outputs * 2.0)
        tape.drop(narrow, packed)

        def backward(gradient: Tensor) -> Iterable[Pair]:
            unpacked = tape.new(inputs * outputs, 2)
            share = self._reshaped(x)
            tape.multiplied()
            tape.drop(unpacked, gradient)
            return [(x, share)]

        tape.node(out, (x, columns), backward)
        tape.drop(columns)
        return out
