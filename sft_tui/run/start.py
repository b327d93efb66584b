"""Starting and resuming runs: the plan's files on the disk, then a supervisor that nobody has to wait for."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft_tui.factory import commands
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.files import open_append, read_json, set_aside, write_atomically, write_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.project.requests import clear_requests
from sft_tui.project.state import RunState, StageState, Status, present_status, read_state, write_state

_PATIENCE_S = 20.0
RESHAPING = frozenset(
    {
        "finetuning_type",
        "lora_rank",
        "lora_alpha",
        "lora_target",
        "use_dora",
        "use_rslora",
        "quantization_bit",
        "additional_target",
        "deepspeed",
    }
)
"""Options that make the checkpoints of an earlier attempt useless."""


def start(plan: Plan) -> RunLayout:
    """Write the plan's files and launch the run. Raises `Refusal` (exit 3); then nothing new is on the disk."""
    layout = RunLayout(Path(plan.project), plan.run)
    previous = read_state(layout)
    if previous is not None and present_status(previous) is Status.RUNNING:
        raise refuse("already_running", _("The run {run} is running already.").format(run=plan.run), key="run.name")
    write_plan(layout, plan)
    stages = previous.stages if previous else {}
    state = RunState(plan.run, created=time.time(), model=plan.model, dataset=plan.dataset)
    state.stages = {s.name: stages.get(s.name, StageState()) for s in plan.stages}
    write_state(layout, state)
    launch(layout)
    return layout


def write_plan(layout: RunLayout, plan: Plan) -> None:
    """Write the plan and its files; on failure take back what was new. Raises `Refusal` (exit 3)."""
    contents = {layout.project / file.path: file.content for file in plan.files}
    new_files = [path for path in (*contents, layout.plan) if not path.exists()]
    new_dirs = _missing_dirs((*new_files, layout.log_dir / "x", layout.requests / "x"))
    try:
        for path, content in contents.items():
            write_atomically(path, content, private=path == layout.answers, follow=False)
        write_json(layout.plan, plan.as_json(), private=True, follow=False)
        layout.log_dir.mkdir(parents=True, exist_ok=True)
        layout.requests.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        for path in new_files:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for directory in new_dirs:
            with contextlib.suppress(OSError):
                directory.rmdir()
        message = _("The project directory {path} cannot be written: {reason}.")
        hint = _("Free space or choose another directory with `run.dir`.")
        text = message.format(path=layout.project, reason=error.strerror or error)
        raise refuse(
            "project_not_writable",
            text,
            key="run.dir",
            hint=hint,
            path=str(layout.project),
            exit_code=ExitCode.PREFLIGHT,
        ) from error


def _missing_dirs(paths: tuple[Path, ...]) -> list[Path]:
    """Directories that will have to be made for `paths`, the deepest first."""
    missing = {parent for path in paths for parent in path.parents if not parent.exists()}
    return sorted(missing, key=lambda p: len(p.parts), reverse=True)


def launch(layout: RunLayout) -> None:
    """Start a supervisor for the run, in a session of its own, and wait until it has taken over (a second or so)."""
    clear_requests(layout)
    earlier = read_state(layout)
    before = earlier.updated if earlier else 0.0
    with _supervisor_log(layout) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sft_tui.run.supervisor", str(layout.run_dir)],
            cwd=layout.project,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        state = read_state(layout)
        if state is not None and state.supervisor is not None and state.updated > before:
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    message = _("The supervisor of {run} did not start; see {path}.").format(
        run=layout.name, path=layout.supervisor_log
    )
    raise refuse("supervisor_failed", message, path=str(layout.supervisor_log), exit_code=ExitCode.PREFLIGHT)


def _supervisor_log(layout: RunLayout) -> io.FileIO:
    try:
        return open_append(layout.supervisor_log)
    except OSError as error:
        message = _("{path} cannot be written: {reason}.")
        text = message.format(path=layout.supervisor_log, reason=error.strerror or error)
        raise refuse(
            "project_not_writable", text, path=str(layout.supervisor_log), exit_code=ExitCode.PREFLIGHT
        ) from error


def resume(layout: RunLayout, changes: dict[str, Any] | None = None, *, force: bool = False) -> None:
    """Go on with a run at the first stage without its proof; a trainer that still runs is adopted.

    `changes` are training options to set, None to remove one: the run is planned anew with them. `force` starts it
    though the GPU memory seems too small. Raises `Refusal`.
    """
    state = read_state(layout)
    if state is None:
        raise refuse("no_such_run", _("There is no run {run}.").format(run=layout.name))
    if state.supervisor is not None and state.supervisor.may_live():
        raise refuse("already_running", _("The run {run} is running already.").format(run=layout.name))
    if changes:
        _replan(layout, state, changes)
    plan = read_json(layout.plan) if force else None
    if isinstance(plan, dict):
        write_json(layout.plan, {**plan, "force": True}, private=True, follow=False)
    launch(layout)


def _replan(layout: RunLayout, state: RunState, changes: dict[str, Any]) -> None:
    from sft_tui.answers import read_answers
    from sft_tui.plan.context import gather
    from sft_tui.plan.make import make_plan

    answers = read_answers(layout.answers).require()
    train = {**answers.train, **changes}
    train = {key: value for key, value in train.items() if not (key in changes and value is None)}
    changed = answers.model_copy(update={"train": train})
    earlier = read_json(layout.plan)
    force = isinstance(earlier, dict) and earlier.get("force") is True
    plan = replace(make_plan(changed, gather(changed, layout.answers, count_tokens=True)), force=force)
    write_plan(layout, plan)
    state.metrics.pop("gpu_peak_bytes", None)
    if RESHAPING & set(changes) and commands.checkpoints(layout.save_dir):
        set_aside(layout.save_dir)
    for name in ("train", "export", "verify"):
        if name in state.stages and state.stages[name].status is not Status.FINISHED:
            state.stages[name].status = Status.PENDING
    write_state(layout, state)
