"""What LLaMA-Factory accepts without a word though it is surely, or very probably, not meant."""

from __future__ import annotations

import math

from sft_tui.factory import length
from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.model_dir import ModelDirectory
from sft_tui.factory.check.values import shown
from sft_tui.i18n import _

# Learning rates beyond which a method hardly ever trains well, by finetuning_type: (low, high).
_RATES = {"lora": (1e-6, 2e-3), "oft": (1e-6, 5e-3), "full": (1e-7, 1e-4), "freeze": (1e-7, 5e-4)}
_PREFERENCE_HIGH = 1e-4
_TINY = 512
_FAR_BEYOND = 8
"""A `cutoff_len` of so many times the model's context is surely not meant."""
_MOST_EPOCHS = 1000
_SMOKE_TEST = 10


def check_purpose(findings: Findings) -> None:
    """Nothing to do, or nothing that trains: exit code 0 and no result."""
    if findings.on("do_train"):
        return
    evaluates = findings.on("do_eval") or findings.get("eval_strategy") not in ("no", None)
    message = _("`do_train` is not set, so nothing is trained.")
    hint = _("Add `do_train: true`.")
    if not evaluates and not findings.on("do_predict"):
        findings.error("nothing_to_do", "do_train", message, hint, fix=("set", True))
    elif findings.get("eval_strategy") not in ("no", None):
        findings.warning("no_training", "do_train", message, hint, fix=("set", True))


def check_mistakes(findings: Findings, rows: int | None, model: ModelDirectory | None = None) -> None:
    """Report what is probably a mistake; `rows` is the number of training rows where it is known."""
    if not findings.on("do_train"):
        return
    _lora(findings)
    _learning_rate(findings, model)
    _logging(findings)
    _duration(findings)
    _evaluation(findings)
    _saving(findings)
    _precision(findings)
    _quantization(findings)
    _packing(findings)
    if findings.given("streaming") and findings.on("streaming"):
        return
    steps = optimizer_steps(findings, rows)
    if rows is not None:
        _batch(findings, rows)
    if steps is not None:
        _against_steps(findings, steps, rows)


def optimizer_steps(findings: Findings, rows: int | None) -> int | None:
    """The optimizer steps of the training; None where the number of rows is not known."""
    packed = findings.on("packing") or findings.on("neat_packing")
    options = {key: value for key, value in findings.options.items() if key not in findings.bad}
    return length.optimizer_steps(options, None if packed else rows, findings.context.processes)


def tell_derived(findings: Findings, rows: int | None) -> None:
    """Tell what follows from the options: effective batch, steps, warmup."""
    steps = optimizer_steps(findings, rows)
    if steps is None or not findings.on("do_train"):
        return
    batch = _batch_size(findings) * findings.number("gradient_accumulation_steps") * max(1, findings.context.processes)
    warmup = findings.number("warmup_ratio") if findings.given("warmup_ratio") else findings.number("warmup_steps")
    warmup_steps = math.ceil(warmup * steps) if warmup < 1 else int(warmup)
    message = _("Effective batch {batch}, {steps} steps in all, {warmup} of them warmup.")
    text = message.format(batch=int(batch), steps=steps, warmup=warmup_steps)
    findings.info("derived", "num_train_epochs", text)


def _batch_size(findings: Findings) -> float:
    return findings.number("per_device_train_batch_size")


def _lora(findings: Findings) -> None:
    if findings.get("finetuning_type") != "lora":
        return
    if findings.options.get("lora_alpha") == 0 and "lora_alpha" not in findings.bad:
        message = _("`lora_alpha: 0` counts as twice the rank in LLaMA-Factory.")
        hint = _("Delete the line, or write the number that you mean.")
        findings.warning("alpha_zero", "lora_alpha", message, hint, fix=("unset",))
    rank = findings.number("lora_rank")
    if rank > 512:
        message = _("`lora_rank: {rank}` is far beyond what LoRA needs (4 to 64).").format(rank=shown(rank))
        findings.warning("unusual_value", "lora_rank", message)
    if findings.given("lora_alpha") and rank > 0:
        scale = findings.number("lora_alpha") / rank
        if scale > 32 and not findings.on("use_rslora"):
            message = _("`lora_alpha` is {factor} times the rank; twice the rank is usual.")
            text = message.format(factor=round(scale))
            findings.warning("unusual_value", "lora_alpha", text, fix=("set", int(2 * rank)))
    if findings.number("lora_dropout") >= 0.9:
        message = _("`lora_dropout: {value}` drops nearly everything that is learned; 0 to 0.1 is usual.")
        findings.warning("unusual_value", "lora_dropout", message.format(value=shown(findings.get("lora_dropout"))))


