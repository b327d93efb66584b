"""Rules of LLaMA-Factory's model, data and fine-tuning arguments (`hparams/*_args.py`); they hold in a merge too."""

from __future__ import annotations

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.rules.rule import Rule, method_of, stage_of
from sft_tui.i18n import N_

_FSDP = frozenset(
    ("full_shard", "shard_grad_op", "no_shard", "hybrid_shard", "hybrid_shard_zero2", "offload", "auto_wrap")
)


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


def _old_datasets(f: Findings) -> bool:
    version = f.context.factory.versions.get("datasets", "4.0.0").split(".")
    return version[0].isdigit() and (int(version[0]), version[1] if len(version) > 1 else "0") <= (4, "0")


def _fsdp_words(f: Findings) -> list[str]:
    value = f.get("fsdp")
    return value.split() if isinstance(value, str) else [str(item) for item in value] if isinstance(value, list) else []


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
        lambda f: f.given("adapter_name_or_path") and method_of(f) != "lora",
        N_("An adapter works only with `finetuning_type: lora`."),
        N_("Set `finetuning_type: lora` or delete `adapter_name_or_path`."),
        ("set", "lora", "finetuning_type"),
        merge=True,
    ),
    Rule(
        "quantization_bit",
        lambda f: f.given("quantization_bit") and method_of(f) not in ("lora", "oft"),
        N_("Quantization works only with `finetuning_type: lora` or `oft`."),
        N_("Set `finetuning_type: lora` or delete `quantization_bit`."),
        ("set", "lora", "finetuning_type"),
        merge=True,
    ),
    Rule(
        "pissa_init",
        lambda f: f.given("quantization_bit") and method_of(f) in ("lora", "oft") and f.on("pissa_init"),
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
        lambda f: f.number("val_size") > 1e-6 and not f.given("dataset"),
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
        lambda f: stage_of(f) == "ppo" and not f.given("reward_model"),
        N_("PPO needs a `reward_model`."),
        N_("Name the reward model, or choose another stage."),
        merge=True,
        code="missing_key",
    ),
    Rule(
        "reward_model_type",
        lambda f: stage_of(f) == "ppo" and f.get("reward_model_type") == "lora" and method_of(f) != "lora",
        N_("A LoRA reward model needs `finetuning_type: lora`."),
        N_("Set `reward_model_type: full` or `finetuning_type: lora`."),
        ("set", "full"),
        merge=True,
    ),
    Rule(
        "dpo_label_smoothing",
        lambda f: stage_of(f) == "dpo" and f.get("pref_loss") != "sigmoid" and f.number("dpo_label_smoothing") > 1e-6,
        N_("`dpo_label_smoothing` works only with `pref_loss: sigmoid`."),
        N_("Delete the line, or set `pref_loss: sigmoid`."),
        ("unset",),
        merge=True,
    ),
    Rule(
        "use_llama_pro",
        lambda f: f.on("use_llama_pro") and method_of(f) == "full",
        N_("`use_llama_pro` works only with `finetuning_type: freeze` or `lora`."),
        N_("Delete the line, or set `finetuning_type: freeze`."),
        ("unset",),
        merge=True,
    ),
    *(
        Rule(
            key,
            lambda f, key=key: f.on(key) and method_of(f) == "lora",  # type: ignore[misc]
            N_("`{key}` is an optimizer for full training and cannot be used with LoRA."),
            N_("Delete the line, or set `finetuning_type: full`."),
            ("unset",),
            merge=True,
        )
        for key in ("use_galore", "use_apollo", "use_badam")
    ),
    Rule(
        "use_galore",
        lambda f: method_of(f) != "lora" and sum(map(f.on, ("use_galore", "use_apollo", "use_badam"))) > 1,
        N_("Only one of `use_galore`, `use_apollo` and `use_badam` can be on."),
        N_("Keep one of them."),
        merge=True,
    ),
    Rule(
        "pissa_init",
        lambda f: (
            f.on("pissa_init")
            and (
                stage_of(f) in ("ppo", "kto") or (stage_of(f) == "dpo" and f.get("pref_loss") not in ("orpo", "simpo"))
            )
        ),
        N_("PiSSA does not work in this stage."),
        N_("Delete `pissa_init`."),
        ("unset",),
        merge=True,
    ),
    *(
        Rule(
            key,
            lambda f, key=key: method_of(f) != "lora" and f.given(key) and bool(f.get(key)),  # type: ignore[misc]
            N_("`{key}` works only with `finetuning_type: lora`."),
            N_("Delete the line, or set `finetuning_type: lora`."),
            ("unset",),
            merge=True,
        )
        for key in ("loraplus_lr_ratio", "use_rslora", "use_dora", "pissa_init")
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
