"""Options that exclude or need each other: the rules of LLaMA-Factory's argument classes and of its parser, as a table.

Each rule names the option that LLaMA-Factory's own message is about. Read from `hparams/*.py` of 0.9.5 and from
`TrainingArguments.__post_init__` of transformers 5.6; rules that need a GPU or files are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sft_tui.factory.check.context import Findings, Test
from sft_tui.i18n import N_, _


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` it holds, the option `key` is wrong. `fix` is as in `Findings`; `merge` rules hold in a merge too."""

    key: str
    when: Test
    message: str
    hint: str
    fix: tuple[Any, ...] | None = None
    merge: bool = False
    code: str = "conflict"


def _zero3(f: Findings) -> bool:
    from sft_tui.factory.check.deepspeed import zero_stage

    return zero_stage(f) == 3


def _stage(f: Findings) -> str:
    return str(f.get("stage"))


def _method(f: Findings) -> str:
    return str(f.get("finetuning_type"))


def _evaluates(f: Findings) -> bool:
    return f.on("do_eval") or f.get("eval_strategy") not in ("no", None)


def _has_eval_set(f: Findings) -> bool:
    return f.given("eval_dataset") or f.number("val_size") >= 1e-6


def _mismatched_probs(f: Findings, key: str) -> bool:
    return f.given("interleave_probs") and f.given(key) and len(f.words(key)) != len(f.words("interleave_probs"))


def _bad_probs(f: Findings) -> bool:
    try:
        return f.given("interleave_probs") and not [float(word) for word in f.words("interleave_probs")]
    except ValueError:
        return True


def _probs_sum(f: Findings) -> bool:
    try:
        return f.given("interleave_probs") and abs(sum(map(float, f.words("interleave_probs"))) - 1) > 1e-6
    except ValueError:
        return False


def _has_kwarg(f: Findings, *names: str) -> bool:
    """Whether `lr_scheduler_kwargs`, a mapping or JSON, has one of the names."""
    value = f.get("lr_scheduler_kwargs")
    if isinstance(value, dict):
        return any(value.get(name) is not None for name in names)
    return isinstance(value, str) and any(f'"{name}"' in value for name in names)


def _unknown_metric(f: Findings) -> bool:
    metric = f.get("metric_for_best_model")
    if not isinstance(metric, str) or f.get("eval_strategy") == "no" or not f.on("do_train") or _stage(f) != "sft":
        return False
    name = metric.removeprefix("eval_")
    timing = ("loss", "runtime", "samples_per_second", "steps_per_second")
    if name in timing or f.on("eval_on_each_dataset"):
        return False
    if f.on("predict_with_generate"):
        return name not in ("bleu-4", "rouge-1", "rouge-2", "rouge-l")
    return not (name == "accuracy" and f.on("compute_accuracy"))


_FSDP = frozenset(
    ("full_shard", "shard_grad_op", "no_shard", "hybrid_shard", "hybrid_shard_zero2", "offload", "auto_wrap")
)


def _fsdp_words(f: Findings) -> list[str]:
    value = f.get("fsdp")
    return value.split() if isinstance(value, str) else [str(item) for item in value] if isinstance(value, list) else []


def _old_datasets(f: Findings) -> bool:
    version = f.context.factory.versions.get("datasets", "4.0.0").split(".")
    return version[0].isdigit() and (int(version[0]), version[1] if len(version) > 1 else "0") <= (4, "0")


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


