"""Configs in the shapes in which LLaMA-Factory's own examples and public repositories keep them, all of them valid.

`write(folder)` makes the directory in which they are checked; nothing of it can be trained.
"""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.corpora.workspace import DEMO_MODEL, write_adapter

_LLAMA = "### model\nmodel_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct\ntrust_remote_code: true\n\n"
_DATA = """
### dataset
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
dataloader_num_workers: 4
"""
_OUTPUT = """
### output
output_dir: saves/new
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]
"""
_TRAIN = """
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
"""
_EVALUATION = "val_size: 0.1\nper_device_eval_batch_size: 1\neval_strategy: steps\neval_steps: 500\n"
_LORA = "finetuning_type: lora\nlora_rank: 8\nlora_target: all\n"
_FULL = "finetuning_type: full\n"
_Z3 = "deepspeed: examples/deepspeed/ds_z3_config.json  # choices: [ds_z0_config.json, ds_z2_config.json]\n"
_PURE = {"bf16: true": "pure_bf16: true"}
_LAYERWISE = {**_PURE, "gradient_accumulation_steps: 8": "gradient_accumulation_steps: 1"}


def _llama(stage: str, method: str, *more: str, data: str | None = None) -> str:
    """A training of Llama 3."""
    text = f"{_LLAMA}### method\nstage: {stage}\ndo_train: true\n{method}{''.join(more)}{_DATA}{_OUTPUT}{_TRAIN}"
    return text.replace("identity,alpaca_en_demo", data) if data else text


def _changed(text: str, *changes: dict[str, str]) -> str:
    for change in changes:
        for old, new in change.items():
            assert old in text, old
            text = text.replace(old, new)
    return text


def _of(model: str, template: str, text: str) -> str:
    """`text` for another model of a hub, or for one that was saved here."""
    return _changed(text, {"meta-llama/Meta-Llama-3-8B-Instruct": model, "template: llama3": f"template: {template}"})


_SFT, _WHOLE = _llama("sft", _LORA), _llama("sft", _FULL)
_VISION = {"trust_remote_code: true": "image_max_pixels: 262144\nvideo_max_pixels: 16384\ntrust_remote_code: true"}
_PREDICT = (
    f"{_LLAMA}stage: sft\ndo_predict: true\nfinetuning_type: lora\neval_dataset: identity,alpaca_en_demo\n"
    "template: llama3\ncutoff_len: 2048\nmax_samples: 50\noutput_dir: saves/predict\noverwrite_output_dir: true\n"
    "per_device_eval_batch_size: 1\npredict_with_generate: true\nddp_timeout: 180000000\n"
)
_ADAPTER = "adapter_name_or_path: saves/lora/sft\n"
_MERGE = (
    f"### Note: DO NOT use quantized model or quantization_bit when merging lora adapters\n\n{_LLAMA}template: llama3\n"
    "export_dir: output/new\nexport_size: 5\nexport_device: cpu  # choices: [cpu, auto]\nexport_legacy_format: false\n"
)
_CHAT = f"{_LLAMA}template: llama3\ninfer_backend: huggingface  # choices: [huggingface, vllm, sglang, ktransformers]\n"
_QUANTIZED = "quantization_bit: 4  # choices: [8 (bnb/hqq/eetq), 4 (bnb/hqq), 3 (hqq), 2 (hqq)]\n"

