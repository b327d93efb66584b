"""Going on by itself when the GPU's memory did not suffice: the next smaller settings, the effective batch kept."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft_tui.factory.commands import TRAIN_CONFIG
from sft_tui.factory.train_config import render_train_config
from sft_tui.i18n import _
from sft_tui.memory import find_config, suggestions
from sft_tui.problems import Refusal
from sft_tui.project.plan_record import Plan

GPU_OOM = frozenset({"gpu-oom", "gpu-oom-later"})
"""Ids of the diagnoses that mean it."""
MOST_RETRIES = 3
_SHORTEST = 256


def estimated_change(
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    packages: Mapping[str, str],
    gpus: int,
    longest: int | None = None,
) -> dict[str, Any] | None:
    """The estimator's first suggestion for the model of `config` that `packages` allow; None where it has none.

    `longest` is the longest sample in tokens, where it is known.
    """
    try:
        found = suggestions(config, options, gpus=max(gpus, 1), lengths=(longest,) if longest else None)
    except (Refusal, ValueError, TypeError, KeyError):  # a model that is not known here
        return None
    here = (s for s in found if "deepspeed" not in s.changes)  # checkpoints of one kind do not go on as the other
    fitting = (s for s in here if s.needs is None or s.needs.replace("_", "-") in packages)
    return next((dict(suggestion.changes) for suggestion in fitting), None)


def smaller_options(options: Mapping[str, Any], packages: Mapping[str, str]) -> dict[str, Any] | None:
    """What to change where nothing can be estimated: fused kernels where `packages` has them, half the micro-batch
    with twice the accumulation, gradient checkpointing, half the cutoff length. None where nothing is left.
    """
    if "liger-kernel" in packages and not options.get("enable_liger_kernel"):
        return {"enable_liger_kernel": True}
    batch = int(options.get("per_device_train_batch_size") or 1)
    if batch > 1:
        accumulation = int(options.get("gradient_accumulation_steps") or 1)
        half = batch // 2 if batch % 2 == 0 else 1
        return {"per_device_train_batch_size": half, "gradient_accumulation_steps": accumulation * batch // half}
    if options.get("disable_gradient_checkpointing"):
        return {"disable_gradient_checkpointing": False}
    cutoff = int(options.get("cutoff_len") or 2048)
    return {"cutoff_len": max(cutoff // 2, _SHORTEST)} if cutoff > _SHORTEST else None


def shrink(plan: Plan, packages: Mapping[str, str]) -> tuple[Plan, str] | None:
    """The plan with smaller settings and a sentence that says what changed; None where nothing is left to try."""
    options = plan.train_options
    changes = None
    with contextlib.suppress(Refusal):
        here = Path(plan.project) / plan.model
        config = find_config(str(here) if here.is_dir() else plan.model)
        longest = plan.estimate.longest if plan.estimate else None
        changes = estimated_change(config, options, packages, len(plan.gpus), longest)
    changes = changes or smaller_options(options, packages)
    if changes is None:
        return None
    options = {**options, **changes}
    files = tuple(
        replace(file, content=render_train_config(options, plan.run)) if file.path.endswith(TRAIN_CONFIG) else file
        for file in plan.files
    )
    text = _("{key}: {new} (was {old})")
    said = [text.format(key=key, new=new, old=plan.train_options.get(key, "-")) for key, new in changes.items()]
    return replace(plan, train_options=options, files=files), ", ".join(said)
