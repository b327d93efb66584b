"""`train_config.yaml` and `merge_config.yaml`: the keys of the guide's sections 4.1 and 4.2, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sft_tui.i18n import N_, _
from sft_tui.yaml_io import commented

# (key, the guide's value, comment); a row with an empty key is a heading. None: set by the run itself.
_TRAIN: tuple[tuple[str, Any, str], ...] = (
    ("", None, N_("model")),
    ("model_name_or_path", None, N_("base model: a directory or a hub id")),
    ("trust_remote_code", False, N_("run Python code that the model brings; only for sources you trust")),
    ("", None, N_("method")),
    ("stage", "sft", N_("training stage: supervised fine-tuning")),
    ("do_train", True, N_("train")),
    ("finetuning_type", "lora", N_("method: lora, or full, freeze, oft")),
    ("lora_target", "all", N_("layers that get an adapter; all: every linear layer")),
    ("lora_rank", 8, N_("LoRA rank, usually 4-64: capacity of the adapter")),
    ("lora_alpha", None, N_("LoRA scale, usually twice the rank")),
    ("lora_dropout", 0.1, N_("LoRA dropout, usually 0.05-0.1")),
    ("", None, N_("dataset")),
    ("dataset_dir", "./data", N_("directory with dataset_info.json")),
    ("dataset", None, N_("name in dataset_info.json")),
    ("template", None, N_("chat template; must fit the model")),
    ("cutoff_len", 2048, N_("longest sample in tokens; longer ones are cut")),
    ("max_samples", None, N_("use at most so many samples; null: all")),
    ("overwrite_cache", True, N_("prepare the data anew")),
    ("preprocessing_num_workers", 16, N_("processes that prepare the data")),
    ("", None, N_("output")),
    ("output_dir", None, N_("where adapter and checkpoints go")),
    ("logging_steps", 10, N_("report the loss every so many steps")),
    ("save_steps", 200, N_("write a checkpoint every so many steps, or every such share of them")),
    ("plot_loss", True, N_("draw the loss curve at the end")),
    ("overwrite_output_dir", True, N_("start over when this file is run again by hand")),
    ("", None, N_("training")),
    ("per_device_train_batch_size", 2, N_("samples a card takes at once")),
    ("gradient_accumulation_steps", 4, N_("micro-batches summed up before each step")),
    ("learning_rate", 1.0e-4, N_("learning rate")),
    ("num_train_epochs", 3.0, N_("passes over the data")),
    ("lr_scheduler_type", "cosine", N_("course of the learning rate")),
    ("warmup_ratio", 0.1, N_("share of the steps in which the learning rate rises")),
    ("bf16", True, N_("compute in bfloat16; needs an Ampere card or newer")),
    ("ddp_timeout", 180000000, N_("seconds that processes wait for each other")),
    ("", None, N_("evaluation")),
    ("val_size", 0.1, N_("share of the data kept for evaluation")),
    ("per_device_eval_batch_size", 1, N_("samples a card takes at once in evaluation")),
    ("eval_strategy", "steps", N_("when to evaluate")),
    ("eval_steps", 100, N_("evaluate every so many steps, or every such share of them")),
    ("", None, N_("checkpoints")),
    ("save_only_model", False, N_("leave out the optimizer; such a checkpoint cannot be resumed")),
    ("save_total_limit", 3, N_("keep so many checkpoints")),
    ("", None, N_("logging")),
    ("logging_dir", None, N_("TensorBoard files")),
    ("report_to", "tensorboard", N_("write TensorBoard files; logging_dir alone writes none")),
    ("include_num_input_tokens_seen", True, N_("count tokens, so that speed is known in tokens/s")),
)
_MERGE: tuple[tuple[str, str], ...] = (
    ("", N_("model")),
    ("model_name_or_path", N_("base model")),
    ("adapter_name_or_path", N_("adapter that the training wrote")),
    ("template", N_("chat template, as in the training")),
    ("finetuning_type", N_("method, as in the training")),
    ("trust_remote_code", N_("run Python code that the model brings; only for sources you trust")),
    ("", N_("export")),
    ("export_dir", N_("where the merged model goes")),
    ("export_size", N_("largest file in GB")),
    ("export_device", N_("where the merge is computed")),
    ("export_legacy_format", N_("false: safetensors, true: the old .bin format")),
)
_MORE_COMMENTS = {
    "adapter_name_or_path": N_("adapter that is trained further"),
    "use_cpu": N_("train on the CPU"),
    "fp16": N_("compute in float16, for cards older than Ampere"),
    "enable_liger_kernel": N_("fused kernels: no logits tensor, much less memory"),
    "quantization_bit": N_("load the base model in 4 or 8 bits"),
    "packing": N_("put several short samples into one sequence"),
    "neat_packing": N_("packing without attention between samples"),
    "flash_attn": N_("attention kernel"),
    "disable_gradient_checkpointing": N_("faster, needs more memory"),
    "deepspeed": N_("DeepSpeed configuration"),
}
LORA_KEYS = ("lora_target", "lora_rank", "lora_alpha", "lora_dropout")


def guide_defaults() -> dict[str, Any]:
    """The guide's values for every key that a run does not set by itself, in the guide's order."""
    return {key: value for key, value, _comment in _TRAIN if key and value is not None}


def guide_keys() -> tuple[str, ...]:
    """The keys of the train config in their order."""
    return tuple(key for key, _value, _comment in _TRAIN if key)


def render_train_config(options: Mapping[str, Any], run: str) -> str:
    """The text of train_config.yaml: `options` in the guide's order with comments, further ones behind them."""
    rows = [(key, comment) for key, _value, comment in _TRAIN]
    return _header(run, "train", deepspeed=bool(options.get("deepspeed"))) + _render(rows, options)


def render_merge_config(options: Mapping[str, Any], run: str) -> str:
    """The text of merge_config.yaml."""
    return _header(run, "export") + _render(_MERGE, options)


def _header(run: str, command: str, *, deepspeed: bool = False) -> str:
    name = "train_config" if command == "train" else "merge_config"
    launcher = "FORCE_TORCHRUN=1 " if deepspeed else ""  # one card too needs a launcher then
    typed = f"{launcher}llamafactory-cli {command} configs/{run}/{name}.yaml"
    return _("# Run by hand in the project directory: {command}").format(command=typed) + "\n\n"


def _render(rows: Iterable[tuple[str, str]], options: Mapping[str, Any]) -> str:
    lines: list[tuple[str, Any, str]] = []
    rest = dict(options)
    heading: tuple[str, Any, str] | None = None
    for key, comment in rows:
        if not key:
            heading = ("", None, _(comment))
        elif key in rest:
            if heading:
                lines.append(heading)
                heading = None
            lines.append((key, rest.pop(key), _(comment)))
    if rest:
        lines.append(("", None, _("more options")))
        lines += [(key, value, _(_MORE_COMMENTS[key]) if key in _MORE_COMMENTS else "") for key, value in rest.items()]
    return commented(lines)
