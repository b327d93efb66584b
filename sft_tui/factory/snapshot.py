"""The shipped snapshot: written anew from an environment by `python -m sft_tui.factory.snapshot`, compared with one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.options import SNAPSHOTS, Factory
from sft_tui.factory.probe import probe_environment

_MACHINE_KEYS = ("watch", "package_dir", "torch", "python")
_TOLD = frozenset((
    "accelerate", "datasets", "llamafactory", "matplotlib", "modelscope", "numpy", "omegaconf", "peft", "safetensors",
    "sentencepiece", "tensorboard", "tiktoken", "tokenizers", "torch", "torchaudio", "torchvision", "transformers",
    "trl",
))  # fmt: skip
"""Packages whose versions a snapshot tells: those that make the tested set."""


def snapshot_text(data: dict[str, Any]) -> str:
    """A probe without what belongs to one machine, as JSON with a line for each option, template and model."""
    parts = []
    for key, value in data.items():
        if key in _MACHINE_KEYS:
            continue
        if key == "versions":
            value = {name: version for name, version in value.items() if name in _TOLD}
        name = orjson.dumps(key).decode()
        if key == "options":
            lines = ",\n".join(orjson.dumps(option).decode() for option in value)
            parts.append(f"{name}: [\n{lines}\n]")
        elif key in ("templates", "models"):
            lines = ",\n".join(f"{orjson.dumps(k).decode()}:{orjson.dumps(v).decode()}" for k, v in value.items())
            parts.append(f"{name}: {{\n{lines}\n}}")
        else:
            parts.append(f"{name}: {orjson.dumps(value).decode()}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def renew(python: str) -> Path:
    """Probe the environment of `python` and write the snapshot of its version; returns the file."""
    data = probe_environment(python).data
    path = SNAPSHOTS / f"{data['version']}.json"
    path.write_text(snapshot_text(data), encoding="utf-8")
    return path


def drift(shipped: Factory, installed: Factory) -> list[str]:
    """What differs between two versions, a line each: options with types, defaults, choices; templates; models."""
    out = []
    for what in ("options", "templates", "models"):
        old: dict[str, Any] = getattr(shipped, what)
        new: dict[str, Any] = getattr(installed, what)
        out += [f"{what}: {name} is gone" for name in old if name not in new]
        out += [f"{what}: {name} is new" for name in new if name not in old]
        out += [f"{what}: {name} changed" for name in new if name in old and old[name] != new[name]]
    if shipped.requirements != installed.requirements:
        out.append(f"requirements: {shipped.requirements} became {installed.requirements}")
    if shipped.architectures != installed.architectures:
        out.append("architectures: changed")
    return out


if __name__ == "__main__":
    sys.stdout.write(f"{renew(sys.argv[1] if len(sys.argv) > 1 else sys.executable)}\n")
