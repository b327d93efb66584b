"""What a stage is made from: the owner of the question whether a result still belongs to its plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sft_tui.factory.dataset_info import read_dataset_info
from sft_tui.i18n import _
from sft_tui.plan.conversion import fingerprint, requests_of
from sft_tui.problems import Refusal
from sft_tui.project.plan_record import Plan

WITHOUT_A_SAY = frozenset(
    {
        "ddp_timeout", "dataloader_num_workers", "dataloader_pin_memory", "disable_tqdm", "enable_jit_checkpoint",
        "eval_steps", "eval_strategy", "include_num_input_tokens_seen", "log_level", "logging_dir",
        "logging_first_step", "logging_steps", "logging_strategy", "overwrite_cache", "overwrite_output_dir",
        "per_device_eval_batch_size", "plot_loss", "preprocessing_batch_size", "preprocessing_num_workers",
        "report_to", "run_name", "save_steps", "save_total_limit", "tokenized_path",
    }
)  # fmt: skip
"""Options that change how a training is watched and kept, not what it learns."""
_DATA = (
    "data_seed", "data_shared_file_system", "dataset", "dataset_dir", "eval_dataset", "interleave_probs", "max_samples",
    "mix_strategy", "neat_packing", "packing", "seed", "stage", "streaming", "val_size",
)  # fmt: skip
"""Options that decide which rows come in which order."""
_TEMPLATE = ("default_system", "mask_history", "template", "tool_format", "train_on_prompt")
_SHAPE = (
    "additional_target", "create_new_adapter", "deepspeed", "finetuning_type", "freeze_extra_modules",
    "freeze_trainable_layers", "freeze_trainable_modules", "loraplus_lr_ratio", "lora_alpha", "lora_rank",
    "lora_target", "optim", "pissa_init", "quantization_bit", "quantization_method", "use_badam", "use_dora",
    "use_galore", "use_rslora",
)  # fmt: skip
"""Options that decide which weights are trained and what the optimizer keeps for each."""
_BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
_MODEL_FILES = ("config.json", "tokenizer*", "*.safetensors", "*.bin")
_ADAPTER_FILES = ("adapter_config.json", "config.json", "*.safetensors", "*.bin")
_WHOLE_BYTES = 64 << 20
_PIECES, _PIECE_BYTES = 64, 64 << 10


def made_from(plan: Plan, stage: str) -> str:
    """A hash of all that `stage` is made from now; empty where that cannot be known (its source is gone)."""
    return digest(inputs(plan, stage))


def digest(parts: Mapping[str, str]) -> str:
    """One hash for `parts`; empty for none."""
    return _hash(dict(parts)) if parts else ""


def inputs(plan: Plan, stage: str) -> dict[str, str]:
    """A hash of each part that `stage` is made from, by name.

    Files count by their contents, not by their dates, but for a source: it counts by name, size and time of change.
    """
    return {"convert": _of_conversion, "train": _of_training, "export": _of_export, "verify": _of_verification}[stage](
        plan
    )


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has changed, in words, of the parts that a checkpoint cannot do without; empty where it can be gone on from.

    Parts that nobody recorded are not judged.
    """
    names = {
        "data": _("the data or their order"),
        "model": _("the model"),
        "adapter": _("the adapter that it began with"),
        "template": _("the template"),
        "shape": _("what is trained (LoRA's shape, the method, the optimizer)"),
        "batch": _("the effective batch size"),
    }
    return [text for name, text in names.items() if name in before and before[name] != now.get(name)]


def _of_conversion(plan: Plan) -> dict[str, str]:
    try:
        marks = {request.name: fingerprint(request) for request in requests_of(plan)}
    except (Refusal, OSError):
        return {}
    if len(marks) == 1:
        return {"source": marks[plan.dataset], "name": plan.dataset}
    return {"source": _hash(marks), "name": ",".join(plan.datasets)}


def _of_training(plan: Plan) -> dict[str, str]:
    options = plan.train_options
    files = {str(options[key]): _content(plan, str(options[key])) for key in ("deepspeed",) if options.get(key)}
    micro, accumulation = (int(options.get(key) or 1) for key in _BATCH)
    places = {"output_dir", "model_name_or_path", "adapter_name_or_path"}
    special = {*WITHOUT_A_SAY, *_DATA, *_TEMPLATE, *_SHAPE, *_BATCH, *places}
    begun_with = options.get("adapter_name_or_path")
    return {
        **({"adapter": _files(Path(plan.project) / str(begun_with), _ADAPTER_FILES)} if begun_with else {}),
        "data": _hash([_some(options, _DATA), _datasets(plan)]),
        "model": _model(plan),
        "template": _hash(_some(options, _TEMPLATE)),
        "shape": _hash([_some(options, _SHAPE), files]),
        "batch": str(micro * accumulation * max(len(plan.gpus), 1)),
        "options": _hash({key: value for key, value in options.items() if key not in special}),
    }


def _of_export(plan: Plan) -> dict[str, str]:
    return {"options": _hash(plan.merge_options), "adapter": _adapter(plan), "model": _model(plan)}


def _of_verification(plan: Plan) -> dict[str, str]:
    merged = Path(plan.project) / str(plan.merge_options["export_dir"])
    return {"options": _hash(plan.verification), "adapter": _adapter(plan), "merged": _files(merged, _MODEL_FILES)}


def _datasets(plan: Plan) -> dict[str, Any]:
    """The entries of the data sets that the training reads, and what is in their files."""
    folder = Path(plan.project) / str(plan.train_options.get("dataset_dir", "data"))
    try:
        register = read_dataset_info(folder)
    except Refusal:
        return {}
    found: dict[str, Any] = {}
    for key in ("dataset", "eval_dataset"):
        value = plan.train_options.get(key) or ""
        for name in value.split(",") if isinstance(value, str) else value:
            entry = register.get(str(name).strip())
            file = entry.get("file_name") if isinstance(entry, dict) else None
            found[str(name).strip()] = [entry, _mark(folder / file) if isinstance(file, str) else None]
    return found


def _model(plan: Plan) -> str:
    folder = Path(plan.project) / plan.model
    return _files(folder, _MODEL_FILES) if folder.is_dir() else plan.model


def _adapter(plan: Plan) -> str:
    return _files(Path(plan.project) / str(plan.train_options["output_dir"]), _ADAPTER_FILES)


def _files(folder: Path, patterns: Iterable[str]) -> str:
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return _hash([[path.name, _mark(path)] for path in sorted(paths)]) if paths else ""


def _content(plan: Plan, path: str) -> str:
    planned = next((file.content for file in plan.files if file.path == path), None)
    return planned if planned is not None else _mark(Path(plan.project) / path)


def _mark(path: Path) -> str:
    """A hash of what is in a file: of all of it, or of a large one's size and pieces from its start to its end."""
    try:
        status = path.stat()
        return _mark_of(str(path), status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError:
        return ""


@lru_cache(maxsize=256)
def _mark_of(path: str, size: int, _changed: int, _inode: int) -> str:
    found = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as stream:
        if size <= _WHOLE_BYTES:
            while block := stream.read(1 << 20):
                found.update(block)
        else:
            for piece in range(_PIECES):
                stream.seek((size - _PIECE_BYTES) * piece // (_PIECES - 1))
                found.update(stream.read(_PIECE_BYTES))
    return found.hexdigest()[:32]


def _some(options: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: options[key] for key in keys if options.get(key) is not None}


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]
