"""Commands as their users start them: real processes, with a fake LLaMA-Factory where faults and speed matter."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fakes import FakeEnvironment, make_fake_environment

MODEL = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


@dataclass
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str

    def events(self) -> list[dict[str, Any]]:
        """stdout as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Front:
    """A command that runs beside the test; what it says goes to a file, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    file: Path

    def said(self) -> str:
        """What it has written so far, on stdout and stderr."""
        return self.file.read_text(encoding="utf-8", errors="replace")

    def end(self, timeout: float = 120) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(timeout)


@dataclass
class Project:
    """A project directory with data, a model directory and a fake training environment."""

    path: Path
    fake: FakeEnvironment
    env: dict[str, str] = field(default_factory=dict)

    def sft(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
        """Run `sft-tui WORDS` in the project."""
        done = subprocess.run(
            [sys.executable, "-m", "sft_tui.cli", *words],
            cwd=self.path,
            env={**os.environ, **self.fake.env, **self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def begin(self, *words: str, env: Mapping[str, str] | None = None) -> Front:
        """Start `sft-tui WORDS` in the project, and go on beside it."""
        file = self.path.parent / f"said-{time.monotonic_ns()}"
        with file.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "sft_tui.cli", *words],
                cwd=self.path,
                env={**os.environ, **self.fake.env, **self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        return Front(process, file)

    def run(self, *words: str, timeout: float = 60) -> Result:
        """Run the answers file without a screen."""
        return self.sft("--non-interactive", "answers.yaml", *words, timeout=timeout)

    def answer(self, **sections: Any) -> Path:
        """Write answers.yaml: the least that is needed, changed by `sections`."""
        data: dict[str, Any] = {
            "version": 1,
            "run": {"name": "apples"},
            "model": {"path": "model", "template": "qwen"},
            "hardware": {"gpus": "none"},
            "preset": "cpu",
            "data": {
                "source": "rows.csv",
                "columns": {"input": "question", "output": "answer"},
                "instruction": "Answer.",
                "test_size": 0.1,
            },
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
        path = self.path / "answers.yaml"
        path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        return path

    def state(self, run: str = "apples") -> dict[str, Any]:
        """The state of a run."""
        data = json.loads((self.path / "runs" / run / "state.json").read_text(encoding="utf-8"))
        assert isinstance(data, dict)
        return data


def make_project(tmp_path: Path, scenario: dict[str, Any] | str | None = None, rows: int = 40) -> Project:
    """A project with `rows` questions and answers in rows.csv, and answers.yaml."""
    from tests.headless.tiny_tokenizer import TOKENIZER

    path = tmp_path / "project"
    (path / "model").mkdir(parents=True)
    (path / "model" / "config.json").write_text(json.dumps(MODEL))
    (path / "model" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (path / "model" / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (path / "model" / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    with (path / "rows.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["question", "answer"])
        writer.writerows([f"问题 {i}", f"answer {i}"] for i in range(rows))
    project = Project(path, make_fake_environment(tmp_path / "train", scenario))
    project.answer()
    return project