CONFIGS: dict[str, str] = {
    "lora/sft": _SFT,
    "lora/sft_eval": _SFT + _EVALUATION,
    "lora/sft_eval_dataset": _SFT + _EVALUATION.replace("val_size: 0.1", "eval_dataset: alpaca_en_demo"),
    "lora/pretrain": _llama("pt", _LORA, data="c4_demo").replace("template: llama3\n", ""),
    "lora/reward": _llama("rm", _LORA, data="dpo_en_demo"),
    "lora/ppo": _llama("ppo", _LORA, "reward_model: saves/lora/reward\n") + "max_new_tokens: 512\ntop_k: 0\ntop_p: 0.9\n",
    "lora/kto": _llama("kto", _LORA, "pref_beta: 0.1\n", data="kto_en_demo"),
    **{
        f"lora/{loss}": _llama("dpo", _LORA, f"pref_beta: 0.1\npref_loss: {loss}\n", more, data="dpo_en_demo")
        for loss, more in {"sigmoid": "", "orpo": "", "simpo": "simpo_gamma: 0.5\n", "ipo": "", "hinge": "pref_ftx: 0.1\n"}.items()
    },
    **{
        f"deepspeed/{kind}": _llama("sft", _LORA, f"deepspeed: examples/deepspeed/ds_{kind}_config.json\n")
        for kind in ("z0", "z2", "z2_offload", "z2_autotp", "z3", "z3_offload", "z3_fp8")
    },
    "lora/ray": _changed(_SFT, {"saves/new": "tmp_dir", "cutoff_len: 2048": "dataset_dir: REMOTE:llamafactory/demo_data\ncutoff_len: 2048"})
    + "\n### ray\nray_num_workers: 4\nray_init_kwargs:\n  runtime_env:\n    env_vars:\n      KEY: \"value\"\n    pip:\n      - emoji\n"
    + "# ray_storage_path: ./saves\n",
    "lora/predict": _PREDICT + _ADAPTER,
    "lora/tokenize": _SFT + "tokenized_path: saves/llama3-8b/dataset/sft\n",
    "lora/continue": _SFT + _ADAPTER,
    "lora/dora": _llama("sft", _LORA, "use_dora: true\n"),
    "lora/loraplus": _llama("sft", _LORA, "loraplus_lr_ratio: 16.0\n"),
    "lora/pissa": _llama("sft", _LORA, "pissa_init: true\npissa_iter: 16\npissa_convert: true\n"),
    "lora/rslora": _llama("sft", _LORA, "use_rslora: true\nneftune_noise_alpha: 5\nenable_liger_kernel: true\n"),
    "lora/packing": _llama("sft", _LORA, "packing: true\nneat_packing: true\nflash_attn: fa2\n"),
    "lora/unsloth": _llama("sft", _LORA, "use_unsloth: true\n"),
    "lora/interleave": _SFT + "mix_strategy: interleave_under\ninterleave_probs: 0.7,0.3\n",
    "lora/wandb": _changed(_SFT, {"report_to: none": "run_name: llama3\nreport_to: [wandb, tensorboard]"}),
    "lora/swanlab": _SFT + "use_swanlab: true\nswanlab_project: llamafactory\nswanlab_run_name: llama3\n",
    "lora/streaming": _changed(_SFT, {"preprocessing_num_workers: 16\n": "", "max_samples: 1000\n": "", "num_train_epochs: 3.0": "max_steps: 1000"})
    + "streaming: true\nbuffer_size: 128\npreprocessing_batch_size: 128\naccelerator_config:\n  dispatch_batches: false\n",
    "lora/qwen3": _of("Qwen/Qwen3-4B-Instruct-2507", "qwen3_nothink", _SFT),
    "lora/gpt_oss": _of("openai/gpt-oss-20b", "gpt_oss", _SFT),
    "lora/mixtral": _of("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral", _SFT) + "moe_aux_loss_coef: 0.02\n",
    "lora/deepseek": _of("deepseek-ai/DeepSeek-V2-Lite-Chat", "deepseek", _SFT),
    "lora/glm4": _of("zai-org/GLM-4-9B-0414", "glm4", _SFT),
    "lora/gemma3": _of("google/gemma-3-4b-it", "gemma3", _SFT),
    "lora/internlm3": _of("internlm/internlm3-8b-instruct", "intern2", _SFT),
    "lora/phi4": _of("microsoft/phi-4", "phi4", _SFT),
    "lora/chatglm": _of("THUDM/chatglm3-6b", "chatglm3", _SFT),
    "lora/longlora": _changed(_of("meta-llama/Llama-2-7b-hf", "llama2", _SFT), {"2048": "8192"}) + "shift_attn: true\nrope_scaling: linear\n",
    "lora/qwen2vl": _changed(_of("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_vl", _SFT), {"dataset: identity": "dataset: mllm_demo,identity"}, _VISION),
    "lora/qwen2vl_dpo": _changed(_of("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_vl", _llama("dpo", _LORA, data="dpo_en_demo")), _VISION),
    "full/qwen2vl": _changed(_of("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_vl", _llama("sft", _FULL, _Z3)), _VISION, {"dataset: identity": "dataset: mllm_demo,identity"})
    + "freeze_vision_tower: true\nfreeze_multi_modal_projector: true\nfreeze_language_model: false\n",
    **{f"qlora/{method}": _llama("sft", _LORA, _QUANTIZED, f"quantization_method: {method}\n") for method in ("bnb", "hqq")},
    "qlora/npu": _llama("sft", _LORA, "quantization_bit: 4\nquantization_method: bnb\ndouble_quantization: false\n"),
    "qlora/eetq": _llama("sft", _LORA, "quantization_bit: 8\nquantization_method: eetq\n"),
    "qlora/gptq": _of("TechxGenus/Meta-Llama-3-8B-Instruct-GPTQ", "llama3", _SFT),
    "qlora/awq": _of("TechxGenus/Meta-Llama-3-8B-Instruct-AWQ", "llama3", _SFT),
    "qlora/aqlm": _of("ISTA-DASLab/Meta-Llama-3-8B-Instruct-AQLM-2Bit-1x16", "llama3", _SFT),
    "full/sft": _llama("sft", _FULL, _Z3) + _EVALUATION,
    "full/predict": _changed(_of("saves/full/sft", "qwen", _PREDICT), {"type: lora": "type: full"}),
    "freeze/sft": _llama("sft", "finetuning_type: freeze\nfreeze_trainable_layers: 2\nfreeze_trainable_modules: all\n"),
    "extras/llama_pro": _llama("sft", "finetuning_type: freeze\nfreeze_trainable_layers: 8\nfreeze_trainable_modules: all\nuse_llama_pro: true\n"),
    "extras/adam_mini": _of("Qwen/Qwen2.5-1.5B-Instruct", "qwen", _WHOLE) + "use_adam_mini: true\n",
    "extras/muon": _of("Qwen/Qwen2.5-1.5B-Instruct", "qwen", _WHOLE) + "use_muon: true\n",
    "extras/dft": _of("Qwen/Qwen3-4B", "qwen3", _WHOLE) + "use_dft_loss: true\n",
    "extras/asft": _of("Qwen/Qwen3-4B", "qwen3", _WHOLE) + "use_asft_loss: true\nasft_alpha: 0.1\n",
    "extras/eaft": _of("Qwen/Qwen3-4B", "qwen3", _WHOLE) + "use_eaft_loss: true\n",
    "extras/apollo": _changed(_WHOLE, _LAYERWISE)
    + "use_apollo: true\napollo_layerwise: true  # use false for DDP training\napollo_target: all\napollo_rank: 128\napollo_scale: 32.0\napollo_scale_type: channel\n",
    "extras/badam": _changed(_WHOLE, _PURE) + "use_badam: true\nbadam_mode: layer\nbadam_switch_mode: ascending\nbadam_switch_interval: 50\nbadam_verbose: 2\n",
    "extras/badam_ratio": _changed(_WHOLE, _PURE) + "use_badam: true\nbadam_mode: ratio\nbadam_update_ratio: 0.1\nbadam_mask_mode: adjacent\n",
    "extras/galore": _changed(_WHOLE, _LAYERWISE) + "use_galore: true\ngalore_layerwise: true\ngalore_target: all\ngalore_rank: 128\ngalore_scale: 2.0\n",
    "extras/galore_ddp": _WHOLE + "use_galore: true\ngalore_target: mlp,self_attn\ngalore_rank: 128\ngalore_scale: 2.0\n",
    "extras/mod": _changed(_llama("sft", _FULL, "mixture_of_depths: convert\noptim: paged_adamw_8bit\n"), _PURE),
    "extras/fp8": _WHOLE + "fp8: true\nfp8_backend: torchao\nfp8_enable_fsdp_float8_all_gather: true\n",
    "extras/fsdp_qlora": _llama("sft", _LORA, "quantization_bit: 4\n"),
    "extras/oft": _llama("sft", "finetuning_type: oft\noft_block_size: 32\noft_target: all\n"),
    "extras/qoft": _llama("sft", "finetuning_type: oft\noft_block_size: 32\noft_target: all\nquantization_bit: 4\nquantization_method: bnb\n"),
    "merge/lora": _MERGE + _ADAPTER,
    "merge/two_adapters": _MERGE + "adapter_name_or_path: saves/lora/sft,saves/lora/second\n",
    "merge/full": _of("saves/full/sft", "qwen", _MERGE),
    "merge/gptq": _of("saves/full/sft", "qwen", _MERGE) + "export_quantization_bit: 4\nexport_quantization_dataset: data/c4_demo.jsonl\n",
    "inference/llama3": _CHAT,
    "inference/lora": _CHAT + _ADAPTER,
    "inference/vllm": _changed(_CHAT, {"infer_backend: huggingface": "infer_backend: vllm"}) + "vllm_enforce_eager: true\nvllm_maxlen: 4096\n",
    "inference/sglang": _changed(_CHAT, {"infer_backend: huggingface": "infer_backend: sglang"}),
    "inference/full": _of("saves/full/sft", "qwen", _CHAT) + "max_new_tokens: 512\ntemperature: 0.7\n",
}  # fmt: skip
"""By name: what `check` must raise no alarm about."""
OTHERS: dict[str, str] = {
    "a config of accelerate": "compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\nfsdp_config:\n  fsdp_offload_params: true\nuse_cpu: false\n",
    "new engine": "model: Qwen/Qwen3-4B\ntrain_dataset: data/v1_sft_demo.yaml\noutput_dir: outputs/x\nmicro_batch_size: 1\ncutoff_len: 2048\nbf16: false\n",
    "llamafactory-cli eval": f"{_LLAMA}{_ADAPTER}finetuning_type: lora\ntask: mmlu_test\ntemplate: fewshot\nlang: en\nn_shot: 5\nsave_dir: saves/eval\nbatch_size: 4\n",
    "dataset_info.json": "identity:\n  file_name: identity.json\n",
    "DeepSpeed": "train_batch_size: auto\nzero_optimization:\n  stage: 2\n",
}  # fmt: skip
"""What is no config to be checked, with a word of the line that says so."""


