"""What kind of file a document is, by its keys: only a training, a merge and an inference config can be checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from sft_tui.i18n import N_, _
from sft_tui.problems import Problem

_MERGE = ("export_dir", "export_size", "export_device", "export_legacy_format", "export_quantization_bit")
_TRAIN = (
    "do_train", "do_eval", "do_predict", "output_dir", "dataset", "eval_dataset", "stage", "num_train_epochs",
    "per_device_train_batch_size", "per_device_eval_batch_size", "learning_rate", "lora_target", "lora_rank",
)  # fmt: skip
_INFERENCE = (
    "infer_backend", "infer_dtype", "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager", "vllm_config",
    "sglang_maxlen", "sglang_config", "ktransformers_config", "temperature", "top_p", "top_k", "max_new_tokens",
)  # fmt: skip


class FileKind(StrEnum):
    """What a config of LLaMA-Factory is for."""

    TRAIN = "train"
    MERGE = "merge"
    INFERENCE = "inference"  # of `llamafactory-cli chat`, `api` or `webchat`


# Of others: the keys that tell (all of the first group, or one of the second), and what the file is.
_OTHERS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (("compute_environment",), ("distributed_type", "fsdp_config", "num_machines"), N_("a config of accelerate")),
    (("zero_optimization",), ("train_micro_batch_size_per_gpu",), N_("a config of DeepSpeed")),
    (("model_type", "architectures"), (), N_("the config of a model (config.json)")),
    (("tokenizer_class",), ("added_tokens_decoder",), N_("the config of a tokenizer")),
    (("peft_type",), (), N_("the config of an adapter (adapter_config.json)")),
    (("card_gib", "options"), (), N_("a preset of sft-tui; name it as `preset` in an answers file")),
    (
        ("model", "train_dataset"),
        ("micro_batch_size", "peft_config", "dist_config", "optim_config", "batching_strategy", "sample_backend"),
        N_("a config of LLaMA-Factory's new engine (USE_V1=1), which is not checked"),
    ),
)


def kind_of(options: Mapping[str, Any]) -> FileKind:
    """What a config with these options is for."""
    merge, train = (sum(key in options for key in keys) for keys in (_MERGE, _TRAIN))
    if merge and ("export_dir" in options or merge > train) and "do_train" not in options:
        return FileKind.MERGE
    plain = "model_name_or_path" in options and not train
    if plain and (any(key in options for key in _INFERENCE) or "template" in options):
        return FileKind.INFERENCE
    return FileKind.TRAIN


def other_kind(options: Mapping[str, Any], known: Iterable[str] | None = None) -> Problem | None:
    """That the document is something else than a config of LLaMA-Factory, in one line; None where it may be one.

    Without the `known` options of LLaMA-Factory only files of other programs are told.
    """
    message = _("This is no config of LLaMA-Factory that can be checked: it is {what}.")
    if "task" in options and ("n_shot" in options or "save_dir" in options):
        text = message.format(what=_("one of `llamafactory-cli eval`, a command that it no longer has"))
        way = _("To evaluate: `do_predict: true` with `predict_with_generate: true` in a train YAML.")
        return Problem("other_file", text, hint=way)
    if "model_name_or_path" in options:
        return None
    hint = _("Give a train or merge YAML, or an answers file.")
    if options and all(_is_entry(value) for value in options.values()):
        text = _("This is a register of data sets (dataset_info.json) with {count} entries, not a config.")
        entries = _("Check the train YAML that names one of them.")
        return Problem("other_file", text.format(count=len(options)), hint=entries)
    keys = set(options)
    for every, some, what in _OTHERS:
        if keys >= set(every) or keys & set(some):
            return Problem("other_file", message.format(what=_(what)), hint=hint)
    if options and known is not None and not keys & set(known):
        names = ", ".join(f"`{key}`" for key in list(options)[:4])
        text = _("This is no config of LLaMA-Factory: it knows none of its keys ({names}).")
        return Problem("other_file", text.format(names=names), hint=hint)
    return None


def _is_entry(value: Any) -> bool:
    """Whether a value is an entry of dataset_info.json."""
    places = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
    return isinstance(value, dict) and any(place in value for place in places)
