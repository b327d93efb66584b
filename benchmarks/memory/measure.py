"""Measure real LLaMA-Factory runs: the protocol behind `measured_h100.jsonl`. Runs in the training environment.

    python measure.py NAME GRID.json OUT [SECONDS]

GRID is a list of objects: `model` (a name in `architectures.json`), optionally `layers` (cut to so many), `cap_gib`
(the card made smaller), `trace` (record every allocation), and LLaMA-Factory's options. Each run is a forked child on a
model with random weights, since their values do not change the memory. A row a run goes to OUT/NAME.jsonl: torch's
peaks, the device's peak used memory as NVML saw it, seconds a step. Traces go to OUT/NAME.trace.jsonl.gz, one
allocation or release a line with the first frames outside torch; the order of `operations.py` comes from them.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

for variable, value in {
    "HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "RECORD_VRAM": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "LLAMAFACTORY_VERBOSITY": "WARN", "WANDB_DISABLED": "true",
}.items():  # fmt: skip
    os.environ.setdefault(variable, value)
WORK = Path(os.environ.get("MEASURE_WORK", "/tmp/measure_memory"))
CONTEXT = (480 + 767) << 20
OWN_KEYS = ("model", "set", "layers", "trace", "cap_gib")


def make_tokenizer(path: Path) -> None:
    """A small byte-pair tokenizer for the words of the data."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["alpha beta gamma delta one two three four"] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.save_pretrained(path)


def make_model(name: str, layers: int) -> None:
    """The architecture with random bf16 weights, saved."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    spec = dict(json.loads((Path(__file__).parent / "architectures.json").read_text())[name])
    if layers:
        spec["num_hidden_layers"] = layers
    config = AutoConfig.for_model(spec.pop("model_type"), **spec)
    config.dtype = "bfloat16"
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config)
    path = model_path(name, layers)
    model.to(torch.bfloat16).save_pretrained(path, max_shard_size="8GB")
    make_tokenizer(path)


def model_path(name: str, layers: int) -> Path:
    """Where a model is kept while it is needed."""
    return WORK / "models" / f"{name}-{layers}"


def make_data() -> None:
    """Samples longer than any cutoff: `long` for up to 4,096 tokens, `huge` for up to 16,384, `ev` to evaluate."""
    random.seed(0)
    words = ["alpha", "beta", "gamma", "delta", "one", "two", "three", "four"]
    folder = WORK / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, count, prompt, answer in (("long", 48, 1500, 4500), ("huge", 16, 6000, 14000), ("ev", 8, 1500, 4500)):
        rows = [
            {
                "instruction": " ".join(random.choices(words, k=prompt)),
                "input": "",
                "output": " ".join(random.choices(words, k=answer)),
            }
            for _number in range(count)
        ]
        (folder / f"{name}.json").write_text(json.dumps(rows))
    info = {name: {"file_name": f"{name}.json"} for name in ("long", "huge", "ev")}
    (folder / "dataset_info.json").write_text(json.dumps(info))


def child(run: dict[str, Any], name: str, out: Path, row_file: Path) -> None:
    """One training run; its row goes to `row_file`."""
    import torch

    row = {key: value for key, value in run.items() if key != "trace"}
    try:
        if run.get("cap_gib"):
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction((run["cap_gib"] * 2**30 - CONTEXT) / total)
        if run.get("trace"):
            torch.cuda.memory._record_memory_history(context="alloc", stacks="python", max_entries=400_000)
        row |= train(run)
    except BaseException as error:  # noqa: BLE001  (an out-of-memory run is a result)
        row["error"] = f"{type(error).__name__}: {error}"[:300]
        traceback.print_exc(limit=-4)
    row["peak_allocated"] = torch.cuda.max_memory_allocated()
    row["peak_reserved"] = torch.cuda.max_memory_reserved()
    if run.get("trace"):
        write_trace(run, out / f"{name}.trace.jsonl.gz")
    row_file.write_text(json.dumps(row))


def train(run: dict[str, Any]) -> dict[str, Any]:
    """`run_exp` with the run's options; steps and seconds."""
    import torch
    import transformers
    from llamafactory.train.tuner import run_exp

    class Quiet:
        """Stands for what writes the model."""

        def __call__(self, *_words: Any, **_more: Any) -> None:
            return None

    for method in ("save_model", "save_state"):
        setattr(transformers.Trainer, method, Quiet())
    times: list[float] = []

    class Clock(transformers.TrainerCallback):
        """Takes the time of each step."""

        def on_step_end(self, *_words: Any, **_more: Any) -> None:
            torch.cuda.synchronize()
            times.append(time.time())

    options: dict[str, Any] = {
        "model_name_or_path": str(model_path(run["model"], run.get("layers") or 0)), "stage": "sft", "do_train": True,
        "finetuning_type": "lora", "lora_target": "all", "dataset_dir": str(WORK / "data"), "dataset": "long",
        "template": "qwen", "overwrite_cache": True, "preprocessing_num_workers": 1, "output_dir": str(WORK / "run"),
        "logging_steps": 1, "save_strategy": "no", "per_device_train_batch_size": 1, "max_steps": 4, "bf16": True,
        "gradient_accumulation_steps": 1, "learning_rate": 1e-4, "report_to": "none", "warmup_steps": 1,
        "lr_scheduler_type": "cosine",
    }  # fmt: skip
    options |= {key: value for key, value in run.items() if key not in OWN_KEYS}
    if options["finetuning_type"] == "lora":
        options.setdefault("lora_alpha", 2 * options.get("lora_rank", 8))
    shutil.rmtree(WORK / "run", ignore_errors=True)
    run_exp(args=options, callbacks=[Clock()])
    pace = round((times[-1] - times[0]) / (len(times) - 1), 4) if len(times) > 1 else None
    return {"steps": len(times), "s_per_step": pace}


