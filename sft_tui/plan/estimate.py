"""What a plan will need on the card, and whether the card has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sft_tui.plan.model import PlannedEstimate
from sft_tui.problems import Refusal

if TYPE_CHECKING:
    from sft_tui.machine.gpus import Gpu
    from sft_tui.situation import Situation


def plan_estimate(situation: Situation, options: dict[str, Any], gpus: tuple[Gpu, ...]) -> PlannedEstimate | None:
    """The memory that each of `gpus` will need; None on the CPU, and where the model's architecture is not known."""
    if situation.model.config is None or not gpus:
        return None
    from sft_tui.memory import Fit, estimate, judge

    try:
        need = estimate(situation.model.config, options, gpus=len(gpus))
    except (Refusal, ValueError, TypeError, KeyError):  # values that the checks report
        return None
    limit = min(gpu.free_bytes for gpu in gpus)
    fit = judge(need, limit) if limit else Fit.UNKNOWN
    return PlannedEstimate(need.peak_bytes, dict(need.parts), need.margin, fit.value, limit)
