"""Further models, adapters, checkpoints and files of the corpora's workspace, each broken in one way.

`checkpoint/` is the second step of a real training of the demo's model (rank 2, `q_proj,v_proj`, AdamW).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKPOINT = Path(__file__).parent / "checkpoint"


def write_variants(
    target: Path, copy_model: Callable[..., Path], change_config: Callable[..., None], adapter: Callable[..., Path]
) -> None:
    """Write all of them; the three functions are those of the workspace."""
    _configs(target, copy_model, change_config)
    _tokenizers(target, copy_model)
    _adapters(target, adapter)
    _checkpoints(target, copy_model)
    _others(target, adapter)


def _configs(target: Path, copy_model: Callable[..., Path], change: Callable[..., None]) -> None:
    variants: dict[str, dict[str, Any]] = {
        "model_activation": {"hidden_act": "swishglu"},
        "model_text_number": {"hidden_size": "96"},
        "model_pad_beyond": {"pad_token_id": 999_999},
        "model_rope_kind": {"rope_parameters": None, "rope_scaling": {"type": "superlinear", "factor": 2.0}},
        "model_rope_factor": {"rope_parameters": None, "rope_scaling": {"type": "linear"}},
        "model_layer_type": {"layer_types": ["full"] * 4},
        "model_code_missing": {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}},
        "model_shared_heads": {"num_key_value_heads": 5},
    }
    for name, changes in variants.items():
        change(copy_model(target, name), **changes)
    weights = copy_model(target, "model_bad_zip", "model.safetensors") / "pytorch_model.bin"
    weights.write_bytes(b"PK\x03\x04" + bytes(400))


def _tokenizers(target: Path, copy_model: Callable[..., Path]) -> None:
    broken = copy_model(target, "model_tokenizer_middle") / "tokenizer.json"
    broken.write_text(broken.read_text().replace('"model"', '"model" "x"', 1))
    beyond = copy_model(target, "model_tokenizer_other") / "tokenizer.json"
    data = json.loads(beyond.read_text())
    vocabulary = data["model"]["vocab"]
    for number, token in enumerate(list(vocabulary)[-2000:]):
        vocabulary[token] = 100_000 + number
    beyond.write_text(json.dumps(data))
    (copy_model(target, "model_added_tokens") / "added_tokens.json").write_text("{")
    (copy_model(target, "model_token_map") / "special_tokens_map.json").write_text("{")
    (copy_model(target, "model_open_tag") / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }")


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _adapters(target: Path, adapter: Callable[..., Path]) -> None:
    variants: dict[str, dict[str, Any]] = {
        "adapter_rank_pattern": {"rank_pattern": {"q_proj": 32}},
        "adapter_rank_text": {"r": "8"},
        "adapter_layers": {"layers_to_transform": [99]},
        "adapter_bias": {"bias": "every"},
        "adapter_prompt": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 8},
        "adapter_elsewhere": {"base_model_name_or_path": None, "some_new_field": True},
    }
    for name, changes in variants.items():
        _edit(adapter(target / name) / "adapter_config.json", **changes)


def _checkpoint(target: Path, run: str, *without: str) -> Path:
    path = target / "saves" / run / "checkpoint-2"
    path.mkdir(parents=True)
    for file in CHECKPOINT.iterdir():
        if file.name not in without:
            shutil.copyfile(file, path / file.name)
    return path


def _checkpoints(target: Path, copy_model: Callable[..., Path]) -> None:
    whole = _checkpoint(target, "whole")
    shutil.copytree(whole, whole.with_name("checkpoint-1"))
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.safetensors", "trainer_state.json"):
        file = _checkpoint(target, f"cut_{name.partition('.')[0]}") / name
        file.write_bytes(file.read_bytes()[:300])
    (_checkpoint(target, "no_step") / "trainer_state.json").write_text("{}")
    full = _checkpoint(target, "of_full", "adapter_config.json", "adapter_model.safetensors")
    model = copy_model(target, "model_for_checkpoint")
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(model / name, full / name)


def _others(target: Path, adapter: Callable[..., Path]) -> None:
    (target / "tokens.yaml").write_text("'<a>': the first\n'<b>': the second\n")
    (target / "tokens_list.yaml").write_text("- <a>\n- <b>\n")
    half = target / "tokenized_half"
    (half / "train").mkdir(parents=True)
    (half / "dataset_dict.json").write_text('{"splits": ["train"]}')
    adapter(target / "adapter_sub" / "checkpoint-9")
