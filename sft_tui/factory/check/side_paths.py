"""Further files, directories and models that the options name beside the model, its adapters and its data."""

from __future__ import annotations

import re

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.files import HUB_ID, is_local
from sft_tui.i18n import _
from sft_tui.yaml_io import read_document

_OTHER_PATHS = (
    ("reward_model", True),
    ("reward_model_adapters", True),
    ("ref_model", True),
    ("ref_model_adapters", True),
    ("new_special_tokens_config", False),
    ("fsdp_config", False),
    ("accelerator_config", False),
    ("hyper_parallel_args", False),
)


def check_other_paths(findings: Findings) -> None:
    """Report further files and directories that the options name and that are not there."""
    if not findings.context.look_at_files:
        return
    for key, directory in _OTHER_PATHS:
        value = findings.get(key)
        if not isinstance(value, str) or not findings.given(key) or value.lstrip().startswith("{"):
            continue
        for word in findings.words(key):
            path = findings.context.resolve(word)
            if word.startswith(("http://", "https://")):
                continue
            named = is_local(word, findings) or not HUB_ID.match(word)
            if (directory and named and not path.is_dir()) or (not directory and not path.is_file()):
                message = _("{path}, which `{key}` names, does not exist.").format(path=word, key=key)
                findings.error("file_not_found", key, message)
    _check_side_models(findings)
    _check_special_tokens(findings)
    cache = findings.get("cache_dir")
    if isinstance(cache, str) and findings.context.resolve(cache).is_file():
        message = _("`{key}` is {path}, but {file} is a file.").format(key="cache_dir", path=cache, file=cache)
        findings.error("bad_path", "cache_dir", message, _("Choose another directory."))
    _check_calibration(findings)
    _check_written_paths(findings)


def _check_side_models(findings: Findings) -> None:
    """The models beside the trained one: a reference is a whole model, a LoRA reward model has a value head."""
    lora = findings.get("stage") == "ppo" and findings.get("reward_model_type") == "lora"
    for key in ("ref_model", "reward_model"):
        value = findings.get(key)
        path = findings.context.resolve(value) if isinstance(value, str) and findings.given(key) else None
        if path is None or not path.is_dir() or (key == "reward_model" and findings.get("stage") != "ppo"):
            continue
        if key == "reward_model" and lora:
            if not any((path / name).is_file() for name in ("value_head.safetensors", "value_head.bin")):
                message = _("{path}, which `{key}` names, has no value head, so it was not trained with `stage: rm`.")
                hint = _("Train a reward model with `stage: rm`, and name its `output_dir`.")
                findings.error("bad_reward_model", key, message.format(path=value, key=key), hint)
        elif not (path / "config.json").is_file():
            message = _("{path}, which `{key}` names, has no config.json, so it is no whole model.")
            hint = _("Name a model there; an adapter of it belongs into `{key}_adapters`.").format(key=key)
            findings.error("no_config", key, message.format(path=value, key=key), hint)


def _check_special_tokens(findings: Findings) -> None:
    """`new_special_tokens_config` is a YAML mapping of tokens to descriptions."""
    key = "new_special_tokens_config"
    value = findings.get(key)
    if not isinstance(value, str) or not findings.context.resolve(value).is_file():
        return
    faults = read_document(findings.context.resolve(value)).problems
    if faults:
        message = _("{path}, which `{key}` names, is no mapping of tokens to descriptions: {reason}")
        findings.error("bad_special_tokens", key, message.format(path=value, key=key, reason=faults[0].message))


def _check_calibration(findings: Findings) -> None:
    value = findings.get("export_quantization_dataset")
    if not isinstance(value, str) or not findings.merge or findings.context.resolve(value).exists():
        return
    if value.endswith((".json", ".jsonl", ".txt", ".parquet")) or value.startswith(("/", ".")):
        message = _("{path}, which `{key}` names, does not exist.")
        text = message.format(path=value, key="export_quantization_dataset")
        findings.error("file_not_found", "export_quantization_dataset", text)


_PATHS = ("model_name_or_path", "adapter_name_or_path", "dataset_dir", "output_dir", "export_dir", "deepspeed")


def _check_written_paths(findings: Findings) -> None:
    """Variables are not expanded by LLaMA-Factory: they become part of a directory's name."""
    for key in _PATHS:
        value = findings.get(key)
        if isinstance(value, str) and re.search(r"\$[A-Za-z_]", value):
            message = _("`{key}` contains {value}; variables are not replaced in a config.").format(
                key=key, value=value
            )
            findings.warning("variable_in_path", key, message, _("Write the path out."))
