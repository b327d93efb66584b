"""`sft-tui runs`: the runs of a project."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_project
from sft_tui.headless.find import all_runs, find_project, run_as_json
from sft_tui.headless.output import put_json, put_table, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, present_status
from sft_tui.view.outcome import status_word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `runs`."""
    add_project(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Whose runs."""

    dir: Path
    json: bool


def run(request: Request) -> int:
    """List the runs of a project, the newest first."""
    project = find_project(request.dir)
    found = all_runs(project)
    if request.json:
        put_json([run_as_json(layout, state) for layout, state in found])
    elif not found:
        say(_("There are no runs in {project}.").format(project=project))
    else:
        titles = (_("run"), _("status"), _("stage"), _("step"), _("loss"), _("started"))
        put_table([titles, *(_row(layout, state) for layout, state in found)])
    return int(ExitCode.DONE)


def _row(layout: RunLayout, state: RunState) -> tuple[str, ...]:
    metrics = state.metrics
    step = f"{metrics['step']:.0f}/{metrics.get('total_steps', 0):.0f}" if "step" in metrics else "-"
    loss = f"{metrics['loss']:.4f}" if "loss" in metrics else "-"
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.created))
    return layout.name, status_word(present_status(state)), state.stage or "-", step, loss, started
