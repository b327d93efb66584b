"""Whether each preset fits the chosen cards with the chosen model, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.problems import Refusal
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.tui.services import Machine


@dataclass(frozen=True, slots=True)
class PresetFits:
    """The name of the preset that `auto` means here ("" where it is not known); for each preset and for `auto`, which
    changes what does not fit, whether it fits.
    """

    auto: str = ""
    fits: Mapping[str, str] = field(default_factory=dict)


def preset_fits(data: dict[str, Any], answers_path: Path, machine: Machine) -> PresetFits:
    """For each preset for which it can be said: what it needs, what the card has, and whether that fits.

    The source of the examples is left out: memory does not depend on it.
    """
    from sft_tui.answers import validate
    from sft_tui.plan.context import chosen_gpus, gather
    from sft_tui.plan.estimate import plan_estimate
    from sft_tui.plan.options import choose, train_options

    _problems, answers = validate({**data, "data": {"source": "-", "name": "any"}, "preset": "auto", "train": {}})
    if answers is None:
        return PresetFits()
    try:
        situation = replace(gather(answers, answers_path, rows=0), gpus=machine.gpus)
    except Refusal:
        return PresetFits()
    gpus = chosen_gpus(answers, situation.gpus)
    words = {"fits": _("fits"), "tight": _("tight"), "no": _("does not fit")}
    fits = {}
    for name in ("auto", *machine.presets):
        options, _origins = train_options(answers.model_copy(update={"preset": name, "train": {}}), situation)
        need = None if options.get("use_cpu") else plan_estimate(situation, options, gpus)
        if need is not None and need.limit_bytes and need.fit in words:
            text = _("{word}: about {need:.1f} of {have:.1f} GiB")
            have = need.limit_bytes / GIB
            fits[name] = text.format(word=words[need.fit], need=need.peak_bytes / GIB, have=have)
    auto = choose(answers, situation).preset
    return PresetFits(auto.name if auto is not None else "", fits)
