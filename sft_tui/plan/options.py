"""The training options: answers over preset over what the machine asks for over the guide's defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sft_tui.factory.commands import tensorboard_dir
from sft_tui.factory.deepspeed import ZERO, zero_path
from sft_tui.factory.train_config import LORA_KEYS, guide_defaults, guide_keys
from sft_tui.i18n import _
from sft_tui.machine.gpus import DRIVER_BYTES
from sft_tui.plan.context import chosen_gpus
from sft_tui.plan.estimate import fits, lengths_for, model_config
from sft_tui.plan.length import RunLength, run_length
from sft_tui.presets import Preset, choose_preset
from sft_tui.units import GIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation

_SHARE = 0.1
"""Evaluations and checkpoints of a training whose steps are not known: each tenth of it."""
_FEW_STEPS = 5
"""So many steps at least lie between two evaluations, unless that leaves only the one at the end."""
OptionOrigins = dict[str, str]
"""For each option, where its value came from: answers, preset, machine, default or run."""


def train_options(answers: Answers, situation: Situation) -> tuple[dict[str, Any], OptionOrigins]:
    """The options of train_config.yaml in the guide's order, and where each came from. Pure."""
    options: dict[str, Any] = {}
    origins: OptionOrigins = {}

    def put(values: dict[str, Any], origin: str) -> None:
        for key, value in values.items():
            options[key] = value
            origins[key] = origin

    put(guide_defaults(), "default")
    put(_for_the_machine(answers, situation), "machine")
    put(choose(answers, situation).options, "preset")
    put(_for_the_run(answers, situation), "run")
    put(answers.train, "answers")
    if answers.hardware.launcher == "deepspeed" and not options.get("deepspeed"):
        put({"deepspeed": _zero_for(answers, situation, options)}, "machine")
    if str(options.get("deepspeed")) in ZERO:
        options["deepspeed"] = zero_path(situation.run, str(options["deepspeed"]))
    _settle(options, origins)
    gpus = chosen_gpus(answers, situation.gpus)
    put(_cadence(options, origins, run_length(answers, situation, options, len(gpus))), "machine")
    order = {key: index for index, key in enumerate(guide_keys())}
    return {key: options[key] for key in sorted(options, key=lambda k: order.get(k, len(order)))}, origins


def _zero_for(answers: Answers, situation: Situation, options: dict[str, Any]) -> str:
    """ZeRO-2 where the cards hold the training with it or nobody can tell, otherwise ZeRO-3, which takes longer."""
    gpus, config = chosen_gpus(answers, situation.gpus), model_config(situation)
    if not gpus or config is None or options.get("quantization_bit") or options.get("pure_bf16"):
        return "zero2"
    free = min(gpu.free_bytes for gpu in gpus)
    names = ("zero2", "zero3", "zero3_offload")
    fitting = (n for n in names if fits(situation, {**options, "deepspeed": n}, config, free, len(gpus)))
    return next(fitting, "zero3_offload")


def _importable(situation: Situation) -> set[str]:
    """Names of the training environment's packages as Python imports them (`liger_kernel`)."""
    packages = situation.environment.packages if situation.environment else {}
    return {name.replace("-", "_") for name in packages}


@dataclass(frozen=True, slots=True)
class Choice:
    """The preset of the run (None for an unknown name, which the checks report), its options here, and why it is it."""

    preset: Preset | None
    options: dict[str, Any]
    why: str


def by_torchrun(answers: Answers, options: Mapping[str, Any], gpus: int) -> bool:
    """Whether torchrun starts the training's processes: for several cards, for DeepSpeed, or where it is asked for."""
    return gpus > 1 or bool(options.get("deepspeed")) or answers.hardware.launcher == "torchrun"


def choose(answers: Answers, situation: Situation) -> Choice:
    """The preset that the answers name; with `auto` the largest that the model is estimated to fit with."""
    packages = _importable(situation)
    if answers.preset != "auto":
        named = situation.presets.get(answers.preset)
        return Choice(named, named.options_with(packages) if named else {}, _("given in the answers"))
    gpus = chosen_gpus(answers, situation.gpus)
    if not gpus:
        preset = choose_preset(None)
        return Choice(preset, preset.options_with(packages), _("no GPU is used"))
    free = min(gpu.free_bytes for gpu in gpus)
    largest = _largest_that_fits(answers, situation, gpus, free)
    if largest is None and answers.hardware.wait:  # nothing fits now: what it will have when it has waited
        free = max(free, min(gpu.total_bytes for gpu in gpus) - DRIVER_BYTES)
        largest = _largest_that_fits(answers, situation, gpus, free)
    if largest is not None:
        why = _("the most that the model is estimated to fit with in {gib:.1f} GiB of free GPU memory")
        return Choice(largest, largest.options_with(packages), why.format(gib=free / GIB))
    from sft_tui.memory.choosing import choose_for_model

    common = {**guide_defaults(), **answers.train}
    lengths = lengths_for(situation, common)
    auto = choose_for_model(
        free,
        model_config(situation),
        common,
        packages=packages,
        lengths=lengths.known if lengths else None,
        gpus=len(gpus),
    )
    why = _("the one for {gib:.1f} GiB of free GPU memory").format(gib=free / GIB)
    return Choice(auto.preset, auto.options, "; ".join([why, *auto.changed]))


