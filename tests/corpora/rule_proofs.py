"""What breaks each rule between options that no config of `configs_bad` breaks, and what the real parser says of it.

    python tests/corpora/rule_proofs.py        (with the Python that has LLaMA-Factory; a line a rule)

Only the parser is asked, each time in a child. Where a package is missing, or only several processes would be refused,
the parser's sentence is another one.
"""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASE: dict[str, Any] = {
    "model_name_or_path": "model", "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_target": "all",
    "dataset": "good", "dataset_dir": "data", "template": "qwen", "output_dir": "saves/run", "use_cpu": True,
    "report_to": "none",
}  # fmt: skip
_FULL = {"finetuning_type": "full"}
_PPO = {"stage": "ppo", "reward_model": "adapter"}
_Z3 = {"deepspeed": "ds_z3.json"}
PROOFS: dict[str, list[dict[str, Any]]] = {
    "image_max_pixels": [{"image_max_pixels": 100, "image_min_pixels": 200}],
    "video_max_pixels": [{"video_max_pixels": 100, "video_min_pixels": 200}],
    "pissa_init": [{"pissa_init": True, "quantization_bit": 4}, {"pissa_init": True, **_PPO}, {"pissa_init": True, **_Z3}],
    "resize_vocab": [{"resize_vocab": True, "quantization_bit": 4}],
    "create_new_adapter": [{"create_new_adapter": True, "quantization_bit": 4, "adapter_name_or_path": "adapter"}],
    "adapter_name_or_path": [{"adapter_name_or_path": "adapter,adapter_new", "quantization_bit": 4}],
    "quantization_bit": [
        {"quantization_bit": 7, "quantization_method": "hqq"}, {"quantization_bit": 4, "quantization_method": "eetq"},
    ],
    "val_size": [{"val_size": 0.1, "dataset": None, "eval_dataset": "good"}],
    "interleave_probs": [{"interleave_probs": "a,b", "mix_strategy": "interleave_under", "dataset": "good,good"}],
    "reward_model_type": [{**_PPO, "reward_model_type": "lora", **_FULL}],
    "use_apollo": [{"use_apollo": True}, {"use_apollo": True, **_FULL, **_Z3}],
    "use_galore": [{"use_galore": True, "use_apollo": True, **_FULL}, {"use_galore": True, **_FULL, **_Z3}],
    "fp16_full_eval": [{"fp16_full_eval": True, "bf16_full_eval": True}],
    "eval_steps": [{"eval_steps": 1.5, "eval_strategy": "steps", "val_size": 0.1}],
    "save_steps": [{"save_steps": 1.5}],
    "adam_beta1": [{"adam_beta1": 1.0}],
    "adam_beta2": [{"adam_beta2": 1.0}],
    "predict_with_generate": [
        {"stage": "pt", "predict_with_generate": True, "val_size": 0.1}, {"predict_with_generate": True},
        {"predict_with_generate": True, "val_size": 0.1, **_Z3},
    ],
    "mask_history": [{"stage": "pt", "mask_history": True}],
    "load_best_model_at_end": [{"stage": "rm", "load_best_model_at_end": True, "val_size": 0.1, "eval_strategy": "steps", "eval_steps": 500, "save_steps": 500}],
    "stage": [{**_PPO, "do_train": False}],
    "shift_attn": [{**_PPO, "shift_attn": True}],
    "report_to": [{**_PPO, "report_to": "swanlab"}],
    "neat_packing": [{"neat_packing": True}],
    "do_predict": [{"do_predict": True, "predict_with_generate": True, "do_train": False}],
    "compute_accuracy": [{"compute_accuracy": True, "predict_with_generate": True, "val_size": 0.1}],
    "pure_bf16": [{"pure_bf16": True, **_Z3}],
    "galore_layerwise": [{"use_galore": True, "galore_layerwise": True, **_FULL}],
    "apollo_layerwise": [{"use_apollo": True, "apollo_layerwise": True, **_FULL}],
    "badam_mode": [{"use_badam": True, "badam_mode": "ratio", **_FULL}],
    "fp8": [{"fp8": True, "quantization_bit": 4}],
    "use_unsloth": [{"use_unsloth": True, **_Z3}, {"use_unsloth": True, "finetuning_type": "oft"}],
    "use_kt": [{"use_kt": True, **_FULL}],
    "oft_block_size": [{"finetuning_type": "oft", "oft_block_size": 0, "oft_rank": 0}],
}  # fmt: skip
"""For the option that a rule is about: changes of BASE (None: without the option), one for each of its rules."""


LATER = ("quantization_bit", "adam_beta1", "adam_beta2", "oft_block_size", "neat_packing")
"""What the parser of the tested version accepts: model, optimizer and adapter refuse it later (or an older version)."""


def options_of(changes: dict[str, Any]) -> dict[str, Any]:
    """The options of a proof."""
    return {key: value for key, value in {**BASE, **changes}.items() if value is not None}


def judge(options: dict[str, Any], workspace: Path) -> str:
    """What the installed parser says of `options`, asked in a child of its own; "" where it accepts them."""
    from llamafactory.hparams import get_train_args

    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.chdir(workspace)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        said = ""
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                get_train_args(options)
        except BaseException as error:  # noqa: BLE001 - whatever the parser dies of is the answer
            said = f"{type(error).__name__}: {error}".splitlines()[0] or "?"
        os.write(send, said.encode()[:4000])
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    return said


def main() -> None:
    """A line for each proof: the option, what is changed, and what the parser says (JSON)."""
    sys.path.insert(0, str(HERE.parent.parent))
    from tests.corpora.workspace import build

    with tempfile.TemporaryDirectory(prefix="proofs-") as folder:
        workspace = build(Path(folder) / "workspace")
        for key, proofs in PROOFS.items():
            for changes in proofs:
                said = judge(options_of(changes), workspace)
                sys.stdout.write(json.dumps([key, changes, said or "accepted"]) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
