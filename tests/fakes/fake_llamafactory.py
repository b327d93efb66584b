"""A stand-in for `llamafactory-cli` 0.9.5: the same files, log lines, signals and exit codes, in milliseconds.

Standard library only, so that it starts at once. What it does is steered by a scenario, see README.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fake_files import copy_model_config, is_whole, write_adapter, write_model, write_tokenizer
from fake_scenario import load_scenario
from fake_yaml import read_flat_yaml

WELCOME = """----------------------------------------------------------
| Welcome to LLaMA Factory, version 0.9.5                |
|                                                        |
| Project page: https://github.com/hiyouga/LLaMA-Factory |
----------------------------------------------------------"""

OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.65 GiB "
    "of which 1.02 GiB is free. Including non-PyTorch memory, this process has 78.61 GiB memory in use."
)
DISK_FULL = "OSError: [Errno 28] No space left on device"


last_bar: list[str] = []


class Failure(Exception):
    """A made-up failure: the text goes to the log as a traceback's end, the process exits with `exit_code`."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def say(text: str, end: str = "\n") -> None:
    """Print like the trainer, at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def info(where: str, message: str) -> None:
    """A log line as LLaMA-Factory writes it."""
    say(f"[INFO|{time.strftime('%Y-%m-%d %H:%M:%S')}] {where} >> {message}")


def progress_bar(step: int, total: int, step_s: float, label: str = "") -> None:
    """tqdm's bar, over itself by a carriage return; a line feed only at the end."""
    share = step / total if total else 1.0
    bar = ("█" * int(share * 20)).ljust(20)
    done, left = int(step * step_s), int((total - step) * step_s)
    text = (
        f"\r{label}{share * 100:3.0f}%|{bar}| {step}/{total} [00:{done % 60:02d}<00:{left % 60:02d}, {step_s:.2f}s/it]"
    )
    last_bar[:] = [text]
    sys.stderr.write(text)
    sys.stderr.flush()


def say_over_bar(text: str) -> None:
    """Print as tqdm does while a bar is shown: clear the bar, then the line."""
    sys.stderr.write("\r" + " " * 90 + "\r")
    sys.stderr.flush()
    say(text)


