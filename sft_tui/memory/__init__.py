"""A model's architecture and a training config -> bytes on the card, before anything runs. No torch, no GPU.

`estimate` simulates the tensors of two training steps and PyTorch's allocator under them; see `benchmarks/memory/`.
"""

from sft_tui.memory.estimate import Estimate, Fit, estimate, judge

__all__ = ["Estimate", "Fit", "estimate", "judge"]