def _largest_that_fits(answers: Answers, situation: Situation, gpus: tuple[Gpu, ...], free_bytes: int) -> Preset | None:
    """The preset for the largest card that the model fits with; None where that cannot be estimated or none does."""
    config = model_config(situation)
    if config is None:
        return None
    card = min(gpu.total_bytes for gpu in gpus) / GIB
    presets = [p for p in situation.presets.values() if p.card_gib is not None and not p.guide]
    for preset in sorted(presets, key=lambda p: p.card_gib or 0, reverse=True):
        options = preset.options_with(_importable(situation))
        lacking = options.get("quantization_bit") and "bitsandbytes" not in _importable(situation)
        if (preset.card_gib or 0) * 0.92 > card or lacking:
            continue
        if fits(situation, {**guide_defaults(), **options, **answers.train}, config, free_bytes, len(gpus)):
            return preset
    return None


def _for_the_machine(answers: Answers, situation: Situation) -> dict[str, Any]:
    values: dict[str, Any] = {"preprocessing_num_workers": min(16, situation.system.cpus)}
    packages = situation.environment.packages if situation.environment else {}
    if packages and not packages.keys() & {"tensorboard", "tensorboardx"}:
        values["report_to"] = "none"
    if packages and "matplotlib" not in packages:
        values["plot_loss"] = False
    gpus = chosen_gpus(answers, situation.gpus)
    if not gpus:
        return values | {"bf16": False, "use_cpu": True}
    if any(gpu.supports_bf16 is False for gpu in gpus):
        return values | {"bf16": False, "fp16": True}
    return values


def _for_the_run(answers: Answers, situation: Situation) -> dict[str, Any]:
    return {
        "model_name_or_path": situation.model.path,
        "dataset": f"{situation.dataset}_train",
        "template": situation.model.template,
        "max_samples": answers.data.max_samples,
        "output_dir": f"./saves/{situation.run}",
        "logging_dir": tensorboard_dir(situation.run),
    }


def int_of(value: Any) -> int:
    """An option that should be a whole number; 0 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _settle(options: dict[str, Any], origins: OptionOrigins) -> None:
    """Options that follow from others where nobody set them."""
    if options.get("finetuning_type") != "lora":
        for key in LORA_KEYS:
            if origins.get(key) == "default":
                del options[key]
    if "lora_rank" in options and "lora_alpha" not in options and isinstance(options["lora_rank"], int):
        options["lora_alpha"] = 2 * options["lora_rank"]
        origins["lora_alpha"] = "default"
    for precision in ("fp16", "pure_bf16"):
        if options.get(precision) is True and origins.get("bf16") != "answers":
            options["bf16"] = False
    if options.get("use_cpu") is True and origins.get("bf16") not in ("answers", "preset"):
        options["bf16"] = False
    if int_of(options.get("max_steps")) > 0 and origins.get("num_train_epochs") == "default":
        del options["num_train_epochs"]  # the steps win; both beside each other read as if the epochs said something
    if options.get("eval_dataset") and origins.get("val_size") != "answers":
        options["val_size"] = 0.0
    if not options.get("val_size") and not options.get("eval_dataset") and origins.get("eval_strategy") != "answers":
        options["eval_strategy"] = "no"


def _cadence(options: dict[str, Any], origins: OptionOrigins, length: RunLength) -> dict[str, Any]:
    """How often to report, evaluate and save where nobody said: often enough that a curve is seen, and never only
    after the end. Where the steps are not known these are shares of them; where the conversion may leave rows out
    there is room for that.
    """
    unset = {key for key in ("logging_steps", "eval_steps", "save_steps") if origins.get(key) == "default"}
    steps = length.steps
    if steps is None:
        return dict.fromkeys(sorted(unset - {"logging_steps"}), _SHARE)
    values: dict[str, Any] = {}
    if steps < 200:
        values["logging_steps"] = max(1, steps // 20)
    if steps < 500:
        values["eval_steps"] = max(1, steps // 5, min(math.ceil(steps / 2), _FEW_STEPS))
    if steps < 800:
        values["save_steps"] = max(1, math.ceil(steps / 2) if length.exact else steps // 4)
    return {key: value for key, value in values.items() if key in unset}
