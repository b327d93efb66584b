"""A model's architecture and a training config -> bytes on the card, before anything runs. No torch, no GPU.

`estimate` simulates the tensors of two training steps and PyTorch's allocator under them; see `benchmarks/memory/`.
"""

from sft_tui.memory.choosing import AutoChoice, choose_for_model
from sft_tui.memory.disk import disk_needs, saved_bytes
from sft_tui.memory.estimate import Estimate, Fit, estimate, judge
from sft_tui.memory.models import find_config, known_config
from sft_tui.memory.suggestions import FittedOptions, Suggestion, fit_options, suggestions
from sft_tui.memory.timing import TimeEstimate, estimate_time

__all__ = [
    "AutoChoice",
    "Estimate",
    "Fit",
    "FittedOptions",
    "Suggestion",
    "TimeEstimate",
    "choose_for_model",
    "disk_needs",
    "estimate",
    "estimate_time",
    "find_config",
    "fit_options",
    "judge",
    "known_config",
    "saved_bytes",
    "suggestions",
]
