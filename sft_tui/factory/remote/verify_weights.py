"""Do a merged model's weights follow from its base model and its adapter? Used by verify.py, in the training Python.

Tensors are read one at a time and compared in slices of rows, so that memory stays far below a model's size.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from verify_words import N_, Said, said

SLICE_ELEMENTS = 16 << 20  # elements compared at once: 64 MB in float32, a few times that with the temporaries
DECOMPOSING = (
    "pissa",
    "olora",
    "loftq",
    "corda",
    "eva",
    "lora_ga",
)  # initialisations that move part of the base weights
EPSILON = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11, torch.float32: 2.0**-24, torch.float64: 2.0**-53}


class Weights:
    """A model directory's tensors by name: safetensors or PyTorch files, whole or in shards, opened when asked for."""

    def __init__(self, directory: Path) -> None:
        self._safe: dict[Path, Any] = {}
        self._legacy: dict[Path, dict[str, torch.Tensor]] = {}
        self._files: dict[str, Path] = {}
        for index in sorted(directory.glob("*.safetensors.index.json")) or sorted(directory.glob("*.bin.index.json")):
            table = json.loads(index.read_text("utf-8"))["weight_map"]
            self._files.update({name: directory / file for name, file in table.items()})
        if not self._files:
            names = ("model.safetensors", "adapter_model.safetensors", "pytorch_model.bin", "adapter_model.bin")
            single = next((directory / name for name in names if (directory / name).is_file()), None)
            if single is None:
                raise FileNotFoundError(f"{directory} holds no weights (model.safetensors or pytorch_model.bin)")
            self._files = dict.fromkeys(self._names(single), single)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __getitem__(self, name: str) -> torch.Tensor:
        file = self._files[name]
        if file.suffix == ".safetensors":
            return self._open(file).get_tensor(name)
        return self._load(file)[name]

    def _names(self, file: Path) -> list[str]:
        return list(self._open(file).keys()) if file.suffix == ".safetensors" else list(self._load(file))

    def _open(self, file: Path) -> Any:
        if file not in self._safe:
            self._safe[file] = safe_open(str(file), framework="pt", device="cpu")
        return self._safe[file]

    def _load(self, file: Path) -> dict[str, torch.Tensor]:
        if file not in self._legacy:
            self._legacy = {file: torch.load(file, map_location="cpu", weights_only=True, mmap=True)}
        return self._legacy[file]


@dataclass
class Update:
    """What an adapter does to one weight: a tensor in its place, a LoRA pair with its scale, a DoRA magnitude."""

    a: torch.Tensor | None = None
    b: torch.Tensor | None = None
    scale: float = 0.0
    magnitude: torch.Tensor | None = None
    replacement: torch.Tensor | None = None
    transposed: bool = False

    def delta(self, rows: slice) -> torch.Tensor:
        """scale * B @ A for some rows of the weight, in float32."""
        assert self.a is not None and self.b is not None
        if self.transposed:  # the weight is stored as (in, out)
            return (self.b.float() @ self.a.float()[:, rows]).T * self.scale
        return self.b.float()[rows] @ self.a.float() * self.scale

    def bound(self, rows: slice) -> torch.Tensor:
        """scale * |B| @ |A|: what rounding A and B is relative to."""
        assert self.a is not None and self.b is not None
        if self.transposed:
            return (self.b.float().abs() @ self.a.float()[:, rows].abs()).T * abs(self.scale)
        return self.b.float()[rows].abs() @ self.a.float().abs() * abs(self.scale)


@dataclass
class Adapter:
    """An adapter's updates by the name of the weight; `reason` says why it cannot be recomputed, if it cannot."""

    updates: dict[str, Update] = field(default_factory=dict)
    reason: Said | None = None


def read_adapter(directory: Path) -> Adapter:
    """Read a PEFT adapter directory. Needs `adapter_config.json` and the adapter's weights beside it."""
    config = json.loads((directory / "adapter_config.json").read_text("utf-8"))
    kind = str(config.get("peft_type", "")).upper()
    start = str(config.get("init_lora_weights", "")).lower()
    if kind != "LORA":
        return Adapter(reason=said(N_("this check knows LoRA adapters, not {kind}"), kind=kind or "?"))
    if start.startswith(DECOMPOSING):
        return Adapter(
            reason=said(N_("the adapter began with {start}, which also moves the base weights"), start=start)
        )
    if config.get("lora_bias"):
        return Adapter(reason=said(N_("the adapter trains biases inside LoRA (lora_bias)")))
    weights = Weights(directory)
    updates: dict[str, Update] = {}
    for key in weights:
        name = key.removeprefix("base_model.model.")
        match = re.fullmatch(r"(.*)\.(lora_(?:embedding_)?[AB]|lora_magnitude_vector)(?:\.weight)?", name)
        if match is None:  # a module trained whole, or an embedding that PEFT keeps beside its LoRA pair
            plain = name.replace(".modules_to_save.", ".").replace(".base_layer.", ".")
            updates.setdefault(plain, Update()).replacement = weights[key]
            continue
        module, part = match.groups()
        update = updates.setdefault(f"{module}.weight", Update())
        update.transposed = update.transposed or bool(config.get("fan_in_fan_out"))
        update.scale = _scale(config, module)
        if part == "lora_magnitude_vector":
            update.magnitude = weights[key].float()
        elif part.endswith("A"):
            update.a = weights[key]
        else:
            update.b = weights[key]
        update.transposed = update.transposed or "embedding" in part
    return Adapter(updates)


