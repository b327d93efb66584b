"""Rules of transformers' training arguments and of its trainer and data loader."""

from __future__ import annotations

import json
from typing import Any

from sft_tui.factory.check.context import Findings, Test
from sft_tui.factory.check.rules.rule import Rule, method_of, stage_of
from sft_tui.i18n import N_

_MIN_LR = frozenset(("num_cycles", "min_lr", "min_lr_rate"))
# What each scheduler takes in `lr_scheduler_kwargs` (transformers' optimization.py); the constant ones ignore it.
_SCHEDULER_KWARGS: dict[str, frozenset[str]] = {
    "linear": frozenset(),
    "cosine": frozenset(("num_cycles",)),
    "cosine_with_restarts": frozenset(("num_cycles",)),
    "polynomial": frozenset(("lr_end", "power")),
    "inverse_sqrt": frozenset(("timescale",)),
    "cosine_with_min_lr": _MIN_LR,
    "cosine_warmup_with_min_lr": _MIN_LR | {"warmup_lr_rate"},
    "warmup_stable_decay": frozenset(
        ("num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles")
    ),
    "reduce_lr_on_plateau": frozenset(
        ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps")
    ),
}


def _kwargs(f: Findings) -> dict[str, Any]:
    """`lr_scheduler_kwargs` as a mapping, empty where it is none."""
    value = f.get("lr_scheduler_kwargs")
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _strange_kwarg(f: Findings) -> bool:
    known = _SCHEDULER_KWARGS.get(str(f.get("lr_scheduler_type")))
    return known is not None and not set(_kwargs(f)) <= known


def _end_above_start(f: Findings) -> bool:
    end = _kwargs(f).get("lr_end", 1e-7)
    rate = f.number("learning_rate")
    return f.get("lr_scheduler_type") == "polynomial" and isinstance(end, int | float) and 0 < rate <= end


def _unknown_metric(f: Findings) -> bool:
    metric = f.get("metric_for_best_model")
    if not isinstance(metric, str) or f.get("eval_strategy") == "no" or not f.on("do_train") or stage_of(f) != "sft":
        return False
    name = metric.removeprefix("eval_")
    timing = ("loss", "runtime", "samples_per_second", "steps_per_second")
    if name in timing or f.on("eval_on_each_dataset"):
        return False
    if f.on("predict_with_generate"):
        return name not in ("bleu-4", "rouge-1", "rouge-2", "rouge-l")
    return not (name == "accuracy" and f.on("compute_accuracy"))


def _not_whole(name: str, strategy: str) -> Test:
    return lambda f: f.get(strategy) == "steps" and f.number(name) > 1 and f.number(name) != int(f.number(name))


def _best_model_steps(f: Findings) -> bool:
    """transformers: with `steps`, saving must fall on an evaluation."""
    if not (f.on("load_best_model_at_end") and f.get("save_strategy") == f.get("eval_strategy") == "steps"):
        return False
    save, evaluate = f.number("save_steps"), f.number("eval_steps") or f.number("logging_steps")
    if evaluate == 0 or (save < 1) != (evaluate < 1):
        return evaluate != 0
    return round(save * 1_000_000) % round(evaluate * 1_000_000) != 0


def _exists(f: Findings, key: str) -> bool:
    value = f.get(key)
    return isinstance(value, str) and f.context.resolve(value).exists()


def _local_dataset(f: Findings) -> bool:
    value = f.get("dataset_dir")
    return isinstance(value, str) and value != "ONLINE" and not value.startswith("REMOTE:") and f.given("dataset")


# accelerate's names of compilers.
_COMPILERS = frozenset((
    "NO", "EAGER", "AOT_EAGER", "INDUCTOR", "AOT_TS_NVFUSER", "NVPRIMS_NVFUSER", "CUDAGRAPHS", "OFI", "FX2TRT",
    "ONNXRT", "TENSORRT", "AOT_TORCHXLA_TRACE_ONCE", "TORCHXLA_TRACE_ONCE", "IPEX", "TVM", "HPU_BACKEND",
))  # fmt: skip

_ACCELERATOR = frozenset((
    "split_batches", "dispatch_batches", "even_batches", "use_seedable_sampler", "non_blocking",
    "gradient_accumulation_kwargs", "use_configured_state",
))  # fmt: skip

