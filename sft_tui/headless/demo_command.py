"""`sft-tui demo`: the whole way on the CPU with a tiny model, in a fresh project directory."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.places import shipped
from sft_tui.project.state import read_state
from sft_tui.view.outcome import Merged, merged_model, read_outcome

_LEFT_OUT = shutil.ignore_patterns("*.py", "__pycache__", "README*")


def copy_demo(wanted: Path) -> Path:
    """Copy the demo's files into `wanted`, or beside it where that exists; the directory. Raises `Refusal` (exit 3)."""
    target, number = wanted, 2
    while target.exists() and any(target.iterdir()):
        target = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    try:
        shutil.copytree(shipped("data", "demo"), target, ignore=_LEFT_OUT, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        message = _("The demo cannot be copied to {path}: {reason}.").format(path=target, reason=error)
        raise refuse("project_not_writable", message, exit_code=ExitCode.PREFLIGHT, path=str(target)) from error
    return target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `demo`."""
    parser.add_argument(
        "directory", type=Path, nargs="?", default=Path("sft-tui-demo"), help=_("new project directory")
    )
    parser.add_argument("--json", action="store_true", help=_("events on stdout, one JSON object a line"))


@dataclass(frozen=True, slots=True)
class Request:
    """Where to try it."""

    directory: Path
    json: bool


def run(request: Request) -> int:
    """Copy the demo, run it, and show what came of it."""
    from sft_tui.headless import run_command

    project = copy_demo(request.directory.expanduser().absolute())
    say(_("The demo is in {path}").format(path=project))
    code = run_command.run(run_command.Request(project / "answers.yaml", json=request.json))
    if code == ExitCode.DONE:
        _show_result(RunLayout(project, "demo"), as_json=request.json)
    return code


def _show_result(layout: RunLayout, *, as_json: bool) -> None:
    state = read_state(layout)
    verified = read_json(layout.verify_result) or {}
    plan = read_json(layout.plan) or {}
    metrics = state.metrics if state else {}
    commands = [s["shown"] for s in plan.get("stages", []) if s.get("shown")]
    samples = verified.get("samples", [])
    if as_json:
        merged = state is not None and merged_model(layout, state) is not Merged.NONE
        model = str(layout.model_dir) if merged else None
        result = {"project": str(layout.project), "merged_model": model, "metrics": metrics}
        put_json({"type": "demo_result", **result, "samples": samples, "commands": commands})
        return
    put("")
    put(
        _("Loss: {first:.3f} at the start, {last:.3f} at the end").format(
            first=metrics["first_loss"], last=metrics["loss"]
        )
    )
    for sample in samples[:1]:
        put(_("A question that was not trained on: {text}").format(text=sample["prompt"]))
        put(_("  answer before: {text}").format(text=sample["before"]))
        put(_("  answer after:  {text}").format(text=sample["after"]))
        put(_("  in the data:   {text}").format(text=sample["reference"]))
    for line in read_outcome(layout, state).places if state else ():
        put(line)
    put(_("The same by hand, in {project}:").format(project=layout.project))
    for command in commands:
        put(f"  {command}")
