"""LLaMA-Factory's command lines, environment variables, file names and signals."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

TRAIN_CONFIG = "train_config.yaml"
MERGE_CONFIG = "merge_config.yaml"
TRAINER_LOG = "trainer_log.jsonl"
ADAPTER_CONFIG = "adapter_config.json"
TRAIN_RESULTS = "train_results.json"
MODELFILE = "Modelfile"
CPU_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""torch's threads wait without spinning: on a busy machine spinning ones make a small training ten times slower."""
JIT_CHECKPOINT = "enable_jit_checkpoint"
"""transformers 5: SIGTERM saves a checkpoint after the step and ends the training, which then saves as usual."""
_LAUNCHER = "llamafactory/launcher.py"


def train_argv(cli: Sequence[str], config: str, overrides: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The command that trains with the YAML `config`; `overrides` go behind it as `key=value`."""
    return (*cli, "train", config, *(f"{key}={value}" for key, value in (overrides or {}).items()))


def export_argv(cli: Sequence[str], config: str) -> tuple[str, ...]:
    """The command that merges with the YAML `config`."""
    return (*cli, "export", config)


def gpu_environment(uuids: Sequence[str], indices: Sequence[int]) -> dict[str, str]:
    """Variables that show LLaMA-Factory exactly these cards; none hides all of them.

    NVML and CUDA count in different orders unless CUDA is told to count by PCI bus.
    """
    visible = ",".join(uuids) if uuids else ",".join(str(i) for i in indices)
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": visible}


def train_environment(run: str, gpus: int, *, modelscope: bool = False, torchrun: bool = False) -> dict[str, str]:
    """Variables of a training on `gpus` cards (0: CPU); with `torchrun` that starts the processes on one card too.

    LLAMABOARD_ENABLED makes SIGABRT end training at the next step and save the adapter; transformers 5 writes
    TensorBoard files where TENSORBOARD_LOGGING_DIR says and passes over `logging_dir`.
    """
    env = {
        "LLAMABOARD_ENABLED": "1",
        "LLAMABOARD_WORKDIR": f"runs/{run}",
        "TENSORBOARD_LOGGING_DIR": tensorboard_dir(run),
        "PYTHONUNBUFFERED": "1",
    }
    if gpus:
        env["RECORD_VRAM"] = "1"
    else:
        env |= CPU_ENVIRONMENT
    if torchrun:
        env |= {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(max(gpus, 1))}
    if modelscope:
        env["USE_MODELSCOPE_HUB"] = "1"
    return env


def search_path(python: str | None) -> str:
    """PATH with the directory of the training environment's `python` first: LLaMA-Factory looks for torchrun there."""
    path = os.environ.get("PATH", os.defpath)
    return f"{Path(python).parent}{os.pathsep}{path}" if python and Path(python).is_absolute() else path


def training_proofs(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Files in `output_dir` that a finished training has left there."""
    weights = "config.json" if options.get("finetuning_type") in ("full", "freeze") else ADAPTER_CONFIG
    return (weights, "*.safetensors", TRAIN_RESULTS)


def tensorboard_dir(run: str) -> str:
    """Where a run's TensorBoard files go, relative to the project."""
    return f"./logs/{run}/tensorboard"


def tensorboard_command(project: Path, run: str) -> str | None:
    """What to type in the project directory to see a run's curves in a browser; None where it wrote none."""
    place = tensorboard_dir(run)
    return f"tensorboard --logdir {place}" if any((project / place).glob("**/events.out.tfevents.*")) else None


def plain_command(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """What to type by hand in the project directory: the variables that matter, then the command by its plain name."""
    wanted = (
        "CUDA_VISIBLE_DEVICES",
        "TENSORBOARD_LOGGING_DIR",
        "FORCE_TORCHRUN",
        "NPROC_PER_NODE",
        "USE_MODELSCOPE_HUB",
    )
    shown = [f"{key}={shlex.quote(env[key])}" for key in wanted if env.get(key)]
    return " ".join([*shown, "llamafactory-cli", *(shlex.quote(word) for word in argv)])


def stop_overrides(known: Container[str], packages: Mapping[str, str], *, asked: bool) -> dict[str, str]:
    """What makes a training save a checkpoint when it is stopped: for a LLaMA-Factory with the options `known`, which
    was `asked` for them itself, or else whose transformers is new enough by the versions in `packages`.
    """
    major = packages.get("transformers", "").partition(".")[0]
    there = JIT_CHECKPOINT in known and (asked or (major.isdigit() and int(major) >= 5))
    return {JIT_CHECKPOINT: "true"} if there else {}


def stop_saves(argv: Sequence[str]) -> bool:
    """Whether the training `argv` saves a checkpoint when it is stopped."""
    return f"{JIT_CHECKPOINT}=true" in argv


def stop_signal(argv: Sequence[str]) -> signal.Signals:
    """The signal that ends the training `argv` after a step, with a checkpoint where it can, and saves the adapter."""
    return signal.SIGTERM if stop_saves(argv) else signal.SIGABRT


def resume_words(checkpoint: Path, project: Path) -> tuple[str, ...]:
    """What to add to the train command so that it goes on from `checkpoint`."""
    return ("overwrite_output_dir=false", f"resume_from_checkpoint=./{checkpoint.relative_to(project).as_posix()}")


def has_weights(directory: Path) -> bool:
    """Whether `directory` holds weights of a model or an adapter."""
    return any(directory.glob("*.safetensors")) or any(directory.glob("*.bin"))


def training_has_begun(log_text: str) -> bool:
    """Whether the trainer's SIGABRT handler is surely installed, judged by the end of its log."""
    return "***** Running training *****" in log_text


def is_worker(command_line: Sequence[str]) -> bool:
    """Whether a process is one of the workers that torchrun started, which are the ones to signal."""
    script = next((word for word in command_line[1:] if not word.startswith("-")), "")
    return script.replace("\\", "/").endswith(_LAUNCHER)


def merge_options(train: Mapping[str, Any], run: str, size_gb: int, device: str) -> dict[str, Any]:
    """The options of merge_config.yaml that go with the training options `train`.

    LLaMA-Factory refuses an adapter beside `finetuning_type: oft`, and merges one of OFT as `lora`.
    """
    method = train.get("finetuning_type", "lora")
    full = method in ("full", "freeze")
    options: dict[str, Any] = {"model_name_or_path": train["output_dir"] if full else train["model_name_or_path"]}
    if not full:
        options["adapter_name_or_path"] = train["output_dir"]
    options |= {"template": train["template"], "finetuning_type": "lora" if method == "oft" else method}
    options["trust_remote_code"] = bool(train.get("trust_remote_code", False))
    options |= {
        "export_dir": f"./models/{run}",
        "export_size": size_gb,
        "export_device": device,
        "export_legacy_format": False,
    }
    return options
