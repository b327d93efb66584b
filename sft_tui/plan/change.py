"""Changing a plan that was made: the one way, whoever asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sft_tui.factory.commands import gpu_environment
from sft_tui.machine.gpus import Gpu
from sft_tui.project.plan_record import Plan, PlannedStage


def on_cards(plan: Plan, gpus: Sequence[Gpu]) -> Plan:
    """The plan with its stages on `gpus` instead of the cards that it was made for."""
    before = plan.stage("train")
    old = before.env.get("CUDA_VISIBLE_DEVICES") if before else None
    new = gpu_environment([gpu.uuid for gpu in gpus], [gpu.index for gpu in gpus])

    def moved(stage: PlannedStage) -> PlannedStage:
        if not old or stage.env.get("CUDA_VISIBLE_DEVICES") != old:
            return stage
        shown = stage.shown.replace(old, new["CUDA_VISIBLE_DEVICES"])
        return replace(stage, env={**stage.env, **new}, shown=shown)

    return replace(plan, gpus=tuple(gpu.index for gpu in gpus), stages=tuple(moved(stage) for stage in plan.stages))
