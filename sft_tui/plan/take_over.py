"""A train YAML of LLaMA-Factory as answers: what it trains stays the same, and what is not taken over is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft_tui.answers import Answers, validate
from sft_tui.factory.check import FileKind, kind_of, other_kind
from sft_tui.factory.dataset_info import listed_names
from sft_tui.factory.options import Factory
from sft_tui.factory.train_config import guide_defaults
from sft_tui.i18n import _
from sft_tui.plan.check_answers import OWNED, SECRETS
from sft_tui.presets import load_presets
from sft_tui.problems import Problem, Refusal, Severity, refuse

_BY_THE_RUN = frozenset(
    ("do_train", "logging_dir", "overwrite_output_dir", "overwrite_cache", "plot_loss", "ddp_timeout")
)
_NO_MATTER = frozenset((
    "dataset_dir", "stage", "trust_remote_code", "preprocessing_num_workers", "logging_steps", "save_steps",
    "report_to", "include_num_input_tokens_seen", "per_device_eval_batch_size", "eval_steps", "save_only_model",
    "lora_alpha", *_BY_THE_RUN,
))  # fmt: skip
"""Options whose values are the run's own where the file has none: they do not change what is learnt."""
_OF_DATA = ("dataset", "eval_dataset", "dataset_dir", "max_samples", "interleave_probs", "tokenized_path")


def answers_of_config(options: Mapping[str, Any], factory: Factory) -> tuple[Answers, list[Problem]]:
    """The answers that train what a config with `options` trains, and what should be said of them.

    Raises `Refusal` for what is no config of a supervised training with registered data.
    """
    _refuse_others(options, factory)
    left_out = sorted(key for key in options if _is_left_out(key))
    train = {key: value for key, value in options.items() if key not in (*left_out, *_OF_DATA, *OWNED, "template")}
    data = {"sources": _sources(options), "max_samples": options.get("max_samples")}
    evaluated = listed_names(options.get("eval_dataset"))
    if evaluated:
        data["eval"] = _registered(evaluated[0], options)
    model = {"path": options["model_name_or_path"], "adapter": options.get("adapter_name_or_path")}
    problems, answers = validate({
        "model": {**model, "template": options.get("template") or "auto"},
        "data": {key: value for key, value in data.items() if value is not None},
        "train": {**train, **_own_defaults(options, factory)},
    })  # fmt: skip
    if answers is None:
        raise Refusal(problems)
    return answers, list(_notes(options, left_out, evaluated))


def _refuse_others(options: Mapping[str, Any], factory: Factory) -> None:
    other = other_kind(options, factory.options)
    if other is not None:
        raise Refusal([other])
    stage = options.get("stage", "sft")
    if kind_of(options) is not FileKind.TRAIN or not options.get("do_train"):
        message = _("This config trains nothing (`do_train: true` is not in it): there is nothing to take over.")
        raise refuse("nothing_to_take_over", message, key="do_train")
    if stage != "sft" or not options.get("model_name_or_path") or not options.get("dataset"):
        message = _("Only a config with a model, a registered data set and `stage: sft` can be taken over.")
        hint = _("Check it with sft-tui check, and start it yourself: llamafactory-cli train CONFIG")
        raise refuse("nothing_to_take_over", message, key="stage" if stage != "sft" else "dataset", hint=hint)


def _is_left_out(key: str) -> bool:
    owned = key in OWNED and key not in ("model_name_or_path", "adapter_name_or_path", "dataset_dir")
    return owned or key in _BY_THE_RUN or key in SECRETS or key == "tokenized_path" or key.startswith("export_")


def _registered(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"registered": name, "dataset_dir": str(options.get("dataset_dir") or "data")}


def _sources(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The registered data sets, with their weights where they are mixed by some."""
    found = [_registered(name, options) for name in listed_names(options["dataset"])]
    shares = listed_names(options.get("interleave_probs"))
    if len(shares) == len(found) > 1 and options.get("mix_strategy", "concat") != "concat":
        try:
            return [{**source, "weight": float(share)} for source, share in zip(found, shares, strict=True)]
        except ValueError:
            return found
    return found


def _own_defaults(options: Mapping[str, Any], factory: Factory) -> dict[str, Any]:
    """LLaMA-Factory's own values of the options that the guide or a preset would set otherwise."""
    keys = dict.fromkeys([*guide_defaults(), *(key for preset in load_presets().values() for key in preset.options)])
    lora = options.get("finetuning_type", "lora") == "lora"
    absent = [key for key in keys if key not in options and key not in _NO_MATTER and key in factory.options]
    kept = (factory.options[key] for key in absent if lora or not key.startswith("lora_"))
    return {option.name: option.default for option in kept if option.default is not None or option.optional}


def _notes(options: Mapping[str, Any], left_out: list[str], evaluated: list[str]) -> list[Problem]:
    found: list[Problem] = []

    def note(code: str, message: str, severity: Severity = Severity.INFO) -> None:
        found.append(Problem(code, message, severity))

    if left_out:
        message = _("Not taken over, because a run decides it itself: {keys}.")
        note("not_taken_over", message.format(keys=", ".join(f"`{key}`" for key in left_out)), Severity.WARNING)
    if len(evaluated) > 1:
        message = _("It evaluates on {names}; only {first} is taken over.")
        text = message.format(names=", ".join(evaluated), first=evaluated[0])
        note("not_taken_over", text, Severity.WARNING)
    if not options.get("template"):
        note("template_chosen", _("It names no template: one is chosen for the model."), Severity.WARNING)
    note("data_converted", _("Its data sets are read as they are registered, and converted into the run's own."))
    return found
