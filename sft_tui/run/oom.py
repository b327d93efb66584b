"""The next smaller settings when the GPU's memory did not suffice, the effective batch kept: `python -m ... RUN_DIR`.

A process of its own, so that the supervisor, which asks for them, need not load the estimator.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sft_tui.i18n import _
from sft_tui.machine.environment import installed_packages
from sft_tui.memory import find_config, suggestions
from sft_tui.plan.change import Change, change, put_in_force
from sft_tui.problems import Refusal
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.run.lifecycle import read_plan

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
    except Refusal:  # a model that is not known here
        return None
    here = (s for s in found if "deepspeed" not in s.changes)  # checkpoints of one kind do not go on as the other
    fitting = (s for s in here if s.needs is None or s.needs in packages)
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


def smaller(plan: Plan, packages: Mapping[str, str]) -> dict[str, Any] | None:
    """The options to change next; None where nothing is left to try."""
    changes = None
    with contextlib.suppress(Refusal):
        here = Path(plan.project) / plan.model
        config = find_config(str(here) if here.is_dir() else plan.model)
        longest = plan.estimate.longest if plan.estimate else None
        changes = estimated_change(config, plan.train_options, packages, len(plan.gpus), longest)
    return changes or smaller_options(plan.train_options, packages)


def main(run_dir: str) -> int:
    """Put the next smaller settings of the run in force and print what changed; 1 where nothing is left to try."""
    plan = read_plan(RunLayout.of_run_dir(Path(run_dir)))
    changes = smaller(plan, installed_packages(plan.environment["python"])) if plan else None
    if plan is None or changes is None:
        return 1
    reason = _("The GPU memory did not suffice")
    try:
        put_in_force(plan, change(plan, Change(reason, train=changes, only_options=True)), reason)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    text = _("{key}: {new} (was {old})")
    said = [text.format(key=key, new=new, old=plan.train_options.get(key, "-")) for key, new in changes.items()]
    sys.stdout.write(", ".join(said) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
