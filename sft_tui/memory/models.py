"""Where a model's `config.json` comes from: a directory, a file, or a model that is known by its name."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from sft_tui.i18n import _
from sft_tui.problems import Refusal, nearest, refuse

_TABLE = Path(__file__).parent / "known_models.json"
_LARGEST_CONFIG = 16 << 20


@cache
def known_models() -> dict[str, dict[str, Any]]:
    """Configs of common models by hub name (`Qwen/Qwen2.5-7B-Instruct`): what of them decides memory."""
    table: list[dict[str, Any]] = json.loads(_TABLE.read_text("utf-8"))
    return {name: row["config"] for row in table for name in row["names"]}


@cache
def _folded() -> dict[str, str]:
    """Known names in lower case, with and without the organisation."""
    folded: dict[str, str] = {}
    for name in known_models():
        folded[name.lower()] = name
        folded.setdefault(name.lower().rsplit("/", 1)[-1], name)
    return folded


def known_config(name: str) -> dict[str, Any] | None:
    """The config of the model called `name`, with or without its organisation, in any case; None if unknown."""
    full = _folded().get(name.strip().lower())
    return None if full is None else known_models()[full]


def find_config(model: str) -> dict[str, Any]:
    """The config of `model`: a directory or file on this machine, otherwise a known name.

    Raises `Refusal` (exit 2) with a sentence where there is none.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _from_directory(path)
    if path.is_file():
        return _from_file(path)
    config = known_config(model)
    if config is not None:
        return config
    if "/" in model.strip("/") and not path.is_absolute() and model.count("/") == 1 and not model.startswith("."):
        message = _("The model {name} is not known here and is no directory.").format(name=model)
    else:
        message = _("There is no model at {path}.").format(path=model)
    close = nearest(model.rsplit("/", 1)[-1], [name.rsplit("/", 1)[-1] for name in known_models()])
    hint = _("Give the directory that holds its config.json.")
    if close:
        hint = _("Did you mean {names}? Otherwise give the directory that holds its config.json.").format(
            names=", ".join(close)
        )
    raise refuse("unknown_model", message, key="model.path", hint=hint)


def _from_directory(path: Path) -> dict[str, Any]:
    config = path / "config.json"
    if config.is_file():
        return _from_file(config)
    if (path / "adapter_config.json").is_file():
        message = _("{path} holds an adapter, not a model.").format(path=path)
        raise refuse("adapter_not_model", message, path=str(path), hint=_("Give the base model's directory."))
    if (path / "model_index.json").is_file():
        message = _("{path} holds a diffusion pipeline, not a language model.").format(path=path)
        raise refuse("not_a_language_model", message, path=str(path))
    if any(path.glob("*.gguf")):
        raise _gguf(path)
    message = _("{path} has no config.json.").format(path=path)
    raise refuse(
        "no_config", message, path=str(path), hint=_("Give the directory of a model in Hugging Face's format.")
    )


def _from_file(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".gguf":
        raise _gguf(path)
    if path.suffix.lower() != ".json" or path.stat().st_size > _LARGEST_CONFIG:
        message = _("{path} is not a config.json.").format(path=path)
        raise refuse("not_a_config", message, path=str(path), hint=_("Give a model's directory or its config.json."))
    try:
        config = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        message = _("{path} cannot be read as JSON: {reason}").format(path=path, reason=error)
        raise refuse("bad_config", message, path=str(path)) from error
    if not isinstance(config, dict):
        raise refuse("bad_config", _("{path} holds no JSON object.").format(path=path), path=str(path))
    return config


def _gguf(path: Path) -> Refusal:
    message = _("{path} is a GGUF file: those are for running a model, not for training it.").format(path=path)
    hint = _("Give the model that it was made from, in Hugging Face's format (config.json and *.safetensors).")
    return refuse("gguf", message, path=str(path), hint=hint)
