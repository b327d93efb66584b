"""The DeepSpeed configuration that `deepspeed` names: is it there, is it JSON, which ZeRO stage does it ask for."""

from __future__ import annotations

from typing import Any

import orjson

from sft_tui.factory.check.context import Findings
from sft_tui.i18n import _

_MAX_BYTES = 1 << 20


def deepspeed_config(findings: Findings) -> dict[str, Any] | None:
    """The configuration as a mapping, None where there is none or it cannot be read."""
    value = findings.get("deepspeed")
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return None
    try:
        if value.lstrip().startswith("{"):
            data = orjson.loads(value)
        else:
            path = findings.context.resolve(value)
            data = orjson.loads(path.read_bytes()) if path.stat().st_size <= _MAX_BYTES else None
    except (OSError, orjson.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None


def zero_stage(findings: Findings) -> int:
    """The ZeRO stage of the DeepSpeed configuration; 0 without one."""
    config = deepspeed_config(findings) or {}
    zero = config.get("zero_optimization")
    stage = zero.get("stage", 0) if isinstance(zero, dict) else 0
    return stage if isinstance(stage, int) else 0


def check_deepspeed(findings: Findings) -> None:
    """Report a DeepSpeed file that is missing or no JSON object, values that fight the options, a missing package."""
    if not findings.given("deepspeed"):
        return
    value = findings.get("deepspeed")
    if isinstance(value, str) and not value.lstrip().startswith("{") and not _check_file(findings, value):
        return
    config = deepspeed_config(findings)
    if config is None:
        message = _("`deepspeed` is not a JSON object.")
        findings.error("bad_deepspeed", "deepspeed", message, _("Use one of LLaMA-Factory's ds_z2_config.json files."))
        return
    _check_numbers(findings, config)
    _check_precision(findings, config)
    if findings.context.distributed is False:
        message = _("DeepSpeed needs a distributed launcher, also on one GPU.")
        hint = _("Start with FORCE_TORCHRUN=1 llamafactory-cli train ...; sft-tui does so by itself.")
        findings.warning("deepspeed_launcher", "deepspeed", message, hint)


def _check_file(findings: Findings, value: str) -> bool:
    path = findings.context.resolve(value)
    if not findings.context.look_at_files:
        return path.is_file()
    if not path.is_file():
        message = _("The DeepSpeed configuration {path} does not exist.").format(path=value)
        hint = _("Give the path of a JSON file, or delete the line.")
        findings.error("file_not_found", "deepspeed", message, hint)
        return False
    try:
        raw = path.read_bytes()
        if not isinstance(orjson.loads(raw), dict):
            raise ValueError(_("it is no object"))
    except OSError as error:
        message = _("{path} cannot be read: {reason}.").format(path=value, reason=error.strerror)
        findings.error("file_unreadable", "deepspeed", message)
        return False
    except ValueError as error:
        message = _("The DeepSpeed configuration {path} is not valid JSON: {reason}.").format(path=value, reason=error)
        findings.error("bad_deepspeed", "deepspeed", message, path=str(path))
        return False
    return True


def _check_numbers(findings: Findings, config: dict[str, Any]) -> None:
    """Batch sizes and the like must be "auto" or agree with the options (transformers refuses otherwise)."""
    pairs = {
        "train_micro_batch_size_per_gpu": "per_device_train_batch_size",
        "gradient_accumulation_steps": "gradient_accumulation_steps",
        "gradient_clipping": "max_grad_norm",
    }
    for theirs, ours in pairs.items():
        value, wanted = config.get(theirs), findings.get(ours)
        if value not in (None, "auto") and value != wanted:
            message = _("The DeepSpeed configuration has {theirs} {value}, but `{ours}` is {wanted}.")
            message = message.format(theirs=theirs, value=value, ours=ours, wanted=wanted)
            findings.error("deepspeed_mismatch", "deepspeed", message, _('Write "auto" in the DeepSpeed file.'))


def _check_precision(findings: Findings, config: dict[str, Any]) -> None:
    """A precision switched on in the DeepSpeed file must be the one of the options."""
    for name in ("fp16", "bf16"):
        section = config.get(name)
        enabled = section.get("enabled") if isinstance(section, dict) else None
        if enabled is True and not findings.on(name):
            message = _("The DeepSpeed configuration switches {name} on, but `{name}` is not set.").format(name=name)
            findings.error("deepspeed_mismatch", "deepspeed", message, _('Write "auto" in the DeepSpeed file.'))
