"""A model directory: does it hold a model that LLaMA-Factory can train, complete, with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.check.model_config import config_faults, missing_code
from sft_tui.factory.check.model_shapes import misfits
from sft_tui.factory.check.tokenizer_files import tokenizer_faults
from sft_tui.factory.check.weights import OTHER_FORMATS, Weights, read_weights
from sft_tui.factory.model_config import text_config
from sft_tui.factory.options import Architectures, snapshot
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

KEY = "model_name_or_path"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model",
    "tekken.json", "tokenizer.tiktoken", "spm.model", "ice_text.model", "vocab.model",
)  # fmt: skip
_HEADS = {
    "ForMaskedLM": "encoder",
    "ForSequenceClassification": "classifier",
    "ForTokenClassification": "classifier",
    "ForQuestionAnswering": "encoder",
    "ForMultipleChoice": "classifier",
    "ForImageClassification": "classifier",
    "ForPreTraining": "encoder",
}
_DTYPES = frozenset(
    ("auto", "bfloat16", "float16", "float32", "float64", "half", "float", "double", "float8_e4m3fn", "float8_e5m2")
)
# Models that read a text and write another; LLaMA-Factory's templates are for models that go on with a text.
_ENCODER_DECODERS = frozenset((
    "bart", "blenderbot", "fsmt", "led", "longt5", "m2m_100", "marian", "mbart", "mt5", "mvp", "nllb-moe", "pegasus",
    "pegasus_x", "plbart", "prophetnet", "switch_transformers", "t5", "umt5",
))  # fmt: skip
_MAX_JSON = 64 << 20


@dataclass(slots=True)
class ModelDirectory:
    """What a model directory holds: its `config`, its `weights`, whether it has a tokenizer, and its problems."""

    path: Path
    config: dict[str, Any] = field(default_factory=dict)
    weights: Weights = field(default_factory=Weights)
    tokenizer_config: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def model_type(self) -> str:
        """The architecture's name, "" where the config gives none."""
        value = self.config.get("model_type", "")
        return value if isinstance(value, str) else ""

    @property
    def text_config(self) -> dict[str, Any]:
        """The language model's part of the config (the config itself unless it is a multimodal one)."""
        return text_config(self.config)

    @property
    def quantization(self) -> str:
        """How the stored weights are quantized (`gptq`, `awq`, ...), "" where they are not."""
        section = self.config.get("quantization_config")
        return str(section.get("quant_method", "")) if isinstance(section, dict) else ""

    def error(self, code: str, message: str, hint: str | None = None, path: Path | None = None) -> None:
        """Note an error."""
        self.problems.append(Problem(code, message, Severity.ERROR, str(path or self.path), KEY, hint))

    def warning(self, code: str, message: str, hint: str | None = None, path: Path | None = None) -> None:
        """Note a warning."""
        self.problems.append(Problem(code, message, Severity.WARNING, str(path or self.path), KEY, hint))


def check_model_dir(path: Path, architectures: Architectures | None = None) -> list[Problem]:
    """What is wrong with the model at `path`; `architectures` are those of the installed transformers."""
    return read_model_dir(path, architectures).problems


def read_model_dir(
    path: Path,
    architectures: Architectures | None = None,
    *,
    trust_remote_code: bool = False,
    from_scratch: bool = False,
) -> ModelDirectory:
    """Read the model directory at `path` with everything that is wrong with it."""
    model = ModelDirectory(path)
    if not path.exists():
        hint = _("Check the path; relative ones start in the project directory.")
        model.error("model_not_found", _("{path} does not exist.").format(path=path), hint)
    elif path.is_file():
        _a_file(model)
    elif not (path / "config.json").exists():
        _no_config(model)
    else:
        _read_config(model, architectures or snapshot().architectures, trust_remote_code)
        if model.config:
            _check_weights(model, from_scratch)
            _check_shapes(model)
            _check_tokenizer(model)
    return model


def read_json(path: Path) -> Any:
    """The JSON in a file; raises ValueError with a sentence where it is none (or OSError)."""
    if path.stat().st_size > _MAX_JSON:
        raise ValueError(_("it is too large"))
    raw = path.read_bytes()
    if not raw.strip():
        raise ValueError(_("it is empty"))
    if raw.startswith(b"version https://git-lfs"):
        raise ValueError(_("it is a Git LFS pointer"))
    return orjson.loads(raw)


