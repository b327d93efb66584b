"""What the options name on the disk: the model, its template, adapters, checkpoints, the output directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.model_dir import ModelDirectory, read_model_dir
from sft_tui.factory.templates import chat_template_of, misfit, template_for_model, tokens_beyond
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity, nearest

HUB_ID = re.compile(r"^[\w.-]{1,96}/[\w.-]{1,96}$")
_LEGACY_IDS = frozenset(("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2", "openai-gpt"))
# First parts of a path that are directories of a project and no owners on a hub.
_LOCAL_WORDS = frozenset((
    "adapter", "adapters", "base_model", "base_models", "checkpoint", "checkpoints", "ckpt", "ckpts", "data", "exp",
    "experiments", "llm", "llms", "local", "lora", "merged", "model", "models", "output", "outputs", "path",
    "pretrained", "pretrained_models", "results", "runs", "save", "saves", "tmp", "trained", "weights", "workspace",
))  # fmt: skip
# Names that guides and other tools use.
_TEMPLATE_NAMES = {
    "llama": "llama3",
    "llama_3": "llama3",
    "llama3_1": "llama3",
    "llama_2": "llama2",
    "chatglm": "chatglm3",
    "chatglm2": "chatglm3",
    "chatglm4": "glm4",
    "glm": "glm4",
    "qwen1_5": "qwen",
    "qwen2": "qwen",
    "qwen2_5": "qwen",
    "qwen3_instruct": "qwen3_nothink",
    "internlm2": "intern2",
    "phi3": "phi",
    "phi_3": "phi",
    "deepseek_v3": "deepseek3",
    "deepseek_r1": "deepseekr1",
    "none": "empty",
}


def is_local(path: str, findings: Findings) -> bool:
    """Whether a model or adapter is a path of this machine rather than a hub id."""
    if path.startswith(("/", ".", "~")) or path.count("/") > 1 or "\\" in path:
        return True
    if findings.context.resolve(path).exists():
        return True
    first = path.split("/")[0]
    return "/" in path and (first.lower() in _LOCAL_WORDS or (findings.context.base_dir / first).is_dir())


def check_model(findings: Findings) -> ModelDirectory | None:
    """Report what is wrong with the model; returns its directory where it is a complete local one."""
    value = findings.get("model_name_or_path")
    if not isinstance(value, str) or not findings.given("model_name_or_path"):
        return None
    if value.startswith("~"):
        message = _("`model_name_or_path` begins with `~`, which is not replaced in a config.")
        home = str(Path(value).expanduser())
        findings.error(
            "home_in_path", "model_name_or_path", message, _("Write {path}.").format(path=home), fix=("set", home)
        )
        return None
    if not is_local(value, findings):
        _check_hub_id(findings, value)
        return None
    if not findings.context.look_at_files:
        return None
    model = read_model_dir(
        findings.context.resolve(value),
        findings.context.factory.architectures,
        trust_remote_code=findings.on("trust_remote_code"),
        from_scratch=findings.on("train_from_scratch"),
    )
    for problem in model.problems:
        add = findings.error if problem.severity is Severity.ERROR else findings.warning
        add(
            problem.code,
            problem.key or "model_name_or_path",
            problem.message,
            problem.hint,
            line=_line(findings, problem),
        )
    return model if model.config else None


def _line(findings: Findings, problem: Problem) -> int | None:
    key = problem.key or ""
    return findings.lines.get(findings.key_of(key))


def _check_hub_id(findings: Findings, value: str) -> None:
    """A name that is no path: it must have the shape of a hub id, which only the network can confirm."""
    factory = findings.context.factory
    if not value.strip():
        findings.error("missing_key", "model_name_or_path", _("`model_name_or_path` is empty."))
        return
    if HUB_ID.match(value) or value in _LEGACY_IDS:
        if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "yes", "ON", "on") and not _is_cached(value):
            message = _("`{value}` is on no disk here, and HF_HUB_OFFLINE forbids to download it.").format(value=value)
            findings.machine("model_offline", "model_name_or_path", message, _("Give the model's directory."))
        return
    known = factory.model_by_id(value)
    message = _("`{value}` is neither a directory here nor a hub id (owner/name).").format(value=value)
    if known is not None and known.huggingface:
        hint = _("On the hub it is `{id}`.").format(id=known.huggingface)
        findings.error("model_not_found", "model_name_or_path", message, hint, fix=("set", known.huggingface))
        return
    ids = [i for model in factory.models.values() for i in model.ids]
    close = nearest(value, ids, 1)
    hint = (
        _("Did you mean `{name}`?").format(name=close[0]) if close else _("Give the model's directory or its hub id.")
    )
    findings.error("model_not_found", "model_name_or_path", message, hint)


def _is_cached(hub_id: str) -> bool:
    """Whether the hub's library has a model in its cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = os.environ.get("HF_HOME") or str(Path(caches) / "huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or str(Path(home) / "hub")
    return (Path(hub) / f"models--{hub_id.replace('/', '--')}" / "snapshots").is_dir()


