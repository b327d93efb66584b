"""Rules of LLaMA-Factory's parser (`get_train_args` in `hparams/parser.py`)."""

from __future__ import annotations

from sft_tui.factory.check.rules.rule import Rule, evaluates, has_eval_set, method_of, stage_of, zero3
from sft_tui.factory.options import release
from sft_tui.i18n import N_

RULES: tuple[Rule, ...] = (
    # LLaMA-Factory's parser
    Rule(
        "predict_with_generate",
        lambda f: stage_of(f) != "sft" and f.on("predict_with_generate"),
        N_("`predict_with_generate` works only with `stage: sft`."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "neat_packing",
        lambda f: stage_of(f) != "sft" and f.on("neat_packing"),
        N_("`neat_packing` works only with `stage: sft`."),
        N_("Delete the line."),
        ("unset",),
    ),
    *(
        Rule(
            key,
            lambda f, key=key: stage_of(f) != "sft" and f.on(key),  # type: ignore[misc]
            N_("`{key}` works only with `stage: sft`."),
            N_("Delete the line."),
            ("unset",),
        )
        for key in ("train_on_prompt", "mask_history")
    ),
    Rule(
        "do_predict",
        lambda f: stage_of(f) == "sft" and f.on("do_predict") and not f.on("predict_with_generate"),
        N_("`do_predict` writes what the model generates, so it needs `predict_with_generate: true`."),
        N_("Add `predict_with_generate: true`, or delete `do_predict`."),
        ("set", True, "predict_with_generate"),
    ),
    Rule(
        "load_best_model_at_end",
        lambda f: stage_of(f) in ("rm", "ppo") and f.on("load_best_model_at_end"),
        N_("Stages `rm` and `ppo` do not support `load_best_model_at_end`."),
        N_("Delete the line."),
        ("unset",),
    ),
    Rule(
        "stage",
        lambda f: stage_of(f) == "ppo" and not f.on("do_train"),
        N_("PPO can only train; it needs `do_train: true`."),
        N_("Add `do_train: true`, or use `stage: sft` to evaluate."),
        ("set", True, "do_train"),
    ),
    Rule(
        "report_to",
        lambda f: stage_of(f) == "ppo" and not {"wandb", "tensorboard", "trackio", "none"} >= set(f.words("report_to")),
        N_("PPO reports only to `wandb`, `tensorboard` or `trackio`."),
        N_("Write one of them, or `report_to: none`."),
        ("set", "none"),
        since="0.9.5",
    ),
    Rule(
        "report_to",
        lambda f: stage_of(f) == "ppo" and not {"wandb", "tensorboard", "none"} >= set(f.words("report_to")[:1]),
        N_("PPO reports only to `wandb` or `tensorboard`."),
        N_("Write one of them, or `report_to: none`."),
        ("set", "none"),
        until="0.9.5",
    ),
    Rule(
        "neat_packing",
        lambda f: f.on("neat_packing") and release(f.context.factory.versions.get("transformers", "")) > (4, 53),
        N_("This version's `neat_packing` does not work with transformers from 4.53 on."),
        N_("Use `packing: true`, an older transformers, or LLaMA-Factory 0.9.5."),
        until="0.9.5",
    ),
    Rule(
        "shift_attn",
        lambda f: stage_of(f) == "ppo" and f.on("shift_attn"),
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
        lambda f: evaluates(f) and not has_eval_set(f) and f.get("eval_strategy") != "no",
        N_("`eval_strategy` asks for an evaluation, but there is nothing to evaluate on."),
        N_("Add `val_size: 0.1` or an `eval_dataset`, or set `eval_strategy: no` (in quotes)."),
        ("set", 0.1, "val_size"),
        code="no_eval_set",
    ),
    Rule(
        "do_eval",
        lambda f: f.on("do_eval") and not has_eval_set(f) and f.get("eval_strategy") in ("no", None),
        N_("`do_eval` asks for an evaluation, but there is nothing to evaluate on."),
        N_("Add `val_size: 0.1` or an `eval_dataset`, or delete `do_eval`."),
        ("set", 0.1, "val_size"),
        code="no_eval_set",
    ),
    Rule(
        "do_predict",
        lambda f: f.on("do_predict") and f.on("predict_with_generate") and not evaluates(f) and not has_eval_set(f),
        N_("`do_predict` needs an `eval_dataset` or a `val_size`."),
        N_("Name the dataset to predict on: `eval_dataset: ...`."),
        code="no_eval_set",
    ),
    Rule(
        "predict_with_generate",
        lambda f: f.on("predict_with_generate") and not f.on("do_predict") and not evaluates(f) and not has_eval_set(f),
        N_("`predict_with_generate` needs an `eval_dataset` or a `val_size`."),
        N_("Delete the line, or name an `eval_dataset`."),
        ("unset",),
        code="no_eval_set",
    ),
    Rule(
        "predict_with_generate",
        lambda f: f.on("predict_with_generate") and zero3(f),
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
        lambda f: f.on("pissa_init") and zero3(f),
        N_("PiSSA does not work with DeepSpeed ZeRO-3."),
        N_("Delete `pissa_init`, or use ZeRO-2."),
        ("unset",),
    ),
    Rule(
        "pure_bf16",
        lambda f: f.on("pure_bf16") and zero3(f),
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
        lambda f: f.on("use_unsloth") and zero3(f),
        N_("Unsloth does not work with DeepSpeed ZeRO-3."),
        N_("Delete `use_unsloth`, or use ZeRO-2."),
        ("unset",),
    ),
    Rule(
        "use_unsloth",
        lambda f: f.on("use_unsloth") and method_of(f) == "oft",
        N_("Unsloth does not work with `finetuning_type: oft`."),
        N_("Delete `use_unsloth`, or set `finetuning_type: lora`."),
        ("unset",),
    ),
    Rule(
        "use_kt",
        lambda f: f.on("use_kt") and (zero3(f) or method_of(f) != "lora"),
        N_("KTransformers works only with LoRA and without ZeRO-3."),
        N_("Delete `use_kt`, or set `finetuning_type: lora`."),
        ("unset",),
    ),
    Rule(
        "use_asft_loss",
        lambda f: f.on("use_asft_loss") and method_of(f) == "lora" and not f.given("ref_model"),
        N_("`use_asft_loss` compares with a reference model, which LoRA does not keep."),
        N_("Set `finetuning_type: full`, name a `ref_model`, or delete the line."),
        ("unset",),
    ),
    Rule(
        "oft_block_size",
        lambda f: method_of(f) == "oft" and not f.number("oft_rank") and f.options.get("oft_block_size") == 0,
        N_("OFT needs either `oft_block_size` or `oft_rank`; both are 0."),
        N_("Write `oft_block_size: 32`."),
        ("set", 32),
    ),
    Rule(
        "oft_rank",
        lambda f: method_of(f) == "oft" and f.number("oft_rank") > 0 and f.options.get("oft_block_size") != 0,
        N_("OFT takes either `oft_rank` or `oft_block_size`, not both (the latter is 32 by default)."),
        N_("Delete `oft_rank`, or write `oft_block_size: 0`."),
        ("unset",),
    ),
)
