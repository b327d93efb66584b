"""The directory in which the configs of the corpora are checked and run: models, adapters, data; sound and broken.

`build(target)` makes it from the demo's tiny model in a fraction of a second, without torch.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

from tests.corpora.corpus_data import write_datasets
from tests.corpora.variants import write_variants

HERE = Path(__file__).parent
DEMO_MODEL = HERE.parent.parent / "data" / "demo" / "model"


def build(target: Path) -> Path:
    """Make the workspace in the empty or absent directory `target`; returns it."""
    (target / "data").mkdir(parents=True)
    _models(target)
    _adapters(target)
    write_datasets(target / "data")
    _deepspeed(target)
    write_variants(target, _copy_model, _change_config, write_adapter)
    return target


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def _copy_model(target: Path, name: str, *without: str) -> Path:
    """A copy of the demo's model without some of its files."""
    path = target / name
    path.mkdir()
    for file in DEMO_MODEL.iterdir():
        if file.name not in without:
            shutil.copyfile(file, path / file.name)
    return path


def _change_config(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    config.update(changes)
    _write_json(path / "config.json", {k: v for k, v in config.items() if v is not None})


def _models(target: Path) -> None:
    _copy_model(target, "model")
    tokenizer = ("tokenizer.json", "tokenizer_config.json")
    _copy_model(target, "model_no_tokenizer", *tokenizer)
    _copy_model(target, "model_no_config", "config.json")
    _copy_model(target, "model_no_weights", "model.safetensors")
    cut = _copy_model(target, "model_cut_off") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:500_000])
    pointer = _copy_model(target, "model_lfs") / "model.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1188104\n")
    _sharded(_copy_model(target, "model_sharded"), missing=False)
    _sharded(_copy_model(target, "model_missing_shard"), missing=True)
    gguf = target / "model_gguf"
    gguf.mkdir()
    (gguf / "model-Q4_K_M.gguf").write_bytes(b"GGUF" + bytes(200))
    (_copy_model(target, "model_bad_config") / "config.json").write_text('{"model_type": "qwen2", "hidden_')
    _change_config(_copy_model(target, "model_unknown_type"), model_type="qwen99", architectures=["Qwen99ForCausalLM"])
    _change_config(_copy_model(target, "model_no_type"), model_type=None)
    _change_config(_copy_model(target, "model_clip"), model_type="clip", architectures=["CLIPModel"])
    _change_config(_copy_model(target, "model_other_config"), intermediate_size=512)
    _change_config(_copy_model(target, "model_few_layers"), num_hidden_layers=8, layer_types=None)
    _change_config(_copy_model(target, "model_bad_dtype"), dtype="bf16")
    (_copy_model(target, "model_bad_pickle", "model.safetensors") / "pytorch_model.bin").write_bytes(b"<html>" * 99)
    token = _copy_model(target, "model_bad_tokenizer") / "tokenizer.json"
    token.write_bytes(token.read_bytes()[:40_000])


def _sharded(path: Path, *, missing: bool) -> None:
    """Split the weights into two files with an index."""
    raw = (path / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    names, data = sorted(header), raw[8 + length :]
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        tensors = {n: (header[n]["dtype"], header[n]["shape"], data[slice(*header[n]["data_offsets"])]) for n in part}
        weight_map |= dict.fromkeys(part, file)
        if not (missing and number == 2):
            (path / file).write_bytes(safetensors(tensors))
    (path / "model.safetensors").unlink()
    _write_json(path / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def safetensors(tensors: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    """A safetensors file with these tensors: name -> (dtype, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _d, _s, data in tensors.values())


def write_adapter(path: Path, *, rank: int = 8, base: str = "model", weights: bool = True, width: int = 96) -> Path:
    """A LoRA adapter of zeros for the demo's model, or for one of another hidden size (`width`)."""
    _write_json(
        path / "adapter_config.json",
        {
            "base_model_name_or_path": base, "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank,
            "lora_alpha": 2 * rank, "lora_dropout": 0.0, "bias": "none", "target_modules": ["q_proj", "v_proj"],
            "inference_mode": True, "fan_in_fan_out": False,
        },
    )  # fmt: skip
    if not weights:
        return path
    tensors: dict[str, tuple[str, list[int], bytes]] = {}
    for layer in range(4):
        for module, out in (("q_proj", 96), ("v_proj", 48)):
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{name}.lora_A.weight"] = ("F32", [rank, width], bytes(4 * rank * width))
            tensors[f"{name}.lora_B.weight"] = ("F32", [out, rank], bytes(4 * rank * out))
    (path / "adapter_model.safetensors").write_bytes(safetensors(tensors))
    return path


def _adapters(target: Path) -> None:
    write_adapter(target / "adapter")
    write_adapter(target / "adapter_no_weights", weights=False)
    write_adapter(target / "adapter_other_model", width=64)
    other_rank = write_adapter(target / "adapter_other_rank") / "adapter_config.json"
    _write_json(other_rank, {**json.loads(other_rank.read_text()), "r": 16})
    (target / "adapter_empty").mkdir()
    write_adapter(target / "saves" / "finished")
    model_only = write_adapter(target / "saves" / "model_only" / "checkpoint-5")
    (model_only / "training_args.bin").write_bytes(bytes(100))
    state = {"global_step": 5, "epoch": 0.5, "max_steps": 10, "log_history": [], "best_metric": None}
    rank = write_adapter(target / "saves" / "other_rank" / "checkpoint-5", rank=4)
    _write_json(rank / "trainer_state.json", state)
    (target / "saves" / "no_checkpoints" / "runs").mkdir(parents=True)
    (target / "saves" / "a_file").write_text("not a directory")


def _deepspeed(target: Path) -> None:
    _write_json(target / "ds_z2.json", {"train_batch_size": "auto", "zero_optimization": {"stage": 2}})
    _write_json(target / "ds_z3.json", {"train_batch_size": "auto", "zero_optimization": {"stage": 3}})
    (target / "ds_broken.json").write_text('{"zero_optimization": {"stage": 2,}')