def write_trace(run: dict[str, Any], path: Path) -> None:
    """Every allocation (`a`), release (`f`) and segment, with a number for each address."""
    import torch

    numbers: dict[int, int] = {}
    with gzip.open(path, "at", compresslevel=4) as file:
        file.write(json.dumps({"run": run}) + "\n")
        for event in torch.cuda.memory._snapshot()["device_traces"][0]:
            kind = {"alloc": "a", "free_completed": "f"}.get(event["action"], event["action"])
            if kind == "free_requested":
                continue
            number = numbers.setdefault(event["addr"], len(numbers))
            frames = [
                f"{frame['filename'].rsplit('/', 1)[-1]}:{frame['line']}:{frame['name']}"
                for frame in event.get("frames", [])
                if "/torch/" not in frame["filename"] and frame["filename"] != "??"
            ]
            file.write(json.dumps([kind, number, event["size"], *(frames[:4] if kind == "a" else [])]) + "\n")


def in_child(work: Any, limit_s: float = 150, sample: Any = None) -> int:
    """Run `work` in a fork; the largest `sample()` meanwhile."""
    pid = os.fork()
    if pid == 0:
        log = os.open(WORK / "child.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            work()
        finally:
            os._exit(0)
    peak, end = 0, time.time() + limit_s
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        peak = max(peak, sample() if sample else 0)
        if time.time() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return peak


def main() -> None:
    """Run the grid."""
    import pynvml

    name, grid, out = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
    end = time.time() + float(sys.argv[4] if len(sys.argv) > 4 else 560)
    pynvml.nvmlInit()
    card = pynvml.nvmlDeviceGetHandleByIndex(0)
    make_data()
    before = None
    for run in grid:
        if time.time() > end:
            break
        key = (run["model"], run.get("layers") or 0)
        if key != before:
            shutil.rmtree(WORK / "models", ignore_errors=True)
            in_child(lambda key=key: make_model(*key))
            before = key
        row_file = WORK / "row.json"
        row_file.unlink(missing_ok=True)
        peak = in_child(
            lambda run=run: child(run, name, out, WORK / "row.json"),
            sample=lambda: pynvml.nvmlDeviceGetMemoryInfo(card).used,
        )
        row = json.loads(row_file.read_text()) if row_file.exists() else {**run, "error": "killed or crashed"}
        with (out / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps({**row, "peak_nvml": peak}) + "\n")
        print({key: round(value / 2**30, 2) if key.startswith("peak") else value for key, value in row.items()})


if __name__ == "__main__":
    main()
