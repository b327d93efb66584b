"""Is this machine ready? A line for each thing that a run needs, as soon as it is known, with the next step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.options import OLDEST_VERSION, TESTED_VERSIONS
from sft_tui.factory.probe import probe_environment
from sft_tui.i18n import _
from sft_tui.machine.environment import Environment, find_environment
from sft_tui.machine.gpus import read_gpus
from sft_tui.machine.installing import install_command
from sft_tui.machine.system import System, read_system
from sft_tui.problems import Refusal
from sft_tui.units import GIB

_LOW_DISK_GIB, _NO_DISK_GIB = 20, 2
_LOW_RAM_GIB = 8


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One thing that was looked at. `status` is ok, warning or problem; a problem keeps a run from working.

    `details` are figures for programs (versions, bytes).
    """

    name: str
    status: str
    message: str
    next_step: str | None = None
    details: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """What `doctor --json` prints of it."""
        line: dict[str, Any] = {"name": self.name, "status": self.status, "message": self.message}
        return line | {"next_step": self.next_step, "details": self.details or {}}


def diagnose_machine(project: Path) -> Iterator[DoctorLine]:
    """Look at everything in turn; the import of LLaMA-Factory takes some 10 s the first time."""
    yield _python()
    search = find_environment()
    if search.environment is None:
        hint = _("{command}   or set SFT_TUI_TRAIN_PYTHON to the Python that has LLaMA-Factory")
        hint = hint.format(command=install_command())
        message = _("not found; looked at: {places}").format(places="; ".join(search.looked_at))
        yield DoctorLine("llamafactory", "problem", message, hint)
    else:
        yield _found(search.environment)
        yield from _imports(search.environment)
    yield from _gpus()
    system = read_system(project)
    yield _ram(system)
    yield _disk(system)
    yield _terminal()
    yield _tmux()


def _python() -> DoctorLine:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return DoctorLine("python", "ok", f"{version} ({sys.executable})", details={"version": version})


def _found(environment: Environment) -> DoctorLine:
    version = environment.version or _("version unknown")
    message = _("{version}: {why}").format(version=version, why=environment.why)
    details = {"version": environment.version, "python": environment.python, "cli": list(environment.cli)}
    if environment.version and environment.version not in TESTED_VERSIONS:
        step = _("It works with LLaMA-Factory {oldest} and later; tested are: {tested}.")
        step = step.format(oldest=OLDEST_VERSION, tested=", ".join(TESTED_VERSIONS))
        return DoctorLine("llamafactory", "warning", message, step, details)
    return DoctorLine("llamafactory", "ok", message, details=details)


def _imports(environment: Environment) -> Iterator[DoctorLine]:
    """Import the real thing: `pip check` is clean on sets of packages whose import fails."""
    try:
        probed = probe_environment(environment.python)
    except Refusal as refusal:
        problem = refusal.problems[0]
        yield DoctorLine("import", "problem", problem.message, problem.hint or _reinstall())
        return
    versions = {name: probed.factory.versions.get(name) for name in ("torch", "transformers", "peft")}
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield DoctorLine("import", "ok", _("LLaMA-Factory imports; {versions}").format(versions=shown), details=versions)


def _reinstall() -> str:
    return _("Reinstall a set that works together: {command}").format(command=install_command())


def _gpus() -> Iterator[DoctorLine]:
    report = read_gpus()
    if not report.gpus:
        message = report.reason or _("no GPU")
        yield DoctorLine(
            "gpu", "warning", message, _("Without a GPU only tiny models can be trained."), {"code": report.code}
        )
        return
    for gpu in report.gpus:
        text = _("{index}: {name}, {free:.1f} of {total:.1f} GiB free")
        message = text.format(index=gpu.index, name=gpu.name, free=gpu.free_bytes / GIB, total=gpu.total_bytes / GIB)
        details = {"index": gpu.index, "name": gpu.name, "free_bytes": gpu.free_bytes, "total_bytes": gpu.total_bytes}
        busy = gpu.total_bytes > 0 and gpu.free_bytes < gpu.total_bytes / 2
        step = _holders(gpu) if busy else None
        yield DoctorLine("gpu", "warning" if busy else "ok", message, step, details)
    if report.reason:
        yield DoctorLine("gpu", "warning", report.reason)


def _holders(gpu: Any) -> str:
    users = ", ".join(f"{p.user or '?'} (pid {p.pid})" for p in gpu.processes) or _("processes that cannot be seen")
    return _("Its memory is held by {who}.").format(who=users)


