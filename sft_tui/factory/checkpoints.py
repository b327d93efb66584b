"""The checkpoints of a training: which are whole, judged file by file, and what can be gone on from."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.i18n import _

TRAINER_STATE = "trainer_state.json"
_PREFIX = "checkpoint-"
_UNFINISHED = "checkpoint-is-incomplete.txt"
_LONGEST_HEADER = 100 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A directory `checkpoint-<step>`; `fault` says in a sentence why it cannot be resumed, None where it can."""

    path: Path
    step: int
    epoch: float
    fault: str | None = None

    def leaves(self, options: Mapping[str, Any]) -> float:
        """How much a training with `options` has left to do after it: in steps or epochs; below 0 past its end."""
        steps = _number(options.get("max_steps")) or 0
        return steps - self.step if steps > 0 else (_number(options.get("num_train_epochs")) or 3.0) - self.epoch


def find_checkpoints(save_dir: Path) -> list[Checkpoint]:
    """All checkpoints in `save_dir`, the oldest first."""
    return [_look_at(path, int(path.name.removeprefix(_PREFIX))) for path in checkpoint_directories(save_dir)]


def checkpoint_directories(save_dir: Path) -> list[Path]:
    """The directories of checkpoints in `save_dir`, whole or not, the oldest first."""
    found = [path for path in save_dir.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
    return sorted((path for path in found if path.is_dir()), key=lambda path: int(path.name.removeprefix(_PREFIX)))


def trained_to_the_end(save_dir: Path, options: Mapping[str, Any]) -> bool:
    """Whether the training that saved into `save_dir` did all its steps; so too where it does not say."""
    state = _read_state(save_dir)
    step, last = _number(state.get("global_step")), _number(state.get("max_steps"))
    return step is None or not last or step >= last or bool(options.get("early_stopping_steps"))


def steps_trained(save_dir: Path) -> int | None:
    """How many steps the weights in `save_dir` were trained; None where it does not say."""
    step = _number(_read_state(save_dir).get("global_step"))
    return None if step is None else int(step)


def weights_fault(directory: Path) -> str | None:
    """Why the safetensors files in `directory` are not whole: one is cut off, or missing; None where they are."""
    for index in directory.glob("*.safetensors.index.json"):
        named = set((_read_json(index).get("weight_map") or {}).values())
        missing = sorted(name for name in named if not (directory / str(name)).is_file())
        if missing or not named:
            return _("{name} is missing").format(name=missing[0] if missing else index.name)
    cut = (path.name for path in sorted(directory.glob("*.safetensors")) if not _is_whole(path))
    return next((_("{name} is cut off").format(name=name) for name in cut), None)


def _look_at(path: Path, step: int) -> Checkpoint:
    state = _read_state(path)
    try:
        fault = _fault(path, state)
    except OSError as error:
        fault = str(error)
    return Checkpoint(path, step, _number(state.get("epoch")) or 0.0, fault)


def _fault(path: Path, state: Mapping[str, Any]) -> str | None:
    if (path / _UNFINISHED).exists():
        return _("its writing was interrupted")
    if _number(state.get("global_step")) is None:
        return _("{name} is missing or cut off").format(name=TRAINER_STATE)
    divided = [folder for folder in path.glob("global_step*") if folder.is_dir()]  # DeepSpeed's
    kept = [file for folder in divided for file in folder.glob("*.pt")] if divided else [*path.glob("optimizer*")]
    if not kept:
        return _("the optimizer's state is missing")
    if divided and not (path / "latest").is_file():
        return _("{name} is missing or cut off").format(name="latest")
    pickled = [*kept, *path.glob("scheduler.pt"), *path.glob("rng_state*.pth"), *path.glob("*.bin")]
    broken = next((file.name for file in pickled if file.is_file() and not zipfile.is_zipfile(file)), None)
    if broken is not None:
        return _("{name} is cut off").format(name=broken)
    if not any(path.glob("*.safetensors")) and not any(path.glob("*.bin")) and not divided:
        return _("the weights are missing")
    config = "adapter_config.json" if any(path.glob("adapter_model.*")) else "config.json"
    if not divided and not _read_json(path / config):
        return _("{name} is missing or cut off").format(name=config)
    return weights_fault(path)


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length)) if length <= min(size, _LONGEST_HEADER) else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, struct.error, AttributeError, KeyError, TypeError, IndexError):
        return False
    return bool(size >= 8 + length + max(ends, default=0))


def _read_state(directory: Path) -> dict[str, Any]:
    return _read_json(directory / TRAINER_STATE)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