def _learning_rate(findings: Findings, model: ModelDirectory | None) -> None:
    method = str(findings.get("finetuning_type"))
    if "learning_rate" in findings.bad or method not in _RATES or not findings.given("learning_rate"):
        return
    rate = findings.number("learning_rate")
    low, high = _RATES[method]
    if findings.get("stage") in ("dpo", "kto", "ppo"):
        high = _PREFERENCE_HIGH
    width = model.text_config.get("hidden_size") if model is not None else None
    if isinstance(width, int) and width < _TINY:
        high *= 20  # models for trials take, and need, far larger steps
    usual = "1.0e-4" if method == "lora" and findings.get("stage") == "sft" else "1.0e-5"
    hint = _("Usual is about {rate}.").format(rate=usual)
    if rate > high:
        message = _("`learning_rate: {rate}` is very high for {method}; the loss will probably explode.")
        findings.warning("learning_rate", "learning_rate", message.format(rate=rate, method=method), hint)
    elif 0 < rate < low:
        message = _("`learning_rate: {rate}` is so small for {method} that hardly anything is learned.")
        findings.warning("learning_rate", "learning_rate", message.format(rate=rate, method=method), hint)


def _logging(findings: Findings) -> None:
    reports = [word for word in findings.words("report_to") if word != "none"]
    if findings.given("logging_dir") and not {"tensorboard", "all"} & set(reports):
        message = _("`logging_dir` alone writes no TensorBoard files.")
        hint = _("Add `report_to: tensorboard`, or delete the line.")
        findings.info("logging_dir", "logging_dir", message, hint, fix=("set", "tensorboard", "report_to"))


def _evaluation(findings: Findings) -> None:
    has_set = findings.given("eval_dataset") or findings.number("val_size") > 1e-6
    if (
        has_set
        and findings.get("eval_strategy") == "no"
        and not findings.on("do_eval")
        and not findings.on("do_predict")
    ):
        key = "eval_dataset" if findings.given("eval_dataset") else "val_size"
        message = _("A validation set is cut off or loaded, but `eval_strategy` is `no`, so it is never used.")
        hint = _("Add `eval_strategy: steps` and `eval_steps`, or delete `{key}`.").format(key=key)
        findings.warning("eval_unused", key, message, hint)
    elif not has_set and findings.get("stage") == "sft" and findings.get("eval_strategy") == "no":
        message = _("There is no validation set, so overfitting will not show.")
        findings.info("no_evaluation", "val_size", message, _("Add `val_size: 0.1` and `eval_strategy: steps`."))


def _duration(findings: Findings) -> None:
    epochs = findings.number("num_train_epochs")
    if epochs > _MOST_EPOCHS and findings.number("max_steps") <= 0:
        message = _("`num_train_epochs: {epochs}` trains that often on each row; 1 to 5 times is usual.")
        text = message.format(epochs=shown(findings.get("num_train_epochs")))
        findings.warning("unusual_value", "num_train_epochs", text, fix=("set", 3.0))


def _saving(findings: Findings) -> None:
    if findings.on("load_best_model_at_end") and findings.on("save_only_model") and findings.given("deepspeed"):
        message = _("DeepSpeed cannot load the best model from checkpoints without optimizer (`save_only_model`).")
        findings.error("conflict", "save_only_model", message, fix=("unset",))
    if findings.get("save_strategy") == "best" and findings.get("eval_strategy") == "no":
        message = _("`save_strategy: best` saves after evaluations, but `eval_strategy` is `no`.")
        findings.error("conflict", "save_strategy", message, _("Set `eval_strategy: steps`."))


