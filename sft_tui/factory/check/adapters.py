"""Adapters that the options name: there, complete, and made for this model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.files import HUB_ID, is_local
from sft_tui.factory.check.model_dir import ModelDirectory, read_json
from sft_tui.factory.check.weights import ADAPTER_WEIGHTS, Weights, check_safetensors
from sft_tui.i18n import _


def check_adapters(findings: Findings, model: ModelDirectory | None) -> None:
    """Each adapter must be there, complete, and made for this model."""
    if not findings.given("adapter_name_or_path") or not findings.context.look_at_files:
        return
    folder = findings.get("adapter_folder")
    for adapter in findings.words("adapter_name_or_path"):
        if is_local(adapter, findings) or not HUB_ID.match(adapter):
            path = findings.context.resolve(adapter)
            _check_adapter(findings, adapter, path / str(folder) if folder else path, model)


def _check_adapter(findings: Findings, name: str, path: Path, model: ModelDirectory | None) -> None:
    key = "adapter_name_or_path"
    if not path.is_dir():
        message = _("The adapter {path} does not exist.").format(path=name)
        hint = _("It is the `output_dir` of the training.")
        findings.error("adapter_not_found", key, message, hint)
        return
    config = path / "adapter_config.json"
    if not config.is_file():
        steps = sorted(path.glob("checkpoint-*"))
        message = _("{path} holds no adapter_config.json, so it is no adapter.").format(path=name)
        hint: str | None = _("Its checkpoints are adapters: {name}.").format(name=steps[-1].name) if steps else None
        if (path / "config.json").is_file():
            hint = _("It is a whole model; put it into `model_name_or_path`.")
        findings.error("no_adapter", key, message, hint)
        return
    weights = next((path / n for n in ADAPTER_WEIGHTS if (path / n).is_file()), None)
    if weights is None or weights.stat().st_size < 64:
        message = _("The adapter {path} has no weights (adapter_model.safetensors).").format(path=name)
        findings.error("no_adapter", key, message, _("Has its training been saved? Name another checkpoint."))
        return
    try:
        data = read_json(config)
    except (OSError, ValueError) as error:
        message = _("adapter_config.json of {path} cannot be read: {reason}.").format(path=name, reason=error)
        findings.error("bad_adapter", key, message)
        return
    _check_base(findings, name, weights, data if isinstance(data, dict) else {}, model)


def _check_base(
    findings: Findings, name: str, weights: Path, config: dict[str, Any], model: ModelDirectory | None
) -> None:
    """An adapter trained on another model: its shapes cannot be right, or the merge has no sensible effect."""
    if model is not None and weights.suffix == ".safetensors":
        read = Weights()
        check_safetensors(read, weights, weights.stat().st_size)
        fault = read.faults[0][1] if read.faults else adapter_misfit(read.tensors, model)
        if fault is not None:
            hint = _("Name the model that the adapter was trained on in `model_name_or_path`.")
            findings.error("bad_adapter", "adapter_name_or_path", fault, None if read.faults else hint)
            return
    base = config.get("base_model_name_or_path")
    here = findings.get("model_name_or_path")
    if not isinstance(base, str) or not isinstance(here, str) or Path(base).name == Path(here).name:
        return
    if findings.context.resolve(base).resolve() != findings.context.resolve(here).resolve():
        message = _("The adapter {path} was trained on {base}, not on {model}.")
        hint = _("Name the model that it was trained on in `model_name_or_path`.")
        text = message.format(path=name, base=base, model=here)
        findings.warning("other_base", "adapter_name_or_path", text, hint)


def adapter_misfit(tensors: dict[str, tuple[int, ...]], model: ModelDirectory) -> str | None:
    """Why LoRA matrices cannot belong to the model, as a sentence: a width that differs from the layer's own."""
    for name, shape in tensors.items():
        layer, found, _rest = name.removeprefix("base_model.model.").partition(".lora_A.")
        own = model.weights.tensors.get(f"{layer}.weight", ())
        if found and len(shape) == len(own) == 2 and shape[1] != own[1]:
            text = _("The adapter was made for another model: its {layer} takes {theirs} numbers, the model's {own}.")
            return text.format(layer=layer.rpartition(".")[2], theirs=shape[1], own=own[1])
    layers = model.text_config.get("num_hidden_layers")
    numbers = [int(m.group(1)) for name in tensors if (m := re.search(r"\.layers\.(\d+)\.", name))]
    if isinstance(layers, int) and numbers and max(numbers) >= layers:
        text = _("The adapter was made for another model: it has {theirs} layers, the model {own}.")
        return text.format(theirs=max(numbers) + 1, own=layers)
    return None


# Options that name a file or a local model beside the main one: (option, whether it must be a directory).
