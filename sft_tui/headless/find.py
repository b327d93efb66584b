"""Finding a run by its name, and what programs are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sft_tui.i18n import _
from sft_tui.problems import nearest, refuse
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.project.state import RunState, present_status, read_state
from sft_tui.run.adoption import looked_after
from sft_tui.view.outcome import exit_code_of


def find_project(given: Path) -> Path:
    """The project directory that was given. Raises `Refusal` (exit 2) where there is no such directory."""
    project = given.expanduser().resolve()
    if not project.is_dir():
        message = _("There is no directory {path}.").format(path=project)
        raise refuse("no_such_project", message, key="--dir", path=str(project))
    return project


def all_runs(project: Path) -> list[tuple[RunLayout, RunState]]:
    """The runs of a project that can be read, the newest first; what a lost supervisor has left is looked after."""
    found = [(layout, state) for layout in runs_of(project) if (state := read_state(layout)) is not None]
    return [(layout, looked_after(layout, state)) for layout, state in found]


def find_run(given: Path, name: str | None) -> tuple[RunLayout, RunState]:
    """The run `name`, or without a name the one that is on or else the newest. Raises `Refusal` (exit 2)."""
    project = find_project(given)
    runs = all_runs(project)
    found = [(layout, state) for layout, state in runs if name in (None, layout.name)]
    if found:
        return next((pair for pair in found if not present_status(pair[1]).final), found[0])
    if name is None:
        message = _("There are no runs in {project}.").format(project=project)
        raise refuse("no_runs", message, hint=_("Give the project directory with --dir."), path=str(project))
    names = [layout.name for layout, _state in runs]
    close = nearest(name, names) or names
    hint = _("Runs there: {names}").format(names=", ".join(close)) if close else _("Give the directory with --dir.")
    raise refuse("no_such_run", _("There is no run {run} in {project}.").format(run=name, project=project), hint=hint)


def run_as_json(layout: RunLayout, state: RunState) -> dict[str, Any]:
    """What programs are told of a run. `exit_code` is None while it is on."""
    status = present_status(state)
    return {
        "run": layout.name,
        "project": str(layout.project),
        "status": status.value,
        "stage": state.stage,
        "exit_code": exit_code_of(state) if status.final else None,
        "message": state.message,
        "created": state.created,
        "finished": state.finished,
        "model": state.model,
        "dataset": state.dataset,
        "parent": state.parent or None,
        "metrics": state.metrics,
        "stages": {name: stage.status.value for name, stage in state.stages.items()},
    }