def _a_file(model: ModelDirectory) -> None:
    if model.path.suffix == ".gguf":
        _gguf(model)
        return
    message = _("{path} is a file; the model is a directory.").format(path=model.path)
    model.error("model_is_file", message, _("Name the directory that holds config.json."))


def _gguf(model: ModelDirectory) -> None:
    message = _("{path} holds a GGUF model, which is for llama.cpp and cannot be trained.").format(path=model.path)
    model.error("model_is_gguf", message, _("Download the original model (with config.json and safetensors files)."))


def _no_config(model: ModelDirectory) -> None:
    """A directory without config.json: say what it is instead, where that can be seen."""
    path = model.path
    names = {entry.name for entry in path.iterdir()}
    if "adapter_config.json" in names:
        message = _("{path} is an adapter, not a model.").format(path=path)
        hint = _("Put it into `adapter_name_or_path`; the model is {base}.")
        model.error("model_is_adapter", message, hint.format(base=_base_of_adapter(path)))
    elif any(name.endswith(".gguf") for name in names):
        _gguf(model)
    elif "model_index.json" in names:
        message = _("{path} is a diffusion pipeline, which LLaMA-Factory cannot train.").format(path=path)
        model.error("model_is_diffusion", message, _("Choose a language model."))
    elif any(name.endswith(".pth") for name in names):
        message = _("{path} holds Meta's original format.").format(path=path)
        model.error("model_is_original", message, _("Download the Hugging Face version of the model."))
    elif any(name.startswith("checkpoint-") for name in names):
        message = _("{path} has no config.json; it looks like a training's output directory.").format(path=path)
        model.error("no_config", message, _("Name the model that was trained, or the merged model."))
    else:
        hint = _("Name the directory that holds config.json, or download the model again.")
        model.error("no_config", _("{path} has no config.json.").format(path=path), hint)


def _base_of_adapter(path: Path) -> str:
    try:
        data = read_json(path / "adapter_config.json")
    except (OSError, ValueError):
        return "?"
    return str(data.get("base_model_name_or_path", "?")) if isinstance(data, dict) else "?"


def _read_config(model: ModelDirectory, architectures: Architectures, trust_remote_code: bool) -> None:
    path = model.path / "config.json"
    try:
        data = read_json(path)
        if not isinstance(data, dict):
            raise ValueError(_("it is no object"))
    except (OSError, ValueError) as error:
        message = _("config.json of the model cannot be read: {reason}.").format(reason=error)
        model.error("bad_config", message, _("Download the model again."), path)
        return
    model.config = data
    kind = model.model_type
    custom = isinstance(data.get("auto_map"), dict)
    if not kind:
        message = _("config.json of the model names no `model_type`.")
        model.error("no_model_type", message, _("Download the model again."), path)
    elif kind not in architectures.known:
        _unknown_architecture(model, kind, custom, trust_remote_code)
    elif (kind not in architectures.trainable and not custom) or kind in _ENCODER_DECODERS:
        message = _("A model of type `{kind}` generates no text; LLaMA-Factory cannot train it.").format(kind=kind)
        model.error("not_a_language_model", message, _("Choose a causal language model."), path)
    else:
        _check_head(model, path)
        _check_dtype_name(model, path)
        for message in config_faults(str(model.text_config.get("model_type") or kind), model.text_config):
            model.error("bad_config", message, _("Download config.json again."), path)
    if custom and trust_remote_code and (file := missing_code(model.path, data)) is not None:
        message = _("The model's own code is not complete: {file} is missing.").format(file=file)
        model.error("code_missing", message, _("Download the model again."), path)


def _check_dtype_name(model: ModelDirectory, path: Path) -> None:
    name = model.config.get("dtype") or model.config.get("torch_dtype")
    if isinstance(name, str) and name.removeprefix("torch.") not in _DTYPES:
        message = _("config.json of the model has dtype `{name}`, which PyTorch does not know.").format(name=name)
        model.error("bad_config", message, _("Write `bfloat16`, `float16` or `float32` there."), path)


