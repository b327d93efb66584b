"""Checkpoints of a training: complete, readable, and of the same shape as what is trained now."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.model_dir import ModelDirectory, read_json
from sft_tui.factory.check.modules import linear_layers
from sft_tui.factory.check.saved_state import read_optimizer
from sft_tui.factory.check.weights import ADAPTER_WEIGHTS, Weights, check_safetensors, is_pickle
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


def check_resume(findings: Findings, output: Path, model: ModelDirectory | None = None) -> None:
    """Report where `resume_from_checkpoint` leads to nothing that can be resumed."""
    value = findings.get("resume_from_checkpoint")
    key = "resume_from_checkpoint"
    checkpoint = last_checkpoint(output) if value is True else findings.context.resolve(str(value))
    if checkpoint is None or not checkpoint.is_dir():
        message = _("There is no checkpoint to resume at {path}.").format(path=output if value is True else value)
        hint = _("Delete the line to start anew, or name a checkpoint-... directory.")
        findings.error("no_checkpoint", key, message, hint, fix=("unset",))
        return
    check_checkpoint(findings, key, checkpoint, model)


def check_checkpoint(findings: Findings, key: str, checkpoint: Path, model: ModelDirectory | None = None) -> None:
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
    if _broken_file(findings, key, checkpoint, names):
        return
    if not _check_method(findings, key, checkpoint, names):
        return
    _check_rank(findings, key, checkpoint)
    _check_finished(findings, key, checkpoint)
    if not sharded_by_deepspeed and not findings.given("deepspeed") and not findings.given("fsdp"):
        _check_optimizer(findings, checkpoint, model)


def _check_rank(findings: Findings, key: str, checkpoint: Path) -> None:
    config = _json(checkpoint / "adapter_config.json")
    rank, continued = config.get("r"), _continued(findings)
    now = continued.get("r") if continued is not None else findings.get("lora_rank")
    if findings.get("finetuning_type") == "lora" and isinstance(rank, int) and isinstance(now, int) and rank != now:
        if continued is not None:
            message = _("{path} has rank {old}, the adapter has {new}: resuming ends in a size mismatch.")
            text = message.format(path=checkpoint.name, old=rank, new=now)
            findings.error("checkpoint_shape", "adapter_name_or_path", text, _("Choose another `output_dir`."))
            return
        message = _("{path} has rank {old}, `lora_rank` is {new}: resuming ends in a size mismatch.")
        message = message.format(path=checkpoint.name, old=rank, new=now)
        hint = _("Set `lora_rank: {rank}`, or another `output_dir`.").format(rank=rank)
        findings.error("checkpoint_shape", "lora_rank", message, hint, fix=("set", rank))
    if config and findings.get("finetuning_type") in ("full", "freeze"):
        message = _("{path} is an adapter, but `finetuning_type` is now {method}.")
        message = message.format(path=checkpoint.name, method=findings.get("finetuning_type"))
        findings.error("checkpoint_shape", key, message, _("Choose another `output_dir`."))


def _continued(findings: Findings) -> dict[str, Any] | None:
    """The config of the adapter whose training goes on, None where a new one is trained."""
    names = findings.words("adapter_name_or_path") if findings.given("adapter_name_or_path") else []
    if not names or findings.on("create_new_adapter"):
        return None
    return _json(findings.context.resolve(names[-1]) / "adapter_config.json")


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


_STATE_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def _broken_file(findings: Findings, key: str, checkpoint: Path, names: set[str]) -> bool:
    """Whether a file of the checkpoint is cut off or unreadable (reported): a disk was full, a job was killed."""
    fault = _state_fault(checkpoint / "trainer_state.json")
    weights = Weights()
    for name in sorted(names):
        path = checkpoint / name
        if name in MODEL_WEIGHTS and name.endswith(".safetensors"):
            check_safetensors(weights, path, path.stat().st_size)
        elif (name in _STATE_FILES or name in MODEL_WEIGHTS) and not name.endswith(".json") and not is_pickle(path):
            fault = fault or _("{file} is not complete").format(file=name)
    if weights.faults:
        fault = fault or _("{file} is not complete").format(file=weights.faults[0][2].name)
    if fault is None:
        return False
    message = _("{path} cannot be resumed: {reason}.").format(path=checkpoint.name, reason=fault)
    before = _checkpoint_before(checkpoint)
    hint = _("Set `resume_from_checkpoint` to {path}, or start anew.").format(path=before) if before else None
    findings.error("checkpoint_broken", key, message, hint)
    return True


def _state_fault(path: Path) -> str | None:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return _("{file} is not complete").format(file=path.name)
    if not isinstance(data, dict) or not isinstance(data.get("global_step"), int):
        return _("{file} names no step").format(file=path.name)
    return None


def _checkpoint_before(checkpoint: Path) -> Path | None:
    """The checkpoint before this one, where there is one."""
    match = _CHECKPOINT.match(checkpoint.name)
    if match is None:
        return None
    steps = [int(m.group(1)) for p in checkpoint.parent.iterdir() if (m := _CHECKPOINT.match(p.name))]
    earlier = [step for step in steps if step < int(match.group(1))]
    return checkpoint.with_name(f"checkpoint-{max(earlier)}") if earlier else None


def _check_method(findings: Findings, key: str, checkpoint: Path, names: set[str]) -> bool:
    """Whether a checkpoint is an adapter where adapters are trained, and a model where models are (reported if not)."""
    adapter = bool(names & set(ADAPTER_WEIGHTS))
    method = findings.get("finetuning_type")
    if method not in ("lora", "oft") or adapter or not names & set(MODEL_WEIGHTS):
        return True
    message = _("{path} is a whole model, but `finetuning_type` is now {method}.")
    message = message.format(path=checkpoint.name, method=method)
    findings.error("checkpoint_shape", key, message, _("Choose another `output_dir`."))
    return False


def _check_optimizer(findings: Findings, checkpoint: Path, model: ModelDirectory | None) -> None:
    """The optimizer's state must be of the optimizer and the parameters that are trained now."""
    saved = read_optimizer(checkpoint / "optimizer.pt")
    if saved is None or any(findings.on(key) for key in _OWN_OPTIMIZERS):
        return
    now = _optimizer_kind(str(findings.get("optim")))
    if now and saved.kind and now != saved.kind:
        message = _("{path} was trained with another optimizer ({old}) than `optim: {new}`; it cannot be resumed so.")
        text = message.format(path=checkpoint.name, old=saved.kind, new=findings.get("optim"))
        findings.error("checkpoint_shape", "optim", text, _("Keep the optimizer, or choose another `output_dir`."))
        return
    plus = findings.given("loraplus_lr_ratio")
    if saved.groups and findings.get("finetuning_type") == "lora" and plus != (saved.groups > _PLAIN_GROUPS):
        message = _("{path} was trained with another `loraplus_lr_ratio`; it cannot be resumed so.")
        hint = _("Keep the optimizer, or choose another `output_dir`.")
        findings.error("checkpoint_shape", "loraplus_lr_ratio", message.format(path=checkpoint.name), hint)
        return
    _check_targets(findings, checkpoint, model)


