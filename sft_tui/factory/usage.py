"""What to type to use a model that was trained here: by transformers, vLLM, LLaMA-Factory and Ollama."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sft_tui.factory.commands import ADAPTER_CONFIG, MODELFILE, has_weights, tensorboard_command

_QUESTION = "Hello"
_PYTHON = (
    'from transformers import pipeline; print(pipeline("text-generation", {model})'
    '([{{"role": "user", "content": {question}}}])[0]["generated_text"][-1]["content"])'
)


@dataclass(frozen=True, slots=True)
class Usage:
    """One way to use a model: the tool's name and the command, to be typed in the project directory."""

    tool: str
    command: str


def usages(
    project: Path,
    run: str,
    *,
    base: str,
    template: str,
    cli: Sequence[str],
    python: str,
    merged: bool,
    question: str = _QUESTION,
) -> list[Usage]:
    """The commands for what is there of `run`: its `merged` model, else the adapter on its base model, else none."""
    curves = tensorboard_command(project, run)
    last = [Usage("TensorBoard", curves)] if curves else []
    model_dir, saved = f"models/{run}", f"saves/{run}"
    llamafactory = " ".join(shlex.quote(word) for word in cli) or "llamafactory-cli"
    if merged:
        code = _PYTHON.format(model=json.dumps(model_dir), question=json.dumps(question[:200], ensure_ascii=False))
        found = [
            Usage("transformers", f"{shlex.quote(python)} -c {shlex.quote(code)}"),
            Usage("vLLM", f"vllm serve {model_dir}"),
            Usage("LLaMA-Factory", f"{llamafactory} chat --model_name_or_path {model_dir} --template {template}"),
        ]
        if (project / model_dir / MODELFILE).is_file():
            found.append(Usage("Ollama", f"ollama create {run} -f {model_dir}/{MODELFILE} && ollama run {run}"))
        return [*found, *last]
    if not has_weights(project / saved):
        return last
    adapter = (project / saved / ADAPTER_CONFIG).is_file()
    model = f"{shlex.quote(base)} --adapter_name_or_path {saved}" if adapter else saved
    return [Usage("LLaMA-Factory", f"{llamafactory} chat --model_name_or_path {model} --template {template}"), *last]