RULES: tuple[Rule, ...] = (
    # model arguments
    Rule(
        "model_name_or_path",
        lambda f: not f.given("model_name_or_path") and "model_name_or_path" not in f.bad,
        N_("`model_name_or_path` is missing."),
        N_("Add the model: a local directory with config.json, or a hub id."),
        merge=True,
        code="missing_key",
    ),
    Rule(
        "image_max_pixels",
        lambda f: f.number("image_max_pixels") < f.number("image_min_pixels"),
        N_("`image_max_pixels` is smaller than `image_min_pixels`."),
        N_("Enlarge `image_max_pixels` or delete both lines."),
        merge=True,
    ),
    Rule(
        "video_max_pixels",
        lambda f: f.number("video_max_pixels") < f.number("video_min_pixels"),
        N_("`video_max_pixels` is smaller than `video_min_pixels`."),
        N_("Enlarge `video_max_pixels` or delete both lines."),
        merge=True,
    ),
    Rule(
        "export_quantization_bit",
        lambda f: f.given("export_quantization_bit") and not f.given("export_quantization_dataset"),
        N_("Quantizing at export needs `export_quantization_dataset`, which is missing."),
        N_("Name a dataset file for the calibration, or delete `export_quantization_bit`."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "adapter_name_or_path",
        lambda f: f.given("adapter_name_or_path") and _method(f) != "lora",
        N_("An adapter works only with `finetuning_type: lora`."),
        N_("Set `finetuning_type: lora` or delete `adapter_name_or_path`."),
        ("set", "lora", "finetuning_type"),
        merge=True,
    ),
    Rule(
        "quantization_bit",
        lambda f: f.given("quantization_bit") and _method(f) not in ("lora", "oft"),
        N_("Quantization works only with `finetuning_type: lora` or `oft`."),
        N_("Set `finetuning_type: lora` or delete `quantization_bit`."),
        ("set", "lora", "finetuning_type"),
        merge=True,
    ),
    Rule(
        "pissa_init",
        lambda f: f.given("quantization_bit") and _method(f) in ("lora", "oft") and f.on("pissa_init"),
        N_("PiSSA cannot be initialised on a quantized model."),
        N_("Delete `pissa_init`, or prepare the model with LLaMA-Factory's scripts/pissa_init.py."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "resize_vocab",
        lambda f: f.given("quantization_bit") and f.on("resize_vocab"),
        N_("The vocabulary of a quantized model cannot be resized."),
        N_("Delete `resize_vocab` or `quantization_bit`."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "create_new_adapter",
        lambda f: f.given("quantization_bit") and f.given("adapter_name_or_path") and f.on("create_new_adapter"),
        N_("A new adapter cannot be created upon an adapter on a quantized model."),
        N_("Delete `create_new_adapter`, or merge the adapter first."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "adapter_name_or_path",
        lambda f: f.given("quantization_bit") and len(f.words("adapter_name_or_path")) > 1,
        N_("A quantized model accepts a single adapter."),
        N_("Merge the adapters into the model first."),
        merge=True,
    ),
    Rule(
        "quantization_bit",
        lambda f: (
            f.given("quantization_bit")
            and f.get("quantization_method") == "bnb"
            and f.get("quantization_bit") not in (4, 8)
        ),
        N_("bitsandbytes quantizes to 4 or 8 bits only."),
        N_("Write `quantization_bit: 4` or 8."),
        ("set", 4),
        merge=True,
        code="bad_choice",
    ),
    Rule(
        "quantization_bit",
        lambda f: (
            f.given("quantization_bit")
            and f.get("quantization_method") == "hqq"
            and f.get("quantization_bit") not in (8, 6, 5, 4, 3, 2, 1)
        ),
        N_("HQQ quantizes to 1, 2, 3, 4, 5, 6 or 8 bits only."),
        N_("Write `quantization_bit: 4`."),
        merge=True,
        code="bad_choice",
    ),
    Rule(
        "quantization_bit",
        lambda f: (
            f.given("quantization_bit") and f.get("quantization_method") == "eetq" and f.get("quantization_bit") != 8
        ),
        N_("EETQ quantizes to 8 bits only."),
        N_("Write `quantization_bit: 8`."),
        merge=True,
        code="bad_choice",
    ),
    # data arguments
    Rule(
        "val_size",
        lambda f: f.number("val_size") > 1e-6 and f.given("eval_dataset"),
        N_("`val_size` and `eval_dataset` exclude each other."),
        N_("Delete one of the two lines."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "val_size",
        lambda f: f.number("val_size") > 1e-6 and not f.given("dataset") and not f.given("eval_dataset"),
        N_("`val_size` cuts off a part of `dataset`, which is missing."),
        N_("Name a dataset, or delete `val_size`."),
        merge=True,
    ),
    Rule(
        "interleave_probs",
        lambda f: f.given("interleave_probs") and f.get("mix_strategy") == "concat",
        N_("`interleave_probs` needs an interleaving `mix_strategy`; it is `concat`."),
        N_("Set `mix_strategy: interleave_under` or delete `interleave_probs`."),
        ("set", "interleave_under", "mix_strategy"),
        merge=True,
    ),
    Rule(
        "mix_strategy",
        lambda f: f.get("mix_strategy") == "interleave_once" and len(f.words("dataset")) > 1 and _old_datasets(f),
        N_("The installed dataset library does not know `interleave_once`."),
        N_("Use `interleave_under`, `interleave_over` or `concat`."),
        ("set", "interleave_under"),
        merge=True,
    ),
    Rule(
        "fsdp",
        lambda f: f.given("fsdp") and not set(_fsdp_words(f)) <= _FSDP,
        N_("`fsdp` has a word that is none of its options."),
        N_("Possible are: full_shard, shard_grad_op, hybrid_shard, no_shard, offload, auto_wrap."),
        ("set", "full_shard auto_wrap"),
        code="bad_choice",
    ),
    Rule(
        "interleave_probs",
        _bad_probs,
        N_("`interleave_probs` is no comma-separated list of numbers."),
        N_("Write one share a dataset, for example `0.7,0.3`."),
        merge=True,
    ),
    Rule(
        "interleave_probs",
        lambda f: _mismatched_probs(f, "dataset") or _mismatched_probs(f, "eval_dataset"),
        N_("`interleave_probs` has not as many numbers as there are datasets."),
        N_("Write one share a dataset, for example `0.7,0.3`."),
        merge=True,
    ),
    Rule(
        "interleave_probs",
        _probs_sum,
        N_("The numbers in `interleave_probs` do not add up to 1."),
        N_("Write shares such as `0.7,0.3`."),
        merge=True,
        code="out_of_range",
    ),
    Rule(
        "val_size",
        lambda f: f.on("streaming") and 1e-6 < f.number("val_size") < 1,
        N_("With `streaming` the validation set must be a number of rows; a share is not possible."),
        N_("Write for example `val_size: 100`."),
        merge=True,
    ),
    Rule(
        "max_samples",
        lambda f: f.on("streaming") and f.given("max_samples"),
        N_("`max_samples` and `streaming` exclude each other."),
        N_("Delete one of the two lines."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "mask_history",
        lambda f: f.on("mask_history") and f.on("train_on_prompt"),
        N_("`mask_history` and `train_on_prompt` exclude each other."),
        N_("Delete one of the two lines."),
        ("unset",),
        merge=True,
    ),
    # fine-tuning arguments
    Rule(
        "reward_model",
        lambda f: _stage(f) == "ppo" and not f.given("reward_model"),
        N_("PPO needs a `reward_model`."),
        N_("Name the reward model, or choose another stage."),
        merge=True,
        code="missing_key",
    ),
    Rule(
        "reward_model_type",
        lambda f: _stage(f) == "ppo" and f.get("reward_model_type") == "lora" and _method(f) != "lora",
        N_("A LoRA reward model needs `finetuning_type: lora`."),
        N_("Set `reward_model_type: full` or `finetuning_type: lora`."),
        ("set", "full"),
        merge=True,
    ),
    Rule(
        "dpo_label_smoothing",
        lambda f: _stage(f) == "dpo" and f.get("pref_loss") != "sigmoid" and f.number("dpo_label_smoothing") > 1e-6,
        N_("`dpo_label_smoothing` works only with `pref_loss: sigmoid`."),
        N_("Delete the line, or set `pref_loss: sigmoid`."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "use_llama_pro",
        lambda f: f.on("use_llama_pro") and _method(f) == "full",
        N_("`use_llama_pro` works only with `finetuning_type: freeze` or `lora`."),
        N_("Delete the line, or set `finetuning_type: freeze`."),
        ("unset",),
        merge=True,
    ),
    *(
        Rule(
            key,
            lambda f, key=key: f.on(key) and _method(f) == "lora",  # type: ignore[misc]
            N_("`{key}` is an optimizer for full training and cannot be used with LoRA."),
            N_("Delete the line, or set `finetuning_type: full`."),
            ("unset",),
            merge=True,
        )
        for key in ("use_galore", "use_apollo", "use_badam")
    ),
    Rule(
        "use_galore",
        lambda f: _method(f) != "lora" and sum(map(f.on, ("use_galore", "use_apollo", "use_badam"))) > 1,
        N_("Only one of `use_galore`, `use_apollo` and `use_badam` can be on."),
        N_("Keep one of them."),
        merge=True,
    ),
    Rule(
        "pissa_init",
        lambda f: (
            f.on("pissa_init")
            and (_stage(f) in ("ppo", "kto") or (_stage(f) == "dpo" and f.get("pref_loss") not in ("orpo", "simpo")))
        ),
        N_("PiSSA does not work in this stage."),
        N_("Delete `pissa_init`."),
        ("unset",),
        merge=True,
    ),
    *(
        Rule(
            key,
            lambda f, key=key: _method(f) != "lora" and f.given(key) and bool(f.get(key)),  # type: ignore[misc]
            N_("`{key}` works only with `finetuning_type: lora`."),
            N_("Delete the line, or set `finetuning_type: lora`."),
            ("unset",),
            merge=True,
        )
        for key in ("loraplus_lr_ratio", "use_rslora", "use_dora", "pissa_init")
    ),
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
            and not _has_kwarg(f, "min_lr", "min_lr_rate")
        ),
        N_("This `lr_scheduler_type` needs a lowest rate in `lr_scheduler_kwargs`."),
        N_("Add `lr_scheduler_kwargs: {min_lr_rate: 0.1}`."),
        ("set", {"min_lr_rate": 0.1}, "lr_scheduler_kwargs"),
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
        lambda f: _method(f) == "freeze" and f.options.get("freeze_trainable_layers") == 0,
        N_("With `freeze_trainable_layers: 0` nothing can be trained."),
        N_("Write the number of layers, for example 2."),
        ("set", 2),
        code="out_of_range",
    ),
    # LLaMA-Factory's parser
    Rule(
        "predict_with_generate",
        lambda f: _stage(f) != "sft" and f.on("predict_with_generate"),
        N_("`predict_with_generate` works only with `stage: sft`."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "neat_packing",
        lambda f: _stage(f) != "sft" and f.on("neat_packing"),
        N_("`neat_packing` works only with `stage: sft`."),
        N_("Delete the line."),
        ("unset",),
    ),
    *(
        Rule(
            key,
            lambda f, key=key: _stage(f) != "sft" and f.on(key),  # type: ignore[misc]
            N_("`{key}` works only with `stage: sft`."),
            N_("Delete the line."),
            ("unset",),
        )
        for key in ("train_on_prompt", "mask_history")
    ),
    Rule(
        "do_predict",
        lambda f: _stage(f) == "sft" and f.on("do_predict") and not f.on("predict_with_generate"),
        N_("`do_predict` writes what the model generates, so it needs `predict_with_generate: true`."),
        N_("Add `predict_with_generate: true`, or delete `do_predict`."),
        ("set", True, "predict_with_generate"),
    ),
    Rule(
        "load_best_model_at_end",
        lambda f: _stage(f) in ("rm", "ppo") and f.on("load_best_model_at_end"),
        N_("Stages `rm` and `ppo` do not support `load_best_model_at_end`."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "stage",
        lambda f: _stage(f) == "ppo" and not f.on("do_train"),
        N_("PPO can only train; it needs `do_train: true`."),
        N_("Add `do_train: true`, or use `stage: sft` to evaluate."),
        ("set", True, "do_train"),
    ),
    Rule(
        "shift_attn",
        lambda f: _stage(f) == "ppo" and f.on("shift_attn"),
        N_("PPO does not work with `shift_attn`."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "max_steps",
        lambda f: f.on("streaming") and f.number("max_steps") == -1,
        N_("With `streaming` the length of the data is unknown, so `max_steps` must be given."),
        N_("Add `max_steps`, or delete `streaming`."),
        code="missing_key",
    ),
    Rule(
        "dataset",
        lambda f: f.on("do_train") and not f.given("dataset") and "dataset" not in f.bad,
        N_("`dataset` is missing."),
        N_("Name a dataset of dataset_info.json."),
        code="missing_key",
    ),
    Rule(
        "eval_strategy",
        lambda f: _evaluates(f) and not _has_eval_set(f) and f.get("eval_strategy") != "no",
        N_("`eval_strategy` asks for an evaluation, but there is nothing to evaluate on."),
        N_("Add `val_size: 0.1` or an `eval_dataset`, or set `eval_strategy: no` (in quotes)."),
        ("set", 0.1, "val_size"),
        code="no_eval_set",
    ),
    Rule(
        "do_eval",
        lambda f: f.on("do_eval") and not _has_eval_set(f) and f.get("eval_strategy") in ("no", None),
        N_("`do_eval` asks for an evaluation, but there is nothing to evaluate on."),
        N_("Add `val_size: 0.1` or an `eval_dataset`, or delete `do_eval`."),
        ("set", 0.1, "val_size"),
        code="no_eval_set",
    ),
    Rule(
        "do_predict",
        lambda f: f.on("do_predict") and f.on("predict_with_generate") and not _evaluates(f) and not _has_eval_set(f),
        N_("`do_predict` needs an `eval_dataset` or a `val_size`."),
        N_("Name the dataset to predict on: `eval_dataset: ...`."),
        code="no_eval_set",
    ),
    Rule(
        "predict_with_generate",
        lambda f: (
            f.on("predict_with_generate") and not f.on("do_predict") and not _evaluates(f) and not _has_eval_set(f)
        ),
        N_("`predict_with_generate` needs an `eval_dataset` or a `val_size`."),
        N_("Delete the line, or name an `eval_dataset`."),
        ("unset",),
        code="no_eval_set",
    ),
    Rule(
        "predict_with_generate",
        lambda f: f.on("predict_with_generate") and _zero3(f),
        N_("`predict_with_generate` does not work with DeepSpeed ZeRO-3."),
        N_("Delete the line, or use ZeRO-2."),
        ("unset",),
    ),
    Rule(
        "compute_accuracy",
        lambda f: f.on("predict_with_generate") and f.on("compute_accuracy"),
        N_("`compute_accuracy` and `predict_with_generate` exclude each other."),
        N_("Delete one of the two lines."),
        ("unset",),
    ),
    Rule(
        "quantization_device_map",
        lambda f: f.on("do_train") and f.get("quantization_device_map") == "auto",
        N_("`quantization_device_map: auto` is for inference and cannot be used in training."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "pissa_init",
        lambda f: f.on("pissa_init") and _zero3(f),
        N_("PiSSA does not work with DeepSpeed ZeRO-3."),
        N_("Delete `pissa_init`, or use ZeRO-2."),
        ("unset",),
    ),
    Rule(
        "pure_bf16",
        lambda f: f.on("pure_bf16") and _zero3(f),
        N_("`pure_bf16` does not work with DeepSpeed ZeRO-3."),
        N_("Use `bf16: true` instead."),
        ("unset",),
    ),
    *(
        Rule(
            key,
            lambda f, key=key: f.given("deepspeed") and f.on(key),  # type: ignore[misc]
            N_("`{key}` does not work with DeepSpeed."),
            N_("Delete the line, or delete `deepspeed`."),
            ("unset",),
        )
        for key in ("use_galore", "use_apollo")
    ),
    *(
        Rule(
            layerwise,
            lambda f, use=use, layerwise=layerwise: bool(f.context.distributed) and f.on(use) and f.on(layerwise),  # type: ignore[misc]
            N_("`{key}` does not work with several processes."),
            N_("Delete the line, or train on one GPU."),
            ("unset",),
        )
        for use, layerwise in (("use_galore", "galore_layerwise"), ("use_apollo", "apollo_layerwise"))
    ),
    Rule(
        "badam_mode",
        lambda f: bool(f.context.distributed) and f.on("use_badam") and f.get("badam_mode") == "ratio",
        N_("`badam_mode: ratio` does not work with several processes."),
        N_("Set `badam_mode: layer` with ZeRO-3, or train on one GPU."),
        ("set", "layer"),
    ),
    Rule(
        "fp8",
        lambda f: f.on("fp8") and f.given("quantization_bit"),
        N_("`fp8` and `quantization_bit` exclude each other."),
        N_("Delete one of the two lines."),
        ("unset",),
    ),
    Rule(
        "infer_backend",
        lambda f: f.get("infer_backend") not in ("huggingface", None),
        N_("vLLM and SGLang are for chatting; training needs `infer_backend: huggingface`."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "use_unsloth",
        lambda f: f.on("use_unsloth") and _zero3(f),
        N_("Unsloth does not work with DeepSpeed ZeRO-3."),
        N_("Delete `use_unsloth`, or use ZeRO-2."),
        ("unset",),
    ),
    Rule(
        "use_unsloth",
        lambda f: f.on("use_unsloth") and _method(f) == "oft",
        N_("Unsloth does not work with `finetuning_type: oft`."),
        N_("Delete `use_unsloth`, or set `finetuning_type: lora`."),
        ("unset",),
    ),
    Rule(
        "use_kt",
        lambda f: f.on("use_kt") and (_zero3(f) or _method(f) != "lora"),
        N_("KTransformers works only with LoRA and without ZeRO-3."),
        N_("Delete `use_kt`, or set `finetuning_type: lora`."),
        ("unset",),
    ),
    Rule(
        "use_asft_loss",
        lambda f: f.on("use_asft_loss") and _method(f) == "lora" and not f.given("ref_model"),
        N_("`use_asft_loss` compares with a reference model, which LoRA does not keep."),
        N_("Set `finetuning_type: full`, name a `ref_model`, or delete the line."),
        ("unset",),
    ),
    Rule(
        "oft_block_size",
        lambda f: _method(f) == "oft" and not f.number("oft_rank") and f.options.get("oft_block_size") == 0,
        N_("OFT needs either `oft_block_size` or `oft_rank`; both are 0."),
        N_("Write `oft_block_size: 32`."),
        ("set", 32),
    ),
    Rule(
        "oft_rank",
        lambda f: _method(f) == "oft" and f.number("oft_rank") > 0 and f.options.get("oft_block_size") != 0,
        N_("OFT takes either `oft_rank` or `oft_block_size`, not both (the latter is 32 by default)."),
        N_("Delete `oft_rank`, or write `oft_block_size: 0`."),
        ("unset",),
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
    # export
    Rule(
        "export_quantization_bit",
        lambda f: f.merge and f.given("export_quantization_bit") and f.given("adapter_name_or_path"),
        N_("An adapter must be merged before the model is quantized."),
        N_("Export twice: first merge, then quantize the merged model without `adapter_name_or_path`."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "quantization_bit",
        lambda f: f.merge and f.given("quantization_bit"),
        N_("An adapter cannot be merged into a quantized model."),
        N_("Delete `quantization_bit` from the merge config; the adapter merges into the original weights."),
        ("unset",),
        merge=True,
    ),
)


def _exists(f: Findings, key: str) -> bool:
    value = f.get(key)
    return isinstance(value, str) and f.context.resolve(value).exists()


def _local_dataset(f: Findings) -> bool:
    value = f.get("dataset_dir")
    return isinstance(value, str) and value != "ONLINE" and not value.startswith("REMOTE:") and f.given("dataset")


def check_relations(findings: Findings) -> None:
    """Report each rule that the options break, one problem for a key and message."""
    seen: set[str] = set()
    for rule in RULES:
        if (findings.merge and not rule.merge) or rule.key in findings.bad or rule.key in seen:
            continue
        if rule.when(findings):
            seen.add(rule.key)
            findings.error(rule.code, rule.key, _(rule.message).format(key=rule.key), _(rule.hint), fix=rule.fix)
