"""Adapters that the options name: there, complete, and made for this model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sft_tui.factory.adapter_config import passed_over
from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.files import HUB_ID, is_local
from sft_tui.factory.check.model_dir import ModelDirectory, read_json
from sft_tui.factory.check.weights import ADAPTER_WEIGHTS, Weights, check_safetensors, is_pickle
from sft_tui.i18n import _

_PEFT_TYPES = frozenset((
    "ADALORA", "ADAPTION_PROMPT", "BOFT", "BONE", "C3A", "DELORA", "FOURIERFT", "HRA", "IA3", "LN_TUNING", "LOHA",
    "LOKR", "LORA", "MISS", "OFT", "POLY", "PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "RANDLORA", "ROAD", "SHIRA",
    "VBLORA", "VERA", "WAVEFT", "XLORA",
))  # fmt: skip

_PROMPTS = frozenset(("ADAPTION_PROMPT", "PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"))


def check_adapters(findings: Findings, model: ModelDirectory | None) -> None:
    """Each adapter must be there, complete, and made for this model."""
    if not findings.given("adapter_name_or_path") or not findings.context.look_at_files:
        return
    folder = findings.get("adapter_folder")
    config: dict[str, Any] | None = None
    for adapter in findings.words("adapter_name_or_path"):
        config = None
        if is_local(adapter, findings) or not HUB_ID.match(adapter):
            path = findings.context.resolve(adapter)
            config = _check_adapter(findings, adapter, path / str(folder) if folder else path, model)
    if config and findings.on("do_train") and not findings.merge and not findings.on("create_new_adapter"):
        _check_shape(findings, adapter, config)  # the last one is trained further, those before it are merged


def _check_shape(findings: Findings, name: str, config: dict[str, Any]) -> None:
    """Options of a new adapter, which say nothing where one is trained further."""
    given = {key: findings.get(key) for key in findings.options if findings.given(key)}
    for key, text in passed_over(given, config, name).items():
        findings.warning("adapter_shape", key, text, _("Remove it, or train a new adapter."), fix=("unset",))


def _check_adapter(findings: Findings, name: str, path: Path, model: ModelDirectory | None) -> dict[str, Any] | None:
    """What is wrong with the adapter in `path`; its own config where that can be read."""
    key = "adapter_name_or_path"
    if not path.is_dir():
        message = _("The adapter {path} does not exist.").format(path=name)
        findings.error("adapter_not_found", key, message, _("It is the `output_dir` of the training."))
        return None
    config = path / "adapter_config.json"
    if not config.is_file():
        steps = sorted(path.glob("checkpoint-*"))
        message = _("{path} holds no adapter_config.json, so it is no adapter.").format(path=name)
        hint: str | None = _("Its checkpoints are adapters: {name}.").format(name=steps[-1].name) if steps else None
        if (path / "config.json").is_file():
            hint = _("It is a whole model; put it into `model_name_or_path`.")
        findings.error("no_adapter", key, message, hint)
        return None
    weights = next((path / n for n in ADAPTER_WEIGHTS if (path / n).is_file()), None)
    if weights is None or weights.stat().st_size < 64:
        message = _("The adapter {path} has no weights (adapter_model.safetensors).").format(path=name)
        findings.error("no_adapter", key, message, _("Has its training been saved? Name another checkpoint."))
        return None
    try:
        data = read_json(config)
    except (OSError, ValueError) as error:
        message = _("adapter_config.json of {path} cannot be read: {reason}.").format(path=name, reason=error)
        findings.error("bad_adapter", key, message)
        return None
    data = data if isinstance(data, dict) else {}
    _check_base(findings, name, weights, data, model)
    return data


def _check_base(
    findings: Findings, name: str, weights: Path, config: dict[str, Any], model: ModelDirectory | None
) -> None:
    """An adapter whose parts do not belong together, or which was trained on another model."""
    fault = _own_fault(name, weights, config)
    if (
        str(config.get("peft_type")).upper() in _PROMPTS
        and not findings.merge
        and not findings.on("create_new_adapter")
    ):
        fault = fault or _("The adapter {path} is one of prompts, which LLaMA-Factory cannot train.").format(path=name)
    if fault is not None:
        findings.error("bad_adapter", "adapter_name_or_path", fault, _("Name another checkpoint, or train again."))
        return
    if model is not None:
        tensors = _tensors(weights)
        misfit = adapter_misfit(tensors, model) or _targets_misfit(config, model) or _layers_misfit(config, model)
        if misfit is not None:
            hint = _("Name the model that the adapter was trained on in `model_name_or_path`.")
            findings.error("bad_adapter", "adapter_name_or_path", misfit, hint)
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


def _tensors(weights: Path) -> dict[str, tuple[int, ...]]:
    read = Weights()
    if weights.suffix == ".safetensors":
        check_safetensors(read, weights, weights.stat().st_size)
    return read.tensors


def _own_fault(name: str, weights: Path, config: dict[str, Any]) -> str | None:
    """What is wrong with an adapter by itself, as a sentence."""
    kind = config.get("peft_type")
    if not isinstance(kind, str) or kind.upper() not in _PEFT_TYPES:
        text = _("adapter_config.json of {path} names no known kind of adapter (peft_type: {kind}).")
        return text.format(path=name, kind=kind)
    read = Weights()
    if weights.suffix == ".safetensors":
        check_safetensors(read, weights, weights.stat().st_size)
    elif not is_pickle(weights):
        return _("{file} is no complete weight file of PyTorch.").format(file=weights.name)
    if read.faults:
        return read.faults[0][1]
    return _config_fault(name, config) or _tensors_fault(name, kind.upper(), config, read.tensors)


def _config_fault(name: str, config: dict[str, Any]) -> str | None:
    """A value in the config of a LoRA adapter that peft refuses."""
    if str(config.get("peft_type")).upper() != "LORA":
        return None
    rank, bias = config.get("r", 8), config.get("bias", "none")
    if rank.__class__ is not int or rank < 1:
        text = _("adapter_config.json of {path} has rank {value}, which is no whole number from 1.")
        return text.format(path=name, value=rank)
    if bias not in ("none", "all", "lora_only"):
        return _("adapter_config.json of {path} has bias `{value}`, which does not exist.").format(
            path=name, value=bias
        )
    return None


def _tensors_fault(name: str, kind: str, config: dict[str, Any], tensors: dict[str, tuple[int, ...]]) -> str | None:
    """What the adapter's tensors say against its config: other ranks, or names that peft would not find."""
    if kind != "LORA" or not tensors:
        return None
    if not any(tensor.startswith("base_model.model.") for tensor in tensors):
        text = _("The weights of adapter {path} have names of another tool ({tensor}); they would not be used.")
        return text.format(path=name, tensor=next(iter(tensors)))
    pattern = config.get("rank_pattern")
    pattern = pattern if isinstance(pattern, dict) else {}
    for tensor, shape in tensors.items():
        module, found, _rest = tensor.partition(".lora_A.")
        if not found or len(shape) != 2:
            continue
        ranks = [rank for key, rank in pattern.items() if re.search(rf"(^|\.){key}$", module)]
        wanted = ranks[0] if ranks else config.get("r", 8)
        if isinstance(wanted, int) and wanted != shape[0]:
            text = _("adapter_config.json of {path} says rank {wanted}, but its weights have rank {found}.")
            return text.format(path=name, wanted=wanted, found=shape[0])
    return None


def _targets_misfit(config: dict[str, Any], model: ModelDirectory) -> str | None:
    """Why an adapter's target modules cannot be in the model: none of them is."""
    targets = config.get("target_modules")
    modules = model.weights.modules | {"lm_head"}
    if not isinstance(targets, list) or not targets or len(modules) < 3 or "moe" in model.model_type:
        return None
    if any(module == t or module.endswith(f".{t}") for t in map(str, targets) for module in modules):
        return None
    text = _("The adapter was made for another model: this one has no module `{name}`.")
    return text.format(name=targets[0])


def _layers_misfit(config: dict[str, Any], model: ModelDirectory) -> str | None:
    """Why an adapter for some layers cannot be in the model: it has none of them."""
    wanted, layers = config.get("layers_to_transform"), model.text_config.get("num_hidden_layers")
    numbers = [wanted] if isinstance(wanted, int) else wanted if isinstance(wanted, list) else []
    if not isinstance(layers, int) or not numbers or any(isinstance(n, int) and n < layers for n in numbers):
        return None
    text = _("The adapter was made for another model: it has {theirs} layers, the model {own}.")
    return text.format(theirs=max(map(int, numbers)) + 1, own=layers)


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