class Trainer:
    """One `train`: prints, logs, evaluates, saves, and fails where the scenario says so."""

    def __init__(self, options: dict[str, Any], scenario: dict[str, Any]) -> None:
        self.options, self.scenario = options, scenario
        self.output = Path(str(options.get("output_dir", "saves/fake")))
        self.aborted = False
        self.step = 0
        self.started = time.time()
        self.examples = self._examples()
        self.total = self._total_steps()
        self.options["made_from"] = [self._fingerprint()]

    def _examples(self) -> int:
        """How many rows the dataset has; fails like LLaMA-Factory where it is not registered."""
        name = str(self.options.get("dataset", "")).split(",")[0].strip()
        folder = Path(str(self.options.get("dataset_dir", "data")))
        if not self.scenario["check_data"]:
            return 100
        try:
            entries = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise Failure(f"ValueError: Cannot open {folder / 'dataset_info.json'} due to {error}.") from error
        if name not in entries:
            raise Failure(f"ValueError: Undefined dataset {name} in dataset_info.json.")
        path = folder / str(entries[name].get("file_name", ""))
        if not path.exists():
            raise Failure("ValueError: File not found.")
        with path.open("rb") as stream:
            rows = sum(1 for line in stream if line.strip())
        rows = min(rows, int(self.options.get("max_samples") or rows))
        held_out = self._number("val_size", 0)
        return rows - (int(held_out) if held_out >= 1 else math.ceil(held_out * rows))

    def _fingerprint(self) -> str:
        """What this training is made from: its data and the options that change its result."""
        folder, name = Path(str(self.options.get("dataset_dir", "data"))), str(self.options.get("dataset", ""))
        places = {"output_dir", "dataset", "eval_dataset", "run_name", "logging_dir", "dataset_dir"}
        changing_nothing = {"resume_from_checkpoint", "overwrite_output_dir", "eval_steps", "made_from"}
        kept = {k: str(v) for k, v in sorted(self.options.items()) if k not in places | changing_nothing}
        data = [path.read_bytes() for path in [folder / f"{name}.jsonl"] if path.is_file()]
        return hashlib.sha256(repr((kept, data)).encode()).hexdigest()[:16]

    def _number(self, key: str, default: float) -> float:
        try:
            return float(self.options.get(key, default))
        except (TypeError, ValueError):
            raise Failure("TypeError: '<=' not supported between instances of 'float' and 'str'") from None

    def _every(self, key: str, default: float) -> int:
        """A number of steps; a value below 1 is a share of all."""
        value = self._number(key, default)
        return math.ceil(value * self.total) if value < 1 else int(value)

    def _total_steps(self) -> int:
        if self.scenario["steps"]:
            return int(self.scenario["steps"])
        if int(self._number("max_steps", -1)) > 0:
            return int(self._number("max_steps", -1))
        batch = self._number("per_device_train_batch_size", 8) * self._number("gradient_accumulation_steps", 1)
        per_epoch = max(1, math.ceil(self.examples / max(batch, 1)))
        return max(1, math.ceil(per_epoch * self._number("num_train_epochs", 3)))

    def run(self) -> None:
        """Everything from the first import to the saved adapter."""
        self._check_memory()
        time.sleep(self.scenario["startup_s"])
        self._listen()
        self._introduce()
        first = self.step = self._resume_step()
        self._fail_if_due(first)
        save_every = self._every("save_steps", 500)
        for step in range(first + 1, self.total + 1):
            time.sleep(self.scenario["step_s"])
            self._step(step)
            self.step = step
            if save_every and (step % save_every == 0 or step == self.total):
                self._save_checkpoint(step)
            self._hold(step)
            self._fail_if_due(step)
            if self.aborted:
                if self._saves_on_stop():
                    self._save_checkpoint(step)
                break
        self._finish()

    def _hold(self, step: int) -> None:
        """At a step of `hold_at`, wait for the file `go-STEP` beside this program: a test says when it goes on."""
        gate = Path(sys.argv[0]).resolve().parent / f"go-{step}"
        end = time.monotonic() + 600  # a test that failed has nobody who would say so
        while step in self.scenario["hold_at"] and not (self.aborted or gate.exists() or time.monotonic() > end):
            time.sleep(0.02)

    def _saves_on_stop(self) -> bool:
        return str(self.options.get("enable_jit_checkpoint", "")).lower() == "true"

    def _save_checkpoint(self, step: int) -> None:
        folder = self.output / f"checkpoint-{step}"
        write_adapter(folder, step, self.options, self.total)
        if self.scenario["checkpoint_bytes"]:
            (folder / "padding.dat").write_bytes(bytes(self.scenario["checkpoint_bytes"]))

    def _check_memory(self) -> None:
        for key, limit in self.scenario["oom_above"].items():
            if self._number(key, 0) > float(limit):
                time.sleep(self.scenario["startup_s"])
                self._introduce()
                progress_bar(0, self.total, self.scenario["step_s"])
                raise Failure(OOM)

    def _listen(self) -> None:
        """LLaMA-Factory traps SIGABRT only in the mode of its web UI, and only once the trainer exists."""
        if os.environ.get("LLAMABOARD_ENABLED", "").lower() in ("1", "true", "y") and not self.scenario["ignore_abort"]:
            signal.signal(signal.SIGABRT, self._abort)
        if self._saves_on_stop() and not self.scenario["ignore_abort"] and not self.scenario["ignore_term"]:
            signal.signal(signal.SIGTERM, self._abort)

    def _abort(self, *_: Any) -> None:
        self.aborted = True

    def _introduce(self) -> None:
        info("llamafactory.hparams.parser:427", "Process rank: 0, world size: 1, device: cpu, compute dtype: float32")
        info("llamafactory.data.loader:143", f"Loading dataset {self.options.get('dataset')}...")
        for done in (0, self.examples):
            sys.stderr.write(f"\rConverting format of dataset: {done}/{self.examples} examples")
        sys.stderr.write("\n")
        say("training example:\ninputs:\n<|im_start|>user\n苹果是什么颜色？[/b]<|im_end|>\n<|im_start|>assistant\n")
        for line in self.scenario["log_lines"]:
            say(line)
        info("llamafactory.train.tuner", "***** Running training *****")
        say(f"  Num examples = {self.examples}\n  Num Epochs = {self.options.get('num_train_epochs', 3)}")
        say(f"  Total optimization steps = {self.total}")

    def _resume_step(self) -> int:
        found = [int(p.name.split("-")[1]) for p in self.output.glob("checkpoint-*") if p.name.split("-")[1].isdigit()]
        if self.options.get("resume_from_checkpoint"):
            return self._load(Path(str(self.options["resume_from_checkpoint"])))
        if self.options.get("overwrite_output_dir"):
            (self.output / "trainer_log.jsonl").unlink(missing_ok=True)
            return 0
        if found and max(found) < self.total:
            info("llamafactory.hparams.parser", f"Resuming training from {self.output}/checkpoint-{max(found)}.")
            return self._load(self.output / f"checkpoint-{max(found)}")
        return 0

    def _load(self, checkpoint: Path) -> int:
        """Go on from `checkpoint`, which must be whole, and with what it was made from; its step."""
        try:
            for path in checkpoint.glob("*.safetensors"):
                if not is_whole(path.read_bytes()):
                    raise Failure(
                        "safetensors_rust.SafetensorError: Error while deserializing: MetadataIncompleteBuffer"
                    )
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
            if not (checkpoint / "optimizer.pt").read_bytes().startswith(b"PK"):
                raise Failure("RuntimeError: PytorchStreamReader failed reading zip archive: invalid header")
            if checkpoint.joinpath("config.json").is_file() is False:
                before = json.loads((checkpoint / "adapter_config.json").read_text(encoding="utf-8"))["made_from"]
                self.options["made_from"] = sorted({*before, *self.options["made_from"]})
        except (OSError, ValueError, struct.error) as error:
            raise Failure(f"{type(error).__name__}: {error}") from error
        return int(checkpoint.name.rsplit("-", 1)[-1])

    def _step(self, step: int) -> None:
        progress_bar(step, self.total, self.scenario["step_s"])
        for number in range(self.scenario["lines_per_step"]):
            say_over_bar(f"step {step} line {number}: the quick brown fox jumps over the lazy dog")
        every = max(1, self._every("logging_steps", 5))
        if step % every == 0:
            self._log(step, {"loss": self._loss(step), "lr": self._learning_rate(step)})
        if str(self.options.get("eval_strategy", "no")) != "no":
            every = self._every("eval_steps", 0) or max(1, self.total // 3)
            if step % every == 0:
                self._log(step, {"eval_loss": round(self._loss(step, noise=False) + 0.05, 4)})

    def _loss(self, step: int, *, noise: bool = True) -> float:
        if self.scenario["nan_from"] and step >= self.scenario["nan_from"]:
            return float("nan")
        first, last = self.scenario["loss"]
        value = last + (first - last) * math.exp(-4 * step / self.total)
        return round(
            value + (random.Random(f"{self.options['made_from'][0]}{step}").uniform(-0.05, 0.05) if noise else 0), 4
        )

    def _learning_rate(self, step: int) -> float:
        top = self._number("learning_rate", 5e-5)
        return top * 0.5 * (1 + math.cos(math.pi * step / self.total))

    def _log(self, step: int, figures: dict[str, float]) -> None:
        elapsed = time.time() - self.started
        left = (self.total - step) * elapsed / max(step, 1)
        epoch = round(self._number("num_train_epochs", 3) * step / self.total, 2)
        record = {
            "current_steps": step, "total_steps": self.total, **figures, "epoch": epoch,
            "percentage": round(step / self.total * 100, 2), "elapsed_time": _clock(elapsed),
            "remaining_time": _clock(left), "throughput": 8412.5, "total_tokens": step * 4096,
        }  # fmt: skip
        self.output.mkdir(parents=True, exist_ok=True)
        with (self.output / "trainer_log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        shown = {"loss": "loss", "eval_loss": "eval_loss", "lr": "learning_rate"}
        say_over_bar(
            str({shown[k]: f"{v:.4g}" for k, v in figures.items()} | {"grad_norm": "1.1", "epoch": f"{epoch:.4g}"})
        )

    def _fail_if_due(self, step: int) -> None:
        plan = self.scenario["fail"]
        if plan and plan.get("stage", "train") == "train" and step == int(plan.get("at_step", 0)) and _due(plan):
            fail(plan)

    def _finish(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        if self.scenario["disk_full"]:
            raise Failure(DISK_FULL)
        if self.scenario["write_adapter"]:
            write_adapter(self.output, self.step, self.options, self.total)
            write_tokenizer(self.output)
        results = {"train_loss": self.scenario["loss"][1], "train_runtime": round(time.time() - self.started, 3)}
        for name in ("train_results.json", "all_results.json"):
            (self.output / name).write_text(json.dumps(results), encoding="utf-8")
        sys.stderr.write("\n")
        say(f"***** train metrics *****\n  train_loss = {results['train_loss']}")
        time.sleep(self.scenario["end_s"])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _due(plan: dict[str, Any]) -> bool:
    """Whether a failure still happens: `times` failures at most, counted in a file beside the scenario."""
    times = plan.get("times")
    if times is None:
        return True
    beside = Path(sys.argv[0]).resolve().parent
    folder = beside if (beside / "scenario.json").is_file() else Path.cwd()
    counter = folder / f".failed-{plan.get('stage', 'train')}"
    count = int(counter.read_text(encoding="ascii")) if counter.exists() else 0
    counter.write_text(str(count + 1), encoding="ascii")
    return count < int(times)


def fail(plan: dict[str, Any]) -> None:
    """End as the scenario's `fail` says: hang, be killed by a signal, or with a traceback and an exit code."""
    if plan.get("hang"):
        while True:
            time.sleep(60)
    if plan.get("signal"):
        signal.signal(int(plan["signal"]), signal.SIG_DFL) if int(plan["signal"]) != signal.SIGKILL else None
        os.kill(os.getpid(), int(plan["signal"]))
    texts = {"oom": OOM, "disk_full": DISK_FULL}
    raise Failure(
        texts.get(str(plan.get("text")), str(plan.get("text", "RuntimeError: fake failure"))),
        int(plan.get("exit_code", 1)),
    )


def export(options: dict[str, Any], scenario: dict[str, Any]) -> None:
    """The merge: a small model in `export_dir`."""
    time.sleep(scenario["startup_s"])
    if options.get("quantization_bit"):
        raise Failure("ValueError: Please merge adapters before quantizing the model.")
    plan = scenario["fail"]
    if plan and plan.get("stage") == "export" and _due(plan):
        fail(plan)
    adapter = options.get("adapter_name_or_path")
    if adapter and not (Path(str(adapter)) / "adapter_config.json").is_file():
        raise Failure(f"ValueError: Can't find 'adapter_config.json' at '{adapter}'")
    info("llamafactory.model.adapter:143", "Merged 1 adapter(s).")
    out = Path(str(options["export_dir"]))
    time.sleep(scenario["export_s"])
    write_model(out)
    copy_model_config(Path(str(options.get("model_name_or_path", ""))), out)
    write_tokenizer(out)
    if adapter:
        config = json.loads((Path(str(adapter)) / "adapter_config.json").read_text(encoding="utf-8"))
        (out / "made_from.json").write_text(json.dumps({"made_from": config.get("made_from")}), encoding="utf-8")
    info("llamafactory.train.tuner:143", f"Ollama modelfile saved in {out}/Modelfile")


def launch_ranks(count: int) -> int:
    """Like torchrun: the ranks in sessions of their own; when one fails or TERM comes, the others get TERM."""
    script = Path(sys.argv[0]).absolute().parent / "llamafactory" / "launcher.py"
    argv = [sys.executable, "-SE", str(script), *sys.argv[1:]]
    ranks: list[subprocess.Popen[bytes]] = []
    for rank in range(count):
        first = ranks[0].pid if ranks else 0
        env = {**os.environ, "RANK": str(rank), "FIRST_RANK": str(first), "FAKE_SCENARIO": str(_scenario_file())}
        ranks.append(subprocess.Popen(argv, env=env, start_new_session=True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while any(rank.poll() is None for rank in ranks) and not any(rank.returncode for rank in ranks):
            time.sleep(0.02)
        return 1 if any(rank.returncode for rank in ranks) else 0
    finally:
        for rank in ranks:
            rank.terminate()


def _scenario_file() -> Path:
    return Path(sys.argv[0]).absolute().parent / "scenario.json"


def follow_first_rank(scenario: dict[str, Any]) -> None:
    """Be another rank: busy as long as the first is there."""
    signal.signal(signal.SIGABRT, lambda *_: None)
    if scenario["ignore_term"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while _alive(int(os.environ["FIRST_RANK"])):
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start_helpers(scenario: dict[str, Any]) -> None:
    """Children that stay when their parent ends."""
    if scenario["ignore_term"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _number in range(int(scenario["helpers"])):
        subprocess.Popen(["sleep", "600"], start_new_session=True)


def main() -> int:
    """Behave as `llamafactory-cli COMMAND CONFIG.yaml [key=value ...]`."""
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command == "version":
        say(WELCOME)
        return 0
    if command not in ("train", "export"):
        say(f"Unknown command: {command}.")
        return 0
    try:
        options = read_flat_yaml(Path(sys.argv[2]))
        for override in sys.argv[3:]:
            key, _, value = override.partition("=")
            options[key] = value
        scenario = load_scenario(Path(sys.argv[0]))
        if command == "export":
            export(options, scenario)
        elif scenario["ranks"] and "RANK" not in os.environ:
            return launch_ranks(int(scenario["ranks"]))
        elif os.environ.get("RANK", "0") != "0":
            follow_first_rank(scenario)
        else:
            start_helpers(scenario)
            Trainer(options, scenario).run()
    except Failure as failure:
        sys.stderr.write(
            "\nTraceback (most recent call last):\n"
            f'  File "{sys.argv[0]}", line 8, in <module>\n    sys.exit(main())\n'
            '  File "llamafactory/train/sft/workflow.py", line 141, in run_sft\n'
            f"    train_result = trainer.train()\n{failure}\n"
        )
        if command == "train" and last_bar:
            sys.stderr.write(last_bar[-1] + "\n")  # the bar is drawn once more, after the traceback
        return failure.exit_code
    return 0