def _precision(findings: Findings) -> None:
    if findings.on("fp16") and findings.on("use_cpu"):
        message = _("`fp16` is for GPUs and does nothing for `use_cpu`.")
        findings.warning(
            "fp16_cpu", "fp16", message, _("Delete the line: the CPU computes in float32."), fix=("unset",)
        )
    slow = next((key for key in ("bf16", "pure_bf16") if findings.on(key)), None)
    if slow and findings.on("use_cpu") and findings.context.cpu_bf16 is False:
        message = _("This processor has no bf16 arithmetic: `{key}` is about ten times slower here than float32.")
        findings.warning("slow_bf16", slow, message.format(key=slow), _("Delete the line."), fix=("set", False))
    if findings.on("bf16") and findings.on("pure_bf16"):
        message = _("`pure_bf16` makes `bf16` superfluous; optimizer and weights are kept in bf16.")
        findings.info("redundant", "bf16", message)


def _quantization(findings: Findings) -> None:
    method = findings.get("quantization_method")
    if findings.given("quantization_bit") and method not in ("bnb", "hqq", "eetq"):
        message = _("`quantization_method: {method}` cannot quantize while loading; the model stays as it is.")
        hint = _("Use `bnb`, or a model that is stored so.")
        findings.warning(
            "not_quantized", "quantization_method", message.format(method=method), hint, fix=("set", "bnb")
        )


def _packing(findings: Findings) -> None:
    """Packed samples are `cutoff_len` long and then padded to a multiple of 8, except for their positions."""
    cutoff = findings.number("cutoff_len")
    packs = findings.on("packing") or findings.on("neat_packing")
    flash = findings.get("flash_attn") in ("fa2", "fa3") and findings.context.factory.has("flash-attn") is not False
    if packs and findings.get("stage") == "sft" and cutoff % 8 and not flash:
        message = _("Packing without flash attention needs a `cutoff_len` that is a multiple of 8.")
        better = max(8, round(cutoff / 8) * 8)
        hint = _("Write `cutoff_len: {number}`.").format(number=better)
        findings.error("packing_length", "cutoff_len", message, hint, fix=("set", better))


def _batch(findings: Findings, rows: int) -> None:
    size = _batch_size(findings) * findings.number("gradient_accumulation_steps") * findings.context.processes
    if size > rows > 0 and not findings.on("packing"):
        message = _("The effective batch ({size}) is larger than the data ({rows} rows): one step an epoch.")
        hint = _("Lower `gradient_accumulation_steps` or `per_device_train_batch_size`.")
        key = "gradient_accumulation_steps" if _batch_size(findings) <= rows else "per_device_train_batch_size"
        findings.warning("batch_too_large", key, message.format(size=int(size), rows=rows), hint)


def _against_steps(findings: Findings, steps: int, rows: int | None) -> None:
    warmup = findings.number("warmup_steps")
    if warmup >= 1 and warmup >= steps >= _SMOKE_TEST and not findings.given("warmup_ratio"):
        message = _("`warmup_steps: {warmup}` is as long as the whole training ({steps} steps).")
        hint = _("Use `warmup_ratio: 0.1`.")
        findings.warning("warmup_too_long", "warmup_steps", message.format(warmup=int(warmup), steps=steps), hint)
    ratio = findings.get("warmup_ratio")
    if isinstance(ratio, int | float) and not isinstance(ratio, bool) and 0.5 < ratio <= 1:
        message = _("`warmup_ratio: {ratio}` spends most of the training on the warmup.").format(ratio=ratio)
        findings.warning("warmup_too_long", "warmup_ratio", message, _("Usual is 0.03 to 0.1."))
    every = findings.number("eval_steps")
    if findings.get("eval_strategy") == "steps" and every >= 1:
        _eval_cost(findings, steps, int(every), rows)
    if findings.get("eval_strategy") == "steps" and every > steps:
        message = _("`eval_steps: {every}` is beyond the end of the training ({steps} steps): it is never evaluated.")
        findings.info("eval_too_late", "eval_steps", message.format(every=int(every), steps=steps))


