"""Names of modules in the options (`lora_target` and its like) against the tensors of the model's weight files."""

from __future__ import annotations

import re

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.model_dir import ModelDirectory
from sft_tui.i18n import _
from sft_tui.problems import nearest

# Architectures that transformers builds with other module names than the weight files have.
_RENAMED_ON_LOAD = ("moe", "mixtral", "deepseek_v", "gpt_oss", "llama4", "jamba", "dbrx")
_LAYER = re.compile(r"\.\d+\.")


def check_modules(findings: Findings, model: ModelDirectory | None) -> None:
    """Report names of modules that the model does not have, where its weight files can be read."""
    if model is None or not model.weights.tensors or findings.merge or not findings.on("do_train"):
        return
    _check_tied(findings, model)
    if any(word in model.model_type for word in _RENAMED_ON_LOAD) or "vision_config" in model.config:
        return
    modules = model.weights.modules | {"lm_head"}  # tied to the embeddings it has no tensor of its own
    method = findings.get("finetuning_type")
    if method in ("lora", "oft"):
        _check_targets(findings, "lora_target", modules)  # `oft` reads it as well
        _check_extra(findings, modules)
    elif method == "freeze":
        _check_freeze(findings, model, modules)
    _check_layers(findings, model)


def _check_tied(findings: Findings, model: ModelDirectory) -> None:
    """LLaMA-Factory saves whole reward models tensor by tensor, which safetensors refuses where two are one."""
    if findings.get("stage") != "rm" or findings.get("finetuning_type") not in ("full", "freeze"):
        return
    if model.text_config.get("tie_word_embeddings") is True:
        message = _(
            "A reward model with tied embeddings cannot be saved after training with `finetuning_type: {method}`."
        )
        text = message.format(method=findings.get("finetuning_type"))
        findings.error(
            "tied_embeddings", "finetuning_type", text, _("Set `finetuning_type: lora`."), fix=("set", "lora")
        )


def linear_layers(model: ModelDirectory) -> list[str]:
    """The names that `lora_target: all` stands for; empty where the weight files do not tell them."""
    if any(word in model.model_type for word in _RENAMED_ON_LOAD) or "vision_config" in model.config:
        return []
    tensors = model.weights.tensors.items()
    return sorted({name.split(".")[-2] for name, shape in tensors if len(shape) == 2 and _LAYER.search(name)})


def _check_targets(findings: Findings, key: str, modules: set[str]) -> None:
    """PEFT looks for modules whose name is, or ends with, one of the targets; with none it refuses."""
    targets = findings.words(key)
    if not findings.given(key) or targets == ["all"]:
        return
    leaves = sorted({module.rpartition(".")[2] for module in modules if _LAYER.search(module) and "norm" not in module})
    missing = [t for t in targets if not any(module == t or module.endswith(f".{t}") for module in modules)]
    norms = [t for t in targets if "norm" in t.rpartition(".")[2] and t not in missing]
    if norms:
        message = _("`{key}` names `{name}`, which is no linear layer.").format(key=key, name=norms[0])
        findings.error("bad_target", key, message, _("Possible are: all, {names}.").format(names=", ".join(leaves)))
        return
    if not missing:
        return
    close = nearest(missing[0], [*leaves, "all"], 1)
    hint = _("Possible are: all, {names}.").format(names=", ".join(leaves))
    fix = ("set", close[0]) if close and len(targets) == 1 else ("set", "all")
    if len(missing) == len(targets):
        message = _("The model has no module `{name}` for `{key}`.").format(name=missing[0], key=key)
        findings.error("bad_target", key, message, hint, fix=fix)
    else:
        message = _("The model has no module `{name}`; `{key}` takes only the others.")
        findings.warning("bad_target", key, message.format(name=missing[0], key=key), hint)


def _check_extra(findings: Findings, modules: set[str]) -> None:
    for name in findings.words("additional_target"):
        if not any(module == name or module.endswith(f".{name}") or name in module.split(".") for module in modules):
            message = _("The model has no module `{name}` for `{key}`.").format(name=name, key="additional_target")
            outer = sorted({m.rpartition(".")[2] for m in modules if not _LAYER.search(m)})
            hint = _("Outside the layers it has: {names}.").format(names=", ".join(outer))
            findings.warning("bad_target", "additional_target", message, hint)
            return


def _check_freeze(findings: Findings, model: ModelDirectory, modules: set[str]) -> None:
    hidden = {name.split(".0.")[-1].split(".")[0] for name in model.weights.tensors if ".0." in name}
    outer = {module.rpartition(".")[2] for module in modules if not _LAYER.search(f"{module}.")}
    checks = (("freeze_trainable_modules", hidden, "all"), ("freeze_extra_modules", outer, ""))
    for key, known, always in checks:
        for name in findings.words(key) if findings.given(key) else ():
            if name != always and name not in known:
                message = _("The model has no module `{name}` for `{key}`.").format(name=name, key=key)
                hint = _("Possible are: {choices}.").format(choices=", ".join(sorted(known)))
                findings.error("bad_target", key, message, hint)
                break


def _check_layers(findings: Findings, model: ModelDirectory) -> None:
    """LLaMA Pro inserts blocks at equal distances, so their number must divide the layers."""
    layers = model.text_config.get("num_hidden_layers")
    count = findings.get("freeze_trainable_layers")
    if not isinstance(layers, int) or not isinstance(count, int) or not findings.on("use_llama_pro"):
        return
    if findings.get("finetuning_type") in ("freeze", "lora") and (count == 0 or layers % count != 0):
        message = _("With `use_llama_pro`, `freeze_trainable_layers` must divide the model's {layers} layers.")
        findings.error("conflict", "freeze_trainable_layers", message.format(layers=layers))