def _scale(config: dict[str, Any], module: str) -> float:
    """PEFT's scaling of one module: alpha / rank, or alpha / sqrt(rank) with rsLoRA, both perhaps set by a pattern."""

    def pick(patterns: dict[str, Any] | None, default: Any) -> float:
        for pattern, value in (patterns or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                return float(value)
        return float(default)

    rank = pick(config.get("rank_pattern"), config["r"])
    alpha = pick(config.get("alpha_pattern"), config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


@dataclass
class Comparison:
    """What comparing every tensor found; `carried` is the share of the adapter's change that the merged model has."""

    tensors: int = 0
    changed: int = 0
    updated: int = 0
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    dot: float = 0.0
    norm: float = 0.0

    @property
    def carried(self) -> float | None:
        """1.0 for a true merge, 0.0 where nothing was merged, None where rounding leaves no change to look for."""
        return self.dot / self.norm if self.norm > 0 else None


def compare(base: Weights, merged: Weights, adapter: Adapter | None) -> Comparison:
    """Compare every tensor of the merged model with the base's, and with base + adapter where there is one."""
    found = Comparison()
    updates = _by_stored_name(adapter.updates, base, found) if adapter and not adapter.reason else {}
    for number, name in enumerate(sorted(base), start=1):
        if number % 100 == 0:
            print(f"verify: compared {number} tensors", flush=True)
        if name not in merged:
            if not _is_tied_copy(name, merged):
                found.missing.append(name)
            continue
        old, new = base[name], merged[name]
        found.tensors += 1
        if old.shape != new.shape:
            found.resized.append(name)
            if old.dim() != new.dim() or old.shape[1:] != new.shape[1:]:
                found.wrong.append(name)
                continue
            rows = min(len(old), len(new))
            old, new = old[:rows], new[:rows]
        update = updates.get(name)
        same = old.dtype == new.dtype and torch.equal(old, new)
        found.changed += not same
        if update is not None:
            found.updated += 1
        if (not same or update is not None) and adapter is not None and not adapter.reason:
            _compare_tensor(name, old, new, update, found)
    return found


def _by_stored_name(updates: dict[str, Update], base: Weights, found: Comparison) -> dict[str, Update]:
    """Updates under the names that the base's files use; a module's name may differ from its file's in the prefix."""
    stored: dict[str, Update] = {}
    names = list(base)
    for name, update in updates.items():
        if name in base:
            stored[name] = update
            continue
        parts = name.split(".")
        tails = [".".join(parts[i:]) for i in range(1, len(parts) - 1)]
        hits = next((same for tail in tails if (same := [n for n in names if n.endswith("." + tail)])), [])
        if len(hits) == 1:
            stored[hits[0]] = update
        else:
            found.unmatched.append(name)
    return stored


def _is_tied_copy(name: str, merged: Weights) -> bool:
    """An output layer that the merged model leaves out because it shares the embedding's tensor."""
    return name.endswith("lm_head.weight") and any(other.endswith("embed_tokens.weight") for other in merged)


def _compare_tensor(name: str, old: torch.Tensor, new: torch.Tensor, update: Update | None, found: Comparison) -> None:
    """Compare one weight by slices of rows; notes it as wrong if more than rounding separates it from what is due."""
    if not old.is_floating_point():
        found.wrong.append(name)
        return
    epsilon = max(EPSILON.get(new.dtype, 0.125), EPSILON.get(old.dtype, 0.125))
    width = max(1, old[0].numel()) if old.dim() else 1
    step = max(1, SLICE_ELEMENTS // width)
    old, new = (old, new) if old.dim() else (old[None], new[None])
    bad = 0
    for first in range(0, len(old), step):
        rows = slice(first, min(first + step, len(old)))
        before, after = old[rows].float(), new[rows].float()
        due, slack = _expected(before, update, rows)
        change = due.to(new.dtype).float() - before
        found.dot += float(((after - before) * change).sum(dtype=torch.float64)) if update else 0.0
        found.norm += float((change * change).sum(dtype=torch.float64)) if update else 0.0
        bad += int(((after - due).abs() > 2 * epsilon * slack + 1e-7).sum())
        bad += int((~torch.isfinite(after)).sum())
    if bad:
        found.wrong.append(name)


def _expected(before: torch.Tensor, update: Update | None, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight that is due after merging, and the size that rounding errors are relative to."""
    if update is None:
        return before, before.abs()
    if update.replacement is not None:
        before = update.replacement[rows].float()
    if update.a is None:
        return before, before.abs()
    due = before + update.delta(rows)
    slack = before.abs() + due.abs() + update.bound(rows)
    if update.magnitude is not None:  # DoRA: each row is brought to its trained length
        factor = (update.magnitude.flatten()[rows] / due.norm(dim=1))[:, None]
        return due * factor, slack * factor.abs() * 4
    return due, slack
