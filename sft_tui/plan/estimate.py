"""What a training will need on each card, and whether the cards have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from sft_tui.factory.deepspeed import ZERO
from sft_tui.machine.gpus import DRIVER_BYTES, Gpu, freest
from sft_tui.problems import Refusal
from sft_tui.project.plan_record import PlannedEstimate

if TYPE_CHECKING:
    from sft_tui.memory import Estimate
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
    own, evaluated = situation.trained, any(part.evaluates for part in situation.parts)
    other = options.get("dataset", own) != own or options.get("default_system")
    other = other or (options.get("eval_dataset") and not evaluated)
    return None if other or options.get("stage", "sft") != "sft" else situation.lengths


def estimated(
    config: Mapping[str, Any] | None, options: Mapping[str, Any], gpus: int, lengths: DataLengths | None
) -> Estimate | None:
    """The need of each of `gpus` cards, as plans, screens and `estimate` all tell it.

    None for an architecture or for values that cannot be estimated; the checks report those.
    """
    from sft_tui.memory import estimate

    if config is None:
        return None
    try:
        return estimate(config, options, gpus=gpus, longest=lengths.longest if lengths else None)
    except Refusal:
        return None


def fits(
    config: Mapping[str, Any], options: Mapping[str, Any], free_bytes: int, gpus: int, lengths: DataLengths | None
) -> bool:
    """Whether a training fits in `free_bytes` of each card with the estimate's margin; no where nobody can tell."""
    from sft_tui.memory import Fit, judge

    return judge(estimated(config, options, gpus, lengths), free_bytes, free=True) is Fit.FITS


def plan_estimate(
    config: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    cards: tuple[Gpu, ...],
    lengths: DataLengths | None,
    packages: Collection[str],
) -> PlannedEstimate | None:
    """What each of `cards` will need, and what would make it fit that `packages` allow; None where nobody can tell."""
    need = estimated(config, options, len(cards), lengths) if cards else None
    if need is None or config is None:
        return None
    from sft_tui.memory import Fit, fit_options, judge

    free = min(gpu.free_bytes for gpu in cards)
    fit, changes = judge(need, free, free=True), {}
    if fit is Fit.NO:
        known = lengths.known if lengths else None
        limit = free + DRIVER_BYTES
        fitted = fit_options(config, options, limit, gpus=len(cards), packages=packages, lengths=known)
        changes = fitted.changes if fitted.fits else {}
    longest = lengths.longest if lengths else None
    return PlannedEstimate(need.peak_bytes, dict(need.parts), need.margin, fit.value, free, changes, longest)


def planned_disk(config: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of one `checkpoint` and of the `result`; nothing where they cannot be told, which the checks report."""
    from sft_tui.memory import saved_bytes

    try:
        return {} if config is None else saved_bytes(config, options)
    except Refusal:
        return {}


def more_cards(
    situation: Situation, options: Mapping[str, Any], cards: tuple[Gpu, ...]
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """More cards than `cards`, of those that are there, that hold the training together, and the options that divide it
    among them with the same effective batch size; None where none do. Quantized models cannot be divided.
    """
    config = model_config(situation)
    if config is None or options.get("quantization_bit") or options.get("pure_bf16"):
        return None
    whole = [gpu for gpu in situation.gpus.gpus if not gpu.mig]  # slices of a card cannot train together
    lengths = lengths_for(situation, options)
    for count in range(len(cards) + 1, len(whole) + 1):
        together = freest(whole, count)
        free = min(card.free_bytes for card in together)
        for name in ZERO:
            if fits(config, {**options, "deepspeed": name}, free, count, lengths):
                steps, rest = divmod(int(options.get("gradient_accumulation_steps") or 1) * max(len(cards), 1), count)
                same = {} if rest or not steps else {"gradient_accumulation_steps": steps}
                return tuple(sorted(card.index for card in together)), {"deepspeed": name, **same}
    return None
