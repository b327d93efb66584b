"""The training options: answers over preset over what the machine asks for over the guide's defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory.adapter_config import adapter_options
from sft_tui.factory.commands import tensorboard_dir
from sft_tui.factory.deepspeed import ZERO, zero_config, zero_path
from sft_tui.factory.train_config import LORA_KEYS, guide_defaults, guide_keys
from sft_tui.i18n import _
from sft_tui.machine.gpus import DRIVER_BYTES
from sft_tui.plan.estimate import fits, lengths_for, model_config
from sft_tui.plan.length import RunLength, run_length
from sft_tui.plan.names import portable, resolve_path
from sft_tui.plan.sources import parts_of
from sft_tui.presets import Preset, choose_preset
from sft_tui.problems import Refusal
from sft_tui.project.files import read_json
from sft_tui.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import ModelFacts, Situation

_SHARE = 0.1
"""Evaluations and checkpoints of a training whose steps are not known: each tenth of it."""
_FEW_STEPS = 5
"""So many steps at least lie between two evaluations, unless that leaves only the one at the end."""
OptionOrigins = dict[str, str]
"""For each option, where its value came from: answers, preset, machine, default or run."""


def train_options(
    answers: Answers, situation: Situation, cards: tuple[Gpu, ...], choice: Choice
) -> tuple[dict[str, Any], OptionOrigins]:
    """The options of train_config.yaml in the guide's order, and where each came from. Pure."""
    options: dict[str, Any] = {}
    origins: OptionOrigins = {}

    def put(values: Mapping[str, Any], origin: str) -> None:
        options.update(values)
        origins.update(dict.fromkeys(values, origin))

    put(guide_defaults(), "default")
    put(_for_the_machine(situation, cards), "machine")
    put(choice.options, "preset")
    put(_for_the_run(answers, situation), "run")
    put(answers.train, "answers")
    put(_of_the_adapter(situation.model), "run")
    if answers.hardware.launcher == "deepspeed" and not options.get("deepspeed"):
        put({"deepspeed": _zero_for(situation, cards, options)}, "machine")
    if options.get("deepspeed"):
        options["deepspeed"] = deepspeed_from_the_project(situation, options["deepspeed"])
    _settle(options, origins)
    put(_cadence(options, origins, run_length(answers, situation, options, len(cards))), "machine")
    order = {key: index for index, key in enumerate(guide_keys())}
    return {key: options[key] for key in sorted(options, key=lambda k: order.get(k, len(order)))}, origins


def deepspeed_from_the_project(situation: Situation, value: Any) -> Any:
    """`deepspeed` as the training finds it from the project: ours, a file beside the answers or one in the project."""
    if not isinstance(value, str):
        return value
    if value in ZERO:
        return zero_path(situation.run, value)
    found = resolve_path(value, situation.places)
    return portable(found, situation.project) if found is not None else value


def with_contents(options: Mapping[str, Any], places: Iterable[Path], run: str = "") -> dict[str, Any]:
    """`options` for the estimator, which reads no files: with the content of the DeepSpeed file that they name, one of
    the run `run` or one to be found from one of `places`.
    """
    value = options.get("deepspeed")
    if not isinstance(value, str):
        return dict(options)
    found = resolve_path(value, places)
    content = zero_config(run, value) or (read_json(found) if found is not None else None)
    return {**options, "deepspeed": content if isinstance(content, dict) else value}


def _zero_for(situation: Situation, cards: tuple[Gpu, ...], options: dict[str, Any]) -> str:
    """ZeRO-2 where the cards hold the training with it or nobody can tell, otherwise ZeRO-3, which takes longer."""
    config = model_config(situation)
    if not cards or config is None or options.get("quantization_bit") or options.get("pure_bf16"):
        return "zero2"
    free, lengths = min(gpu.free_bytes for gpu in cards), lengths_for(situation, options)
    names = ("zero2", "zero3", "zero3_offload")
    fitting = (n for n in names if fits(config, {**options, "deepspeed": n}, free, len(cards), lengths))
    return next(fitting, "zero3_offload")


@dataclass(frozen=True, slots=True)
class Choice:
    """The preset of the run (None for an unknown name, which the checks report), its options here, and why it is it."""

    preset: Preset | None
    options: dict[str, Any]
    why: str


def by_torchrun(answers: Answers, options: Mapping[str, Any], gpus: int) -> bool:
    """Whether torchrun starts the training's processes: for several cards, for DeepSpeed, or where it is asked for."""
    return gpus > 1 or bool(options.get("deepspeed")) or answers.hardware.launcher == "torchrun"


