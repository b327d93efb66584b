"""Where a training writes and where it continues: output directory, checkpoints, what would be lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sft_tui.factory.check.checkpoints import MODEL_WEIGHTS, check_checkpoint, check_resume, last_checkpoint
from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.model_dir import ModelDirectory
from sft_tui.i18n import _

_NAME_BYTES, _PATH_BYTES = 255, 4000


def check_output(findings: Findings, model: ModelDirectory | None = None) -> None:
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
        check_resume(findings, path, model)
    elif findings.on("do_train"):
        _check_state(findings, value, path, model)


def _writable(findings: Findings, key: str, value: str, path: Path) -> bool:
    """Whether a directory can be made and written at `path` (reported if not)."""
    if not value.strip():
        findings.error("bad_path", key, _("`{key}` is empty.").format(key=key))
        return False
    if any(len(os.fsencode(part)) > _NAME_BYTES for part in path.parts) or len(os.fsencode(path)) > _PATH_BYTES:
        message = _("`{key}` is too long for a path ({count} characters).").format(key=key, count=len(value))
        findings.error("bad_path", key, message, _("Choose a shorter name."))
        return False
    if "\0" in value:
        findings.error("bad_path", key, _("`{key}` holds a character that no path can have.").format(key=key))
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


def _check_state(findings: Findings, value: str, path: Path, model: ModelDirectory | None) -> None:
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
        check_checkpoint(findings, "output_dir", checkpoint, model)
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