_OWN_OPTIMIZERS = ("use_galore", "use_apollo", "use_badam", "use_adam_mini", "use_muon")
_PLAIN_GROUPS = 2


def _optimizer_kind(name: str) -> str:
    if name.startswith(("adamw_torch", "adamw_hf", "adamw_8bit", "adamw_bnb", "paged_adamw")):
        return "adam"
    return name if name in ("adafactor", "sgd") else ""


def _check_targets(findings: Findings, checkpoint: Path, model: ModelDirectory | None) -> None:
    """An adapter of other modules than those that are trained now."""
    config = _json(checkpoint / "adapter_config.json")
    if not config or findings.get("finetuning_type") != "lora":
        return
    continued = _continued(findings)
    now = continued if continued is not None else _planned(findings, model)
    for option, key in _COMPARED:
        old, new = _names(config.get(key)), _names(now.get(key, ...))
        if new is None or old is None or old == new or (key == "target_modules" and "all" in new):
            continue
        message = _("{path} was trained with `{key}`: {old}, now it is {new}; it cannot be resumed so.")
        text = message.format(path=checkpoint.name, key=option, old=_shown(old), new=_shown(new))
        where = "adapter_name_or_path" if continued is not None else option
        findings.error("checkpoint_shape", where, text, _("Choose another `output_dir`, or set it as it was."))
        return


_COMPARED = (
    ("lora_target", "target_modules"),
    ("use_dora", "use_dora"),
    ("additional_target", "modules_to_save"),
)


def _planned(findings: Findings, model: ModelDirectory | None) -> dict[str, Any]:
    """What adapter_config.json of the planned training will say; without the keys that are not known before."""
    planned: dict[str, Any] = {
        "target_modules": findings.words("lora_target"),
        "use_dora": findings.on("use_dora"),
    }
    if planned["target_modules"] == ["all"] and model is not None and (linear := linear_layers(model)):
        planned["target_modules"] = linear
    if not findings.on("resize_vocab"):
        planned["modules_to_save"] = findings.words("additional_target")
    return planned


def _names(value: Any) -> frozenset[str] | None:
    """A list of modules or a switch as a set; None where it is something else."""
    if value is ...:
        return None
    if value is None or value is False:
        return frozenset()
    if value is True:
        return frozenset(("true",))
    return frozenset(map(str, value)) if isinstance(value, list) else None


def _shown(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or _("none")