def _unknown_architecture(model: ModelDirectory, kind: str, custom: bool, trust_remote_code: bool) -> None:
    path = model.path / "config.json"
    if not custom:
        message = _("The installed transformers does not know models of type `{kind}`.").format(kind=kind)
        hint = _(
            "Upgrade transformers in the training environment as far as LLaMA-Factory allows, or choose another model."
        )
        model.error("unknown_architecture", message, hint, path)
    elif not trust_remote_code:
        message = _("The model of type `{kind}` brings Python code of its own.").format(kind=kind)
        hint = _("Read that code; if you trust it, set `trust_remote_code: true`.")
        model.problems.append(
            Problem("needs_remote_code", message, Severity.ERROR, str(path), "trust_remote_code", hint)
        )


def _check_head(model: ModelDirectory, path: Path) -> None:
    """An encoder or classifier of a type that also exists as a causal model would train to nonsense."""
    names = model.config.get("architectures")
    if not isinstance(names, list) or not names or model.text_config.get("is_decoder"):
        return
    name = str(names[0])
    head = next((word for word in _HEADS if name.endswith(word)), None)
    if head is None or name.endswith("ForConditionalGeneration"):
        return
    message = _("The model is a {kind} ({name}), not a language model that answers.")
    words = {"encoder": _("text encoder"), "classifier": _("classifier")}
    text = message.format(kind=words[_HEADS[head]], name=name)
    model.error("not_a_language_model", text, _("Choose a causal language model (...ForCausalLM)."), path)


def _check_weights(model: ModelDirectory, from_scratch: bool) -> None:
    model.weights = weights = read_weights(model.path)
    again = _("Download the model again; `huggingface-cli download` continues where it stopped.")
    for code, message, path in weights.faults:
        hint = (
            _("Run `git lfs pull` in the model's directory, or download it again.") if code == "lfs_pointer" else again
        )
        if not from_scratch:
            model.error(code, message, hint, path)
    partial = [
        entry
        for entry in model.path.iterdir()
        if entry.name.endswith((".incomplete", ".part", ".aria2", ".crdownload"))
    ]
    if partial:
        message = _("{file} is a download that has not finished.").format(file=partial[0].name)
        add = model.warning if weights.files and not weights.faults else model.error
        add("download_unfinished", message, again, partial[0])
    elif not weights.files and not weights.faults and not from_scratch:
        _no_weights(model)


def _check_shapes(model: ModelDirectory) -> None:
    """A config and weights of different models, mixed up by copying."""
    if model.weights.faults or model.quantization:
        return
    for word, message in misfits(model.config, model.text_config, model.weights.tensors):
        add = model.error if word == "error" else model.warning
        add("config_and_weights", message, _("Download the model again."))


def _no_weights(model: ModelDirectory) -> None:
    names = [entry.name for entry in model.path.iterdir()]
    if any(name.endswith(".gguf") for name in names):
        _gguf(model)
        return
    other = next((name for name in names if name in OTHER_FORMATS), None)
    if other:
        message = _("The weights are in {file}, not in a format for PyTorch.").format(file=other)
        model.error("weights_format", message, _("Download the safetensors version of the model."))
        return
    if any(name.endswith((".safetensors", ".bin")) for name in names):
        message = _("There are weight files, but neither model.safetensors nor an index that lists them.")
        model.error("no_index", message, _("Download model.safetensors.index.json of the model."))
        return
    message = _("The model's directory holds no weights (model.safetensors).")
    model.error("no_weights", message, _("Download the model again."))


def _check_tokenizer(model: ModelDirectory) -> None:
    """LLaMA-Factory trains without a word on a directory without tokenizer files, and every prompt becomes nonsense."""
    path = model.path
    names = {entry.name for entry in path.iterdir()}
    config = path / "tokenizer_config.json"
    if config.name in names:
        try:
            data = read_json(config)
            model.tokenizer_config = data if isinstance(data, dict) else {}
        except (OSError, ValueError) as error:
            message = _("tokenizer_config.json cannot be read: {reason}.").format(reason=error)
            model.error("bad_tokenizer", message, _("Download the model again."), config)
    custom = "auto_map" in model.tokenizer_config or any(n.endswith(".tiktoken") for n in names)
    found = [name for name in TOKENIZER_FILES if name in names]
    if not found and not custom:
        message = _("The model's directory holds no tokenizer (tokenizer.json or tokenizer.model).")
        hint = _("Download the model again with its tokenizer; without one it learns nonsense without any error.")
        model.error("tokenizer_missing", message, hint)
    rows = model.text_config.get("vocab_size")
    for file, message in tokenizer_faults(path, found, rows if isinstance(rows, int) else None):
        model.error("bad_tokenizer", message, _("Download the model again."), file)