def _ram(system: System) -> DoctorLine:
    free, total = system.ram_available_bytes / GIB, system.ram_total_bytes / GIB
    message = _("{free:.1f} of {total:.1f} GiB free, {cpus} CPU cores").format(free=free, total=total, cpus=system.cpus)
    details = {"free_bytes": system.ram_available_bytes, "total_bytes": system.ram_total_bytes, "cpus": system.cpus}
    if free < _LOW_RAM_GIB:
        step = _("Merging a model needs about its size in RAM: 15 GiB for 7B.")
        return DoctorLine("ram", "warning", message, step, details)
    return DoctorLine("ram", "ok", message, details=details)


def _disk(system: System) -> DoctorLine:
    free = system.disk_free_bytes / GIB
    message = _("{free:.1f} GiB free at {path}").format(free=free, path=system.disk_path)
    details = {"free_bytes": system.disk_free_bytes, "path": system.disk_path}
    step = _("A 7B model needs 15 GiB for itself and 15 GiB for the merged one.")
    if free < _NO_DISK_GIB:
        return DoctorLine("disk", "problem", message, _("Free space, or choose another project directory."), details)
    if free < _LOW_DISK_GIB:
        return DoctorLine("disk", "warning", message, step, details)
    return DoctorLine("disk", "ok", message, details=details)


def _terminal() -> DoctorLine:
    term = os.environ.get("TERM", "")
    size = shutil.get_terminal_size((0, 0))
    stream = sys.__stderr__  # the wizard catches sys.stderr
    encoding = (getattr(stream, "encoding", None) or "").lower()
    details = {"term": term, "columns": size.columns, "rows": size.lines, "encoding": encoding}
    if stream is None or not stream.isatty():
        message = _("not a terminal: the wizard needs one")
        return DoctorLine("terminal", "warning", message, _("Use sft-tui --non-interactive ANSWERS."), details)
    message = f"{term or '?'}, {size.columns}x{size.lines}, {encoding}"
    if term in ("", "dumb"):
        return DoctorLine("terminal", "warning", message, _("export TERM=xterm-256color"), details)
    if size.columns < 60 or size.lines < 20:
        return DoctorLine("terminal", "warning", message, _("Make the window at least 60x20, better 80x24."), details)
    if "utf" not in encoding:
        return DoctorLine(
            "terminal", "warning", message, _("export LANG=C.UTF-8 shows Chinese and finer charts."), details
        )
    return DoctorLine("terminal", "ok", message, details=details)


def _tmux() -> DoctorLine:
    if os.environ.get("TMUX") or os.environ.get("STY"):
        return DoctorLine("session", "ok", _("inside tmux or screen"))
    return DoctorLine("session", "ok", _("no tmux needed: a run goes on when the connection drops"))


def train_two_steps(demo_dir: Path, scratch: Path) -> DoctorLine:
    """Train the tiny model of the demo for two real steps in `scratch`; what came of it."""
    from sft_tui.answers import read_answers
    from sft_tui.plan.change import write_plan
    from sft_tui.plan.context import gather
    from sft_tui.plan.conversion import convert_and_register, request_from_json
    from sft_tui.plan.make import make_plan
    from sft_tui.problems import Refusal as Refused

    shutil.copytree(demo_dir, scratch, dirs_exist_ok=True)
    try:
        file = read_answers(scratch / "answers.yaml")
        answers = file.require()
        train = {**answers.train, "max_steps": 2, "logging_steps": 1, "eval_strategy": "no", "report_to": "none"}
        answers = answers.model_copy(update={"train": train})
        situation = gather(answers, scratch / "answers.yaml")
        plan = make_plan(answers, situation)
        from sft_tui.project.layout import RunLayout

        layout = RunLayout(situation.project, plan.run)
        write_plan(layout, plan)
        convert_and_register(request_from_json(plan.conversion, layout.project))
    except Refused as refusal:
        return DoctorLine("train", "problem", refusal.problems[0].message, refusal.problems[0].hint)
    stage = next(s for s in plan.stages if s.name == "train")
    log = layout.stage_log("train")
    with log.open("wb") as stream:
        code = subprocess.call(
            list(stage.argv),
            cwd=layout.project,
            env={**os.environ, **stage.env},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    if code == 0 and any(layout.save_dir.glob("*.safetensors")):
        return DoctorLine("train", "ok", _("two real training steps of the demo model succeeded"))
    return _training_failed(log, code)


def _training_failed(log: Path, code: int) -> DoctorLine:
    from sft_tui.factory.failures import diagnose_file, last_exception

    text = log.read_text(encoding="utf-8", errors="replace")
    known = diagnose_file(log)
    step = (
        known[0].fixes[0].text
        if known and known[0].fixes
        else _("Ask with this line: {line}").format(line=last_exception(text))
    )
    message = _("two training steps of the demo model failed with exit code {code}: {line}")
    return DoctorLine("train", "problem", message.format(code=code, line=last_exception(text) or "?"), step)