def write(folder: Path) -> Path:
    """Make the configs' directory, an empty or absent one; returns it."""
    for name, text in {**CONFIGS, **OTHERS}.items():
        path = folder / f"{name.replace('/', '__').replace(' ', '_')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _data(folder / "data")
    _deepspeed(folder / "examples" / "deepspeed")
    shutil.copytree(DEMO_MODEL, folder / "saves" / "full" / "sft")
    for name in ("sft", "second", "reward"):
        write_adapter(folder / "saves" / "lora" / name, base="meta-llama/Meta-Llama-3-8B-Instruct")
    (folder / "saves" / "lora" / "reward" / "value_head.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


def _data(folder: Path) -> None:
    """Data sets of the names and forms of LLaMA-Factory's own demonstration."""
    folder.mkdir()
    plain = [{"instruction": "hi", "input": "", "output": "{{name}}"}] * 90
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    pair = {
        "conversations": [{"from": "human", "value": "q"}],
        "chosen": {"from": "gpt", "value": "a"},
        "rejected": {"from": "gpt", "value": "b"},
    }
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    (folder / "1.jpg").write_bytes(b"\xff\xd8\xff")
    seen = [{"role": "user", "content": "<image>what?"}, turns[1]]
    sets: dict[str, tuple[list[Any], dict[str, Any]]] = {
        "identity": (plain, {}),
        "alpaca_en_demo": (plain * 11, {}),
        "c4_demo": ([{"text": "words and words " * 200}] * 60, {"columns": {"prompt": "text"}}),
        "dpo_en_demo": ([pair] * 90, {"ranking": True, "formatting": "sharegpt", "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}}),
        "kto_en_demo": ([{"messages": turns, "label": number % 2 == 0} for number in range(90)],
                        {"formatting": "sharegpt", "columns": {"messages": "messages", "kto_tag": "label"}, "tags": tags}),
        "mllm_demo": ([{"messages": seen, "images": ["1.jpg"]}] * 6,
                      {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}, "tags": tags}),
    }  # fmt: skip
    for name, (rows, _entry) in sets.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines if name == "c4_demo" else json.dumps(rows), encoding="utf-8")
    info = {name: {"file_name": f"{name}.jsonl", **entry} for name, (_rows, entry) in sets.items()}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def _deepspeed(folder: Path) -> None:
    folder.mkdir(parents=True)
    auto = dict.fromkeys(
        ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping"),
        "auto",
    )
    cpu = {"device": "cpu", "pin_memory": True}
    for name, more in {
        "z0": {"stage": 0}, "z2": {"stage": 2, "overlap_comm": False}, "z2_offload": {"stage": 2, "offload_optimizer": cpu},
        "z2_autotp": {"stage": 2}, "z3": {"stage": 3, "reduce_bucket_size": "auto", "stage3_gather_16bit_weights_on_model_save": True},
        "z3_offload": {"stage": 3, "offload_optimizer": cpu, "offload_param": cpu}, "z3_fp8": {"stage": 3},
    }.items():  # fmt: skip
        config = {**auto, "fp16": {"enabled": "auto"}, "bf16": {"enabled": "auto"}, "zero_optimization": more}
        config |= {"tensor_parallel": {"autotp_size": 2}} if name == "z2_autotp" else {}
        (folder / f"ds_{name}_config.json").write_text(json.dumps(config), encoding="utf-8")