def check_template(findings: Findings, model: ModelDirectory | None) -> None:
    """The template must exist; one that does not fit the model trains it to answer in a form that it never meets."""
    factory = findings.context.factory
    name = findings.get("template")
    if "template" in findings.bad:
        return
    if name is None:
        if not findings.merge:
            _no_template(findings, model)
        return
    if name not in factory.templates:
        _unknown_template(findings, str(name), model)
        return
    if findings.on("train_on_prompt") and factory.templates[name].efficient_eos:
        message = _("Template `{name}` does not support `train_on_prompt`.").format(name=name)
        findings.error("conflict", "train_on_prompt", message, _("Delete the line."), fix=("unset",))
    if model is None or any(p.code in ("tokenizer_missing", "bad_tokenizer") for p in model.problems):
        return
    if factory.templates[name].media and not _has_processor(model):
        message = _("Template `{name}` is for images, video or sound, but the model has no processor for them.")
        guess = template_for_model(str(model.path), model.config, factory).name
        fitting = _("For this model: `{name}`.").format(name=guess)
        findings.error("template_media", "template", message.format(name=name), fitting, fix=("set", guess))
        return
    found = misfit(name, model.path, model.config, factory)
    added = [] if findings.on("resize_vocab") else tokens_beyond(factory.templates[name], model.path, model.config)
    if found is None and not added:
        return
    better = found.better if found is not None else None
    hint = _("`{name}` fits better.").format(name=better) if better else None
    fix = ("set", better) if better else None
    if added:
        message = _("Template `{name}` adds {token} to the tokenizer, for which the model's embedding has no row.")
        text = message.format(name=name, token=added[0])
        findings.error("template_tokens", "template", text, hint or _("Set `resize_vocab: true`."), fix=fix)
    elif found is not None:
        findings.warning(found.code, "template", found.message, hint, fix=fix)


def _has_processor(model: ModelDirectory) -> bool:
    names = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
    return any((model.path / name).is_file() for name in names)


def _no_template(findings: Findings, model: ModelDirectory | None) -> None:
    if findings.get("stage") == "pt":
        return
    message = _("No `template` is given; LLaMA-Factory then makes one from the tokenizer's chat template.")
    if model is None:
        findings.info("no_template", "template", message)
        return
    guess = template_for_model(str(model.path), model.config, findings.context.factory)
    hint = _("Add `template: {name}`.").format(name=guess.name)
    own = chat_template_of(model.path)
    if own and _open_tag(own):
        message = _("No `template` is given, and the tokenizer's chat template is broken (a tag is not closed).")
        findings.error("no_template", "template", message, hint, fix=("set", guess.name))
    elif own == "":
        message = _("No `template` is given and the tokenizer has none, so turns are only put after each other.")
        findings.warning("no_template", "template", message, hint, fix=("set", guess.name))
    else:
        findings.info("no_template", "template", message, hint, fix=("set", guess.name))


def _open_tag(chat_template: str) -> bool:
    """Whether a Jinja template has a tag that is never closed."""
    rest = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", chat_template, flags=re.DOTALL)
    return "{%" in rest or "{{" in rest


def _unknown_template(findings: Findings, name: str, model: ModelDirectory | None) -> None:
    factory = findings.context.factory
    message = _("Template `{name}` does not exist in LLaMA-Factory {version}.")
    message = message.format(name=name, version=factory.version)
    better: str | None = None
    if model is not None:
        guess = template_for_model(str(model.path), model.config, factory)
        better = guess.name if guess.name != "default" else None
    better = better or _similar_template(name, list(factory.templates))
    offer = _("For this model: `{name}`.") if model is not None else _("Did you mean `{name}`?")
    fix = ("set", better) if better else None
    findings.error("unknown_template", "template", message, offer.format(name=better) if better else None, fix=fix)


def _similar_template(name: str, known: list[str]) -> str | None:
    """The template that the author of an unknown name meant: what it is called now, one that begins so, a near one."""
    word = name.lower().replace("-", "_").replace(".", "_")
    if _TEMPLATE_NAMES.get(word) in known:
        return _TEMPLATE_NAMES[word]
    for candidates in (
        [t for t in known if t == word],
        [t for t in known if t.startswith(word)],
        nearest(name, known, 1),
    ):
        if candidates:
            return candidates[0]
    return None


def check_tool_format(findings: Findings) -> None:
    """Report a `tool_format` that LLaMA-Factory does not have."""
    known = findings.context.factory.tool_formats
    value = findings.get("tool_format")
    if findings.given("tool_format") and known and value not in known:
        message = _("`{value}` is no value for `{name}`.").format(value=value, name="tool_format")
        close = nearest(str(value), known, 1)
        hint = _("Possible are: {choices}.").format(choices=", ".join(known))
        findings.error("bad_choice", "tool_format", message, hint, fix=("set", close[0]) if close else None)


def check_quantized_model(findings: Findings, model: ModelDirectory) -> None:
    """A model that is stored quantized (GPTQ, AWQ, ...) trains only with LoRA and cannot take an adapter in."""
    method = model.quantization
    if not method:
        return
    if not findings.merge and findings.get("finetuning_type") not in ("lora", "oft"):
        message = _("The model is stored quantized ({method}) and trains only with `finetuning_type: lora`.")
        hint = _("Set `finetuning_type: lora`, or take the unquantized model.")
        findings.error("quantized_model", "finetuning_type", message.format(method=method), hint, fix=("set", "lora"))
    if findings.merge and findings.given("adapter_name_or_path") and method not in ("mxfp4", "fp8"):
        message = _("The model is stored quantized ({method}); adapters cannot be merged into it.")
        hint = _("Name the unquantized model.")
        findings.error("quantized_model", "model_name_or_path", message.format(method=method), hint)
    if findings.on("pissa_init"):
        message = _("PiSSA cannot be initialised on a quantized model.")
        findings.error("conflict", "pissa_init", message, fix=("unset",))