def choose(answers: Answers, situation: Situation, cards: tuple[Gpu, ...]) -> Choice:
    """The preset that the answers name; with `auto` the largest that the model is estimated to fit with on `cards`."""
    packages = situation.packages
    if answers.preset != "auto":
        named = situation.presets.get(answers.preset)
        return Choice(named, named.options_with(packages) if named else {}, _("given in the answers"))
    if not cards:
        preset = choose_preset(None)
        return Choice(preset, preset.options_with(packages), _("no GPU is used"))
    free = min(gpu.free_bytes for gpu in cards)
    largest = _largest_that_fits(answers, situation, cards, free)
    if largest is None and answers.hardware.wait:  # nothing fits now: what it will have when it has waited
        free = max(free, min(gpu.total_bytes for gpu in cards) - DRIVER_BYTES)
        largest = _largest_that_fits(answers, situation, cards, free)
    if largest is not None:
        why = _("the most that the model is estimated to fit with in {gib:.1f} GiB of free GPU memory")
        return Choice(largest, largest.options_with(packages), why.format(gib=free / GIB))
    from sft_tui.memory.choosing import choose_for_model

    common = with_contents({**guide_defaults(), **answers.train}, situation.places, situation.run)
    lengths = lengths_for(situation, common)
    known = lengths.known if lengths else None
    config = model_config(situation)
    try:
        auto = choose_for_model(free, config, common, packages=packages, lengths=known, gpus=len(cards))
    except Refusal:  # of a model or of values that the checks report
        auto = choose_for_model(free, None, common, packages=packages)
    why = _("the one for {gib:.1f} GiB of free GPU memory").format(gib=free / GIB)
    return Choice(auto.preset, auto.options, "; ".join([why, *auto.changed]))


def _largest_that_fits(
    answers: Answers, situation: Situation, cards: tuple[Gpu, ...], free_bytes: int
) -> Preset | None:
    """The preset for the largest card that the model fits with; None where that cannot be estimated or none does."""
    config = model_config(situation)
    if config is None:
        return None
    card = min(gpu.total_bytes for gpu in cards) / GIB
    presets = [p for p in situation.presets.values() if p.card_gib is not None and not p.guide]
    for preset in sorted(presets, key=lambda p: p.card_gib or 0, reverse=True):
        options = preset.options_with(situation.packages)
        lacking = options.get("quantization_bit") and "bitsandbytes" not in situation.packages
        if (preset.card_gib or 0) * 0.92 > card or lacking:
            continue
        whole = with_contents({**guide_defaults(), **options, **answers.train}, situation.places, situation.run)
        if fits(config, whole, free_bytes, len(cards), lengths_for(situation, whole)):
            return preset
    return None


def _for_the_machine(situation: Situation, cards: tuple[Gpu, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {"preprocessing_num_workers": min(16, situation.system.cpus)}
    packages = situation.packages
    if packages and not packages & {"tensorboard", "tensorboardx"}:
        values["report_to"] = "none"
    if packages and "matplotlib" not in packages:
        values["plot_loss"] = False
    if not cards:
        return values | {"bf16": False, "use_cpu": True}
    if any(gpu.supports_bf16 is False for gpu in cards):
        return values | {"bf16": False, "fp16": True}
    return values


def _for_the_run(answers: Answers, situation: Situation) -> dict[str, Any]:
    return {
        "model_name_or_path": situation.model.path,
        "dataset": situation.trained,
        **_mixed(situation),
        "template": situation.model.template,
        "max_samples": _most_samples(answers, situation),
        "output_dir": f"./saves/{situation.run}",
        "logging_dir": tensorboard_dir(situation.run),
    }


def _mixed(situation: Situation) -> dict[str, Any]:
    """How several sources are mixed, and what is evaluated on."""
    weights = [part.weight for part in situation.parts if part.weight is not None]
    evaluated = [part.registered for part in situation.parts if part.evaluates]
    options: dict[str, Any] = {"eval_dataset": ",".join(evaluated)} if evaluated else {}
    if len(weights) > 1:
        shares = ",".join(repr(weight / sum(weights)) for weight in weights)
        options |= {"mix_strategy": "interleave_under", "interleave_probs": shares}
    return options


def _most_samples(answers: Answers, situation: Situation) -> int | None:
    """`max_samples`, which holds for each data set: the most that any source may have, None where one has no bound."""
    bounds = [part.answers.data.max_samples for part in parts_of(answers, situation)]
    return None if None in bounds else max(bound or 0 for bound in bounds)


def _of_the_adapter(model: ModelFacts) -> dict[str, Any]:
    """What an adapter that is trained further decides: its own shape, whatever preset and answers say."""
    if model.adapter is None:
        return {}
    return {"adapter_name_or_path": model.adapter, **adapter_options(model.adapter_config)}


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
