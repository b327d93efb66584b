"""Where a training writes and where it continues: output directory, checkpoints, what would be lost."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.model_dir import read_json
from sft_tui.factory.check.weights import ADAPTER_WEIGHTS
from sft_tui.i18n import _

_CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")
MODEL_WEIGHTS = (
    *ADAPTER_WEIGHTS,
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def last_checkpoint(directory: Path) -> Path | None:
    """The checkpoint with the highest step, as transformers finds it."""
    if not directory.is_dir():
        return None
    found = [(int(m.group(1)), p) for p in directory.iterdir() if p.is_dir() and (m := _CHECKPOINT.match(p.name))]
    return max(found)[1] if found else None


def check_output(findings: Findings) -> None:
    """Report what speaks against writing to `output_dir`, and where `resume_from_checkpoint` leads."""
    if not findings.context.look_at_files or "output_dir" in findings.bad:
        return
    if not findings.given("output_dir"):
        if findings.on("do_train"):
            message = _("`output_dir` is missing; the training would write to `trainer_output`.")
            findings.warning("missing_key", "output_dir", message, _("Add for example `output_dir: saves/my-run`."))
        return
    value = str(findings.get("output_dir"))
    path = findings.context.resolve(str(Path(value).expanduser()))  # transformers expands `~` here, and only here
    if not _writable(findings, "output_dir", value, path):
        return
    if findings.given("resume_from_checkpoint") and findings.get("resume_from_checkpoint") is not False:
        _check_resume(findings, path)
    elif findings.on("do_train"):
        _check_state(findings, value, path)


def _writable(findings: Findings, key: str, value: str, path: Path) -> bool:
    """Whether a directory can be made and written at `path` (reported if not)."""
    if not value.strip():
        findings.error("bad_path", key, _("`{key}` is empty.").format(key=key))
        return False
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not existing.is_dir():
        message = _("`{key}` is {path}, but {file} is a file.").format(key=key, path=value, file=existing)
        findings.error("bad_path", key, message, _("Choose another directory."))
        return False
    if not os.access(existing, os.W_OK | os.X_OK):
        message = _("`{key}` is {path}, but {directory} may not be written.")
        findings.error("not_writable", key, message.format(key=key, path=value, directory=existing))
        return False
    return True


def _check_resume(findings: Findings, output: Path) -> None:
    value = findings.get("resume_from_checkpoint")
    key = "resume_from_checkpoint"
    checkpoint = last_checkpoint(output) if value is True else findings.context.resolve(str(value))
    if checkpoint is None or not checkpoint.is_dir():
        message = _("There is no checkpoint to resume at {path}.").format(path=output if value is True else value)
        hint = _("Delete the line to start anew, or name a checkpoint-... directory.")
        findings.error("no_checkpoint", key, message, hint, fix=("unset",))
        return
    _check_checkpoint(findings, key, checkpoint)


def _check_checkpoint(findings: Findings, key: str, checkpoint: Path) -> None:
    """A checkpoint must be complete, and of the same shape as what is trained now."""
    names = {entry.name for entry in checkpoint.iterdir()}
    sharded_by_deepspeed = any(name.startswith("global_step") for name in names)
    if not names & set(MODEL_WEIGHTS) and not sharded_by_deepspeed:
        message = _("{path} holds no weights, so it is no checkpoint that can be resumed.")
        inner = last_checkpoint(checkpoint)
        hint = _("Name {path}.").format(path=inner.name) if inner else None
        findings.error("no_checkpoint", key, message.format(path=checkpoint.name), hint)
        return
    if "trainer_state.json" not in names:
        message = _("{path} was written with `save_only_model`, so it cannot be resumed.").format(path=checkpoint.name)
        hint = _("Set `overwrite_output_dir: true` or another `output_dir` to start anew.")
        findings.error("checkpoint_model_only", key, message, hint)
        return
    if not names & {"optimizer.pt", "optimizer.bin"} and not sharded_by_deepspeed:
        message = _("{path} holds no optimizer state; resuming goes on, but as if it had just started.")
        findings.warning("no_optimizer", key, message.format(path=checkpoint.name))
    _check_rank(findings, key, checkpoint)
    _check_finished(findings, key, checkpoint)


def _check_rank(findings: Findings, key: str, checkpoint: Path) -> None:
    config = _json(checkpoint / "adapter_config.json")
    rank = config.get("r")
    if findings.get("finetuning_type") == "lora" and isinstance(rank, int) and rank != findings.get("lora_rank"):
        message = _("{path} has rank {old}, `lora_rank` is {new}: resuming ends in a size mismatch.")
        message = message.format(path=checkpoint.name, old=rank, new=findings.get("lora_rank"))
        hint = _("Set `lora_rank: {rank}`, or another `output_dir`.").format(rank=rank)
        findings.error("checkpoint_shape", "lora_rank", message, hint, fix=("set", rank))
    if config and findings.get("finetuning_type") in ("full", "freeze"):
        message = _("{path} is an adapter, but `finetuning_type` is now {method}.")
        message = message.format(path=checkpoint.name, method=findings.get("finetuning_type"))
        findings.error("checkpoint_shape", key, message, _("Choose another `output_dir`."))


def _check_finished(findings: Findings, key: str, checkpoint: Path) -> None:
    state = _json(checkpoint / "trainer_state.json")
    step, epoch = state.get("global_step"), state.get("epoch")
    limit, epochs = findings.number("max_steps"), findings.number("num_train_epochs")
    done = limit > 0 and isinstance(step, int) and step >= limit
    done = done or (limit <= 0 and isinstance(epoch, int | float) and epoch >= epochs)
    if done:
        message = _("{path} is at the end of this training already, so nothing would be trained.")
        hint = _("Raise `num_train_epochs`, or set `overwrite_output_dir: true` to start anew.")
        findings.warning("already_trained", key, message.format(path=checkpoint.name), hint)


def _json(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _check_state(findings: Findings, value: str, path: Path) -> None:
    """What LLaMA-Factory does with what is in the output directory: resume, refuse or overwrite."""
    checkpoint = last_checkpoint(path)
    names = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if findings.on("overwrite_output_dir"):
        if checkpoint is not None or names & set(MODEL_WEIGHTS):
            message = _("{path} holds an earlier training; `overwrite_output_dir` starts over and overwrites it.")
            hint = _("Choose another `output_dir` to keep it, or set `overwrite_output_dir: false` to resume.")
            findings.warning("overwrites", "output_dir", message.format(path=value), hint)
        return
    if checkpoint is not None:
        message = _("{path} holds {name}; the training resumes there.").format(path=value, name=checkpoint.name)
        findings.info("resumes", "output_dir", message)
        _check_checkpoint(findings, "output_dir", checkpoint)
    elif names & set(MODEL_WEIGHTS):
        message = _("{path} holds a finished training; LLaMA-Factory refuses to write there.").format(path=value)
        hint = _("Choose another `output_dir`, or set `overwrite_output_dir: true`.")
        findings.error("output_exists", "output_dir", message, hint)


def check_disk(findings: Findings, weights_bytes: int) -> None:
    """Whether what will be written fits on the disk: the merged model, or checkpoint and result of a full training.

    `weights_bytes` is the size of the model's weight files. A checkpoint of a full training holds the weights and,
    unless `save_only_model`, two float32 moments for each of them.
    """
    key = "export_dir" if findings.merge else "output_dir"
    if not weights_bytes or not findings.given(key) or not findings.context.look_at_files:
        return
    if findings.merge:
        needed = weights_bytes
    elif findings.get("finetuning_type") == "full" and findings.on("do_train"):
        checkpoint = weights_bytes if findings.on("save_only_model") else 5 * weights_bytes
        needed = weights_bytes + (checkpoint if findings.get("save_strategy") != "no" else 0)
    else:
        return
    path = findings.context.resolve(str(findings.get(key)))
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        message = _("`{key}` needs about {needed} GiB, but only {free} GiB are free there.")
        text = message.format(key=key, needed=_gib(needed), free=_gib(free))
        findings.machine("disk_space", key, text, _("Free some space, or choose another disk."))


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f}"


def check_export_dir(findings: Findings) -> None:
    """The directory of the merged model: given, writable, not the model's or the adapter's own."""
    if not findings.given("export_dir"):
        message = _("`export_dir` is missing.")
        findings.error("missing_key", "export_dir", message, _("Name the directory for the merged model."))
        return
    value = str(findings.get("export_dir"))
    path = findings.context.resolve(value)
    if not findings.context.look_at_files or not _writable(findings, "export_dir", value, path):
        return
    for key in ("model_name_or_path", "adapter_name_or_path"):
        for other in findings.words(key):
            if findings.context.resolve(other).exists() and findings.context.resolve(other).resolve() == path.resolve():
                message = _("`export_dir` is the same directory as `{key}`, which it would overwrite.").format(key=key)
                findings.error("overwrites_input", "export_dir", message, _("Choose another directory."))
                return
    if path.is_dir() and {entry.name for entry in path.iterdir()} & set(MODEL_WEIGHTS):
        message = _("{path} holds a model already; it will be overwritten.").format(path=value)
        findings.warning("overwrites", "export_dir", message, _("Choose another directory to keep it."))