def _eval_cost(findings: Findings, steps: int, every: int, rows: int | None) -> None:
    """A sample evaluated costs about a third of one trained (no backward pass)."""
    size = findings.number("val_size")
    held_out = size if size >= 1 else (rows or 0) * size / (1 - size) if size < 1 else 0
    trained = every * _batch_size(findings) * findings.number("gradient_accumulation_steps")
    trained *= max(1, findings.context.processes)
    if held_out > 3 * trained and steps >= 3 * every:
        message = _("Evaluating {rows} rows every {every} steps costs more than the training itself.")
        better = max(1, math.ceil(steps / 10))
        hint = _("Write `eval_steps: {number}`: ten evaluations.").format(number=better)
        text = message.format(rows=round(held_out), every=every)
        findings.warning("eval_too_often", "eval_steps", text, hint, fix=("set", better))


def check_workers(findings: Findings) -> None:
    """More processes than cores only wait for each other, and each takes memory."""
    cpus = findings.context.cpus
    if cpus is None:
        return
    for key in ("preprocessing_num_workers", "dataloader_num_workers"):
        if findings.given(key) and findings.number(key) > max(4 * cpus, 32):
            message = _("`{key}` is {value}, this machine has {cpus} cores.")
            text = message.format(key=key, value=shown(findings.get(key)), cpus=cpus)
            findings.warning("too_many_workers", key, text, fix=("set", max(1, cpus // 2)))


def check_length(findings: Findings, model: ModelDirectory) -> None:
    """Samples longer than the model's context; LLaMA-Factory 0.9.5 cannot stretch it with transformers 5."""
    limit = model.text_config.get("max_position_embeddings")
    cutoff = findings.number("cutoff_len")
    if not isinstance(limit, int) or not 0 < limit < cutoff:
        return
    if findings.given("rope_scaling"):
        if findings.context.factory.versions.get("transformers", "5").startswith("5"):
            message = _("`rope_scaling` beyond the model's context of {limit} tokens fails with transformers 5.")
            hint = _("Delete the line and write `cutoff_len: {limit}`, or use transformers 4.").format(limit=limit)
            findings.error("rope_scaling", "rope_scaling", message.format(limit=limit), hint, fix=("unset",))
        return
    message = _("`cutoff_len: {cutoff}` is longer than the model's context of {limit} tokens.")
    hint = _("Write `cutoff_len: {limit}` if there are samples as long as that.").format(limit=limit)
    report = findings.warning if cutoff > _FAR_BEYOND * limit else findings.info
    report("beyond_context", "cutoff_len", message.format(cutoff=int(cutoff), limit=limit), hint)


# Options that make whole modules trainable, or float32, beside the adapter.
_WHOLE_MODULES = (
    "additional_target",
    "resize_vocab",
    "add_tokens",
    "add_special_tokens",
    "new_special_tokens_config",
    "upcast_layernorm",
)


def check_dtype(findings: Findings, model: ModelDirectory) -> None:
    """What is trained becomes float32; without mixed precision it does not fit to the layers that stay in bf16."""
    stored = str(model.config.get("dtype") or model.config.get("torch_dtype") or "")
    method = findings.get("finetuning_type")
    whole = next((key for key in _WHOLE_MODULES if findings.on(key)), "") if method in ("lora", "oft") else ""
    key = "bf16" if method == "freeze" else whole
    if not key or not findings.on("do_train") or stored in ("", "float32") or model.quantization:
        return
    if not any(findings.on(key) for key in ("bf16", "fp16", "pure_bf16", "deepspeed")):
        message = _("Layers trained in full beside ones that stay in {dtype} need mixed precision to fit together.")
        text = message.format(dtype=stored)
        findings.error("mixed_dtypes", key, text, _("Add `bf16: true`."), fix=("set", True, "bf16"))
