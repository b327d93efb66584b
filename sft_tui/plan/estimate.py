"""What a plan will need on the card, and whether the card has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft_tui.factory.deepspeed import ZERO
from sft_tui.problems import Refusal
from sft_tui.project.plan_record import PlannedEstimate

if TYPE_CHECKING:
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation
    from sft_tui.plan.data_lengths import DataLengths


def model_config(situation: Situation) -> dict[str, Any] | None:
    """The config.json of the run's model: its own, or the known one of a hub id; None where it is not known."""
    if situation.model.config is not None or situation.model.local:
        return situation.model.config
    from sft_tui.memory import known_config

    return known_config(situation.model.path)


def lengths_for(situation: Situation, options: Mapping[str, Any]) -> DataLengths | None:
    """The lengths of the samples that a training with `options` will see; None where they are not known.

    `options` may name other data than the run's own, or add texts that were not counted.
    """
    own = f"{situation.dataset}_train"
    other = options.get("dataset", own) != own or options.get("eval_dataset") or options.get("default_system")
    return None if other or options.get("stage", "sft") != "sft" else situation.lengths


def fits(situation: Situation, options: dict[str, Any], config: dict[str, Any], free_bytes: int, gpus: int) -> bool:
    """Whether a training with `options` fits in `free_bytes` with the estimate's margin; no where nobody can tell."""
    from sft_tui.memory import Fit, estimate, judge

    lengths = lengths_for(situation, options)
    try:
        need = estimate(config, options, gpus=gpus, longest=lengths.longest if lengths else None)
        return judge(need, free_bytes, free=True) is Fit.FITS
    except (Refusal, ValueError, TypeError, KeyError):  # values that the checks report
        return False


def plan_estimate(situation: Situation, options: dict[str, Any], gpus: tuple[Gpu, ...]) -> PlannedEstimate | None:
    """The memory that each of `gpus` will need; None on the CPU, and where the model's architecture is not known."""
    if not gpus:
        return None
    from sft_tui.machine.gpus import DRIVER_BYTES
    from sft_tui.memory import Fit, estimate, fit_options, judge

    config = model_config(situation)
    if config is None:
        return None
    limit = min(gpu.free_bytes for gpu in gpus)
    lengths = lengths_for(situation, options)
    longest = lengths.longest if lengths else None
    try:
        need = estimate(config, options, gpus=len(gpus), longest=longest)
        fit = judge(need, limit, free=True)
        fitted = (
            fit_options(
                config,
                options,
                limit + DRIVER_BYTES,
                gpus=len(gpus),
                packages=_packages(situation),
                lengths=lengths.known if lengths else None,
            )
            if fit is Fit.NO
            else None
        )
    except (Refusal, ValueError, TypeError, KeyError):  # values that the checks report
        return None
    changes = fitted.changes if fitted is not None and fitted.fits else {}
    return PlannedEstimate(need.peak_bytes, dict(need.parts), need.margin, fit.value, limit, changes, longest)


def more_cards(
    situation: Situation, options: dict[str, Any], gpus: tuple[Gpu, ...]
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """More cards than `gpus`, of those that are there, that hold the training together, and the options that divide it
    among them with the same effective batch size; None where none do. Quantized models cannot be divided.
    """
    from sft_tui.machine.gpus import freest

    config = model_config(situation)
    if config is None or options.get("quantization_bit") or options.get("pure_bf16"):
        return None
    whole = [gpu for gpu in situation.gpus.gpus if not gpu.mig]  # slices of a card cannot train together
    for count in range(len(gpus) + 1, len(whole) + 1):
        cards = freest(whole, count)
        free = min(card.free_bytes for card in cards)
        for name in ZERO:
            if fits(situation, {**options, "deepspeed": name}, config, free, count):
                steps, rest = divmod(int(options.get("gradient_accumulation_steps") or 1) * max(len(gpus), 1), count)
                same = {} if rest or not steps else {"gradient_accumulation_steps": steps}
                return tuple(sorted(card.index for card in cards)), {"deepspeed": name, **same}
    return None


def _packages(situation: Situation) -> tuple[str, ...]:
    packages = situation.environment.packages if situation.environment else {}
    return tuple(name.replace("-", "_") for name in packages)
