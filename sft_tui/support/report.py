"""`sft-tui report RUN`: one archive that can be shown to others, with what is needed to help and no secrets."""

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sft_tui import __version__
from sft_tui.factory.failures import read_log
from sft_tui.factory.failures.explain import explain_text
from sft_tui.factory.failures.samples import REDACTED, redact_samples
from sft_tui.i18n import _
from sft_tui.problems import Refusal, refuse
from sft_tui.project.files import replacing
from sft_tui.project.layout import RunLayout
from sft_tui.support.scrub import Names, scrub

MAX_FILE_BYTES = 2 * 1024 * 1024
"""Of a longer file only the end is packed (of a log also its beginning)."""
_PACKAGES = (
    *("llamafactory", "torch", "torchvision", "torchaudio", "transformers", "peft", "accelerate", "trl", "datasets"),
    *("tokenizers", "safetensors", "numpy", "bitsandbytes", "deepspeed", "flash-attn", "liger-kernel", "unsloth"),
    *("vllm", "optimum", "gptqmodel", "auto-gptq", "ray", "tensorboard", "triton"),
)


def write_report(project: Path, run: str, out: Path | None = None) -> Path:
    """Pack the run `run` of `project` into a tar.gz (readable by this user only) and return its path.

    It holds configs, answers, plan, state, events, metrics, logs (their beginning and end) and versions. Tokens,
    passwords, e-mail addresses, user, host and home names, the training samples that logs print, and the questions and
    answers of the verification are taken out; what the answers file says itself, its prompts too, stays.

    Raises:
        Refusal: there is no such run, `out` exists, or the archive cannot be written.
    """
    project = project.resolve()
    layout = RunLayout(project, run)
    if not layout.run_dir.is_dir() and not layout.log_dir.is_dir():
        raise refuse(
            "no_such_run",
            _("There is no run {run} in {project}.").format(run=run, project=project),
            hint=_("`sft-tui runs --dir PROJECT` lists them."),
        )
    target = project / f"{run}-report-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz" if out is None else out
    if target.exists():
        raise refuse(
            "report_exists",
            _("{path} exists already.").format(path=target),
            hint=_("Give another name with --out."),
        )
    try:
        with replacing(target, private=True) as stream:
            _pack(stream, layout)
    except OSError as error:
        raise refuse(
            "report_not_written", _("{path} cannot be written: {reason}.").format(path=target, reason=error.strerror)
        ) from None
    return target


def _pack(stream: BinaryIO, layout: RunLayout) -> None:
    names = Names.here(layout.project)
    top = f"{scrub(layout.name, names)}-report"
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as archive:
        for name, text, changed in _contents(layout):
            data = scrub(text, names).encode("utf-8", errors="replace")
            entry = tarfile.TarInfo(f"{top}/{scrub(name, names)}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(changed)
            archive.addfile(entry, io.BytesIO(data))


def _contents(layout: RunLayout) -> Iterator[tuple[str, str, float]]:
    """Name, text and time of change of each file of the archive."""
    yield "versions.txt", versions_text(), time.time()
    diagnoses: list[str] = []
    for path in _files(layout):
        text = _text_of(path)
        if text is None:
            continue
        if path.suffix == ".log" and path.parent == layout.log_dir:
            diagnoses.append(f"## {path.name}\n{explain_text(text)}\n")
        yield str(path.relative_to(layout.project)), text, path.stat().st_mtime
    yield "diagnosis.txt", "\n".join(diagnoses), time.time()


def _files(layout: RunLayout) -> list[Path]:
    """The files of the run that help others, in a fixed order; no data, no weights, nothing outside the project."""
    run, saves = layout.run_dir, layout.save_dir
    named = [
        *(
            run / name
            for name in ("answers.yaml", "plan.json", "state.json", "events.jsonl", "supervisor.log", "verify.json")
        ),
        *sorted(layout.config_dir.glob("*")),
        *sorted(layout.log_dir.glob("*.log")),
        *(saves / name for name in ("trainer_log.jsonl", "all_results.json", "adapter_config.json")),
        layout.project / "data" / "dataset_info.json",
    ]
    return [path for path in named if path.is_file() and path.resolve().is_relative_to(layout.project)]


def _text_of(path: Path) -> str | None:
    """The text of a file within bounds; None where it is binary, empty or may not be read."""
    try:
        if path.suffix == ".log":
            return redact_samples(read_log(path))
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_FILE_BYTES:
                stream.seek(size - MAX_FILE_BYTES)
                stream.readline()
            data = stream.read(MAX_FILE_BYTES)
        if path.name == "verify.json":
            return _without_answers(data)
    except (OSError, Refusal):
        return None
    return None if b"\x00" in data[:4096] else data.decode("utf-8", errors="replace")


def _without_answers(data: bytes) -> str:
    """The result of a verification: what was checked and found; of questions and answers only which there are."""
    try:
        found = json.loads(data)
        rows = found.get("samples") or []
        found["samples"] = [{key: value and REDACTED for key, value in row.items()} for row in rows]
    except (ValueError, AttributeError, RecursionError):
        return REDACTED + "\n"
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def versions_text() -> str:
    """What is installed and what the machine is, as lines that LLaMA-Factory's issue form asks for."""
    from sft_tui.machine.environment import find_environment
    from sft_tui.machine.gpus import read_gpus
    from sft_tui.packages import normalised

    lines = [f"sft-tui {__version__}", f"Python {platform.python_version()}", f"platform {platform.platform()}"]
    environment = find_environment().environment
    if environment is not None:
        lines += [
            f"{name} {environment.packages[normalised(name)]}"
            for name in _PACKAGES
            if normalised(name) in environment.packages
        ]
    lines += [f"GPU {gpu.index}: {gpu.name}, {gpu.total_bytes / 1024**3:.1f} GiB" for gpu in read_gpus().gpus]
    lines.append(f"CPUs {os.cpu_count()}")
    relevant = (
        "CUDA_",
        "NCCL_",
        "PYTORCH_",
        "TORCH_",
        "HF_HUB_",
        "HF_ENDPOINT",
        "USE_",
        "FORCE_",
        "NPROC",
        "OMP_",
        "DISABLE_",
    )
    chosen = {key: value for key, value in sorted(os.environ.items()) if key.startswith(relevant)}
    return "\n".join(lines) + "\n" + json.dumps(chosen, indent=1) + "\n"