RULES: tuple[Rule, ...] = (
    # transformers' training arguments
    Rule(
        "fp16",
        lambda f: f.on("fp16") and f.on("bf16"),
        N_("`fp16` and `bf16` exclude each other."),
        N_("Keep `bf16` on cards from Ampere (RTX 30, A100) on, `fp16` on older ones."),
        ("set", False),
    ),
    Rule(
        "fp16_full_eval",
        lambda f: f.on("fp16_full_eval") and f.on("bf16_full_eval"),
        N_("`fp16_full_eval` and `bf16_full_eval` exclude each other."),
        N_("Keep one of the two lines."),
        ("unset",),
    ),
    Rule(
        "logging_steps",
        lambda f: f.get("logging_strategy") == "steps" and f.number("logging_steps") == 0,
        N_("`logging_steps` is 0, but something must be logged."),
        N_("Write `logging_steps: 10`."),
        ("set", 10),
        code="out_of_range",
    ),
    *(
        Rule(
            steps,
            _not_whole(steps, strategy),
            N_("`{key}` must be a whole number when it is greater than 1."),
            N_("Write a whole number, or a share between 0 and 1."),
            code="out_of_range",
        )
        for steps, strategy in (
            ("logging_steps", "logging_strategy"),
            ("eval_steps", "eval_strategy"),
            ("save_steps", "save_strategy"),
        )
    ),
    Rule(
        "load_best_model_at_end",
        lambda f: (
            f.on("load_best_model_at_end")
            and f.get("save_strategy") != "best"
            and f.get("save_strategy") != f.get("eval_strategy")
        ),
        N_("`load_best_model_at_end` needs `eval_strategy` and `save_strategy` to be the same."),
        N_("Set both to `steps` (or both to `epoch`), or delete `load_best_model_at_end`."),
        ("unset",),
    ),
    Rule(
        "load_best_model_at_end",
        _best_model_steps,
        N_("`load_best_model_at_end` needs `save_steps` to be a multiple of `eval_steps`."),
        N_("Set `save_steps` and `eval_steps` to the same number."),
        ("unset",),
    ),
    Rule(
        "lr_scheduler_type",
        lambda f: f.get("lr_scheduler_type") in ("reduce_lr_on_plateau", "greedy") and f.get("eval_strategy") == "no",
        N_("This `lr_scheduler_type` follows the evaluation loss, but `eval_strategy` is `no`."),
        N_("Set `eval_strategy: steps` with a validation set, or use `lr_scheduler_type: cosine`."),
        ("set", "cosine"),
    ),
    Rule(
        "dataloader_prefetch_factor",
        lambda f: f.given("dataloader_prefetch_factor") and f.number("dataloader_num_workers") == 0,
        N_("`dataloader_prefetch_factor` needs `dataloader_num_workers` of at least 1."),
        N_("Delete the line, or set `dataloader_num_workers: 2`."),
        ("unset",),
    ),
    Rule(
        "lr_scheduler_type",
        lambda f: (
            f.get("lr_scheduler_type") in ("cosine_with_min_lr", "cosine_warmup_with_min_lr")
            and all(_kwargs(f).get(name) is None for name in ("min_lr", "min_lr_rate"))
        ),
        N_("This `lr_scheduler_type` needs a lowest rate in `lr_scheduler_kwargs`."),
        N_("Add `lr_scheduler_kwargs: {min_lr_rate: 0.1}`."),
        ("set", {"min_lr_rate": 0.1}, "lr_scheduler_kwargs"),
    ),
    Rule(
        "lr_scheduler_kwargs",
        _strange_kwarg,
        N_("`lr_scheduler_kwargs` has a key that this `lr_scheduler_type` does not take."),
        N_("Delete the line; each `lr_scheduler_type` has its own keys (`num_cycles`, `min_lr_rate`, `power`...)."),
        ("unset",),
    ),
    Rule(
        "lr_scheduler_kwargs",
        _end_above_start,
        N_("`lr_end` in `lr_scheduler_kwargs` must be smaller than the `learning_rate`."),
        N_("Write for example `lr_scheduler_kwargs: {lr_end: 1.0e-7}`."),
        code="out_of_range",
    ),
    Rule(
        "lr_scheduler_kwargs",
        lambda f: {"min_lr", "min_lr_rate"} <= set(_kwargs(f)) and "min_lr" in str(f.get("lr_scheduler_type")),
        N_("`lr_scheduler_kwargs` has both `min_lr` and `min_lr_rate`, which exclude each other."),
        N_("Keep one of them."),
    ),
    Rule(
        "accelerator_config",
        lambda f: (
            isinstance(f.get("accelerator_config"), dict) and not set(f.get("accelerator_config")) <= _ACCELERATOR
        ),
        N_("`accelerator_config` has a key that accelerate does not know."),
        N_("Delete the line; its keys are split_batches, dispatch_batches, even_batches, use_seedable_sampler..."),
        ("unset",),
    ),
    Rule(
        "optim_args",
        lambda f: (
            isinstance(f.get("optim_args"), str)
            and any(part.count("=") != 1 for part in f.get("optim_args").split(",") if f.get("optim_args"))
        ),
        N_("`optim_args` must be a list of `name=value`, separated by commas."),
        N_("Delete the line, or write for example `optim_args: momentum=0.9`."),
        ("unset",),
    ),
    Rule(
        "torch_compile_backend",
        lambda f: (
            isinstance(f.get("torch_compile_backend"), str)
            and str(f.get("torch_compile_backend")).upper() not in _COMPILERS
        ),
        N_("This `torch_compile_backend` does not exist."),
        N_("Delete the line; `inductor` is the usual one."),
        ("set", "inductor"),
        code="bad_choice",
    ),
    Rule(
        "metric_for_best_model",
        _unknown_metric,
        N_("Evaluations do not compute this `metric_for_best_model`."),
        N_("Use `eval_loss`; accuracy needs `compute_accuracy: true`."),
        ("set", "eval_loss"),
    ),
    Rule(
        "save_strategy",
        lambda f: (
            f.get("save_strategy") == "best"
            and not f.given("metric_for_best_model")
            and not f.on("load_best_model_at_end")
        ),
        N_("`save_strategy: best` needs to know by which metric: `metric_for_best_model` is missing."),
        N_("Add `metric_for_best_model: eval_loss`."),
        ("set", "eval_loss", "metric_for_best_model"),
    ),
    *(
        Rule(
            key,
            lambda f, key=key: isinstance(f.get(key), int) or f.number(key) == 1,  # type: ignore[misc]
            N_("`{key}` must be a decimal number below 1."),
            N_("Delete the line for the default."),
            ("unset",),
            code="out_of_range",
        )
        for key in ("adam_beta1", "adam_beta2")
    ),
    Rule(
        "flash_attn",
        lambda f: f.get("flash_attn") == "fa3",
        N_("LLaMA-Factory uses FlashAttention-3 only for gpt-oss, where it sets it by itself."),
        N_("Set `flash_attn: fa2` or `auto`."),
        ("set", "auto"),
    ),
    Rule(
        "freeze_trainable_layers",
        lambda f: method_of(f) == "freeze" and f.options.get("freeze_trainable_layers") == 0,
        N_("With `freeze_trainable_layers: 0` nothing can be trained."),
        N_("Write the number of layers, for example 2."),
        ("set", 2),
        code="out_of_range",
    ),
    # the data loader and the trainer
    Rule(
        "dataloader_persistent_workers",
        lambda f: f.on("dataloader_persistent_workers") and f.number("dataloader_num_workers") == 0,
        N_("`dataloader_persistent_workers` needs `dataloader_num_workers` of at least 1."),
        N_("Delete the line, or set `dataloader_num_workers: 2`."),
        ("unset",),
    ),
    Rule(
        "tokenized_path",
        lambda f: f.on("streaming") and f.given("tokenized_path") and not _exists(f, "tokenized_path"),
        N_("A tokenized dataset cannot be saved while `streaming`."),
        N_("Delete `streaming` for the run that tokenizes, or delete `tokenized_path`."),
        ("unset",),
    ),
    Rule(
        "dataloader_num_workers",
        lambda f: f.on("streaming") and f.number("dataloader_num_workers") < 1 and _local_dataset(f),
        N_("Streaming a local file needs `dataloader_num_workers` of at least 1; with 0 it ends in `StopIteration`."),
        N_("Add `dataloader_num_workers: 1`."),
        ("set", 1),
    ),
    Rule(
        "early_stopping_steps",
        lambda f: f.given("early_stopping_steps") and f.on("do_train") and f.get("eval_strategy") == "no",
        N_("Early stopping watches the evaluation, but `eval_strategy` is `no`."),
        N_("Set `eval_strategy: steps` with a validation set, or delete the line."),
        ("unset",),
    ),
    Rule(
        "early_stopping_steps",
        lambda f: (
            f.given("early_stopping_steps")
            and f.on("do_train")
            and f.get("eval_strategy") != "no"
            and not f.on("load_best_model_at_end")
            and not f.given("metric_for_best_model")
        ),
        N_("Early stopping needs `load_best_model_at_end: true` (or a `metric_for_best_model`)."),
        N_("Add `load_best_model_at_end: true`."),
        ("set", True, "load_best_model_at_end"),
    ),
)
