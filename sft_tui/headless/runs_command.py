"""`runs`, `attach`, `stop`, `resume`: looking after runs from any terminal."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from sft_tui.headless.output import duration, put, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, nearest, refuse
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.project.state import RunState, Status, present_status, read_state


def add_project(parser: argparse.ArgumentParser) -> None:
    """`--dir`: the project directory."""
    parser.add_argument("--dir", default=".", metavar="PROJECT", help=_("project directory (default: here)"))
    parser.add_argument("--json", action="store_true", help=_("result as JSON on stdout"))


def find_run(project: Path, name: str | None) -> tuple[RunLayout, RunState]:
    """The run `name`, or without a name the running or else the newest one. Raises `Refusal` (exit 2)."""
    project = project.expanduser().resolve()
    layouts = runs_of(project)
    if name is not None:
        layouts = [layout for layout in layouts if layout.name == name]
    found = [(layout, state) for layout in layouts if (state := read_state(layout)) is not None]
    if found:
        return next(((la, s) for la, s in found if present_status(s) is Status.RUNNING), found[0])
    if name is None:
        message = _("There are no runs in {project}.").format(project=project)
        raise refuse("no_runs", message, hint=_("Give the project directory with --dir."), path=str(project))
    names = [layout.name for layout in runs_of(project)]
    close = nearest(name, names) or names
    hint = _("Runs there: {names}").format(names=", ".join(close)) if close else _("Give the directory with --dir.")
    raise refuse("no_such_run", _("There is no run {run} in {project}.").format(run=name, project=project), hint=hint)


def run_as_json(layout: RunLayout, state: RunState) -> dict[str, Any]:
    """What `runs --json` says of one run."""
    return {
        "run": layout.name,
        "project": str(layout.project),
        "status": present_status(state).value,
        "stage": state.stage,
        "exit_code": state.exit_code,
        "message": state.message,
        "created": state.created,
        "finished": state.finished,
        "model": state.model,
        "dataset": state.dataset,
        "metrics": state.metrics,
        "stages": {name: stage.status.value for name, stage in state.stages.items()},
    }


def add_runs_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `runs`."""
    add_project(parser)


def run_runs(args: argparse.Namespace) -> int:
    """List the runs of a project, the newest first."""
    project = Path(args.dir).expanduser().resolve()
    found = [(layout, state) for layout in runs_of(project) if (state := read_state(layout)) is not None]
    if args.json:
        put_json([run_as_json(layout, state) for layout, state in found])
        return int(ExitCode.DONE)
    if not found:
        say(_("There are no runs in {project}.").format(project=project))
        return int(ExitCode.DONE)
    rows: list[tuple[str, ...]] = [(_("run"), _("status"), _("stage"), _("step"), _("loss"), _("started"))]
    rows += [_row(layout, state) for layout, state in found]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        put("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return int(ExitCode.DONE)


def status_word(status: Status) -> str:
    """A status in the user's language."""
    return {
        Status.PENDING: _("waiting"),
        Status.RUNNING: _("running"),
        Status.FINISHED: _("finished"),
        Status.FAILED: _("failed"),
        Status.STOPPED: _("stopped"),
        Status.LOST: _("interrupted"),
    }[status]


def _row(layout: RunLayout, state: RunState) -> tuple[str, ...]:
    metrics = state.metrics
    step = f"{metrics['step']:.0f}/{metrics.get('total_steps', 0):.0f}" if "step" in metrics else "-"
    loss = f"{metrics['loss']:.4f}" if "loss" in metrics else "-"
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.created))
    status, at = present_status(state), state.stages.get(state.stage or "")
    if status is Status.RUNNING and at is not None and at.status is Status.PENDING:
        status = Status.PENDING  # for GPU memory, or for its turn
    return layout.name, status_word(status), state.stage or "-", step, loss, started


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """A run's name, and the project's directory."""
    parser.add_argument("run", metavar="RUN", help=_("name of the run"))
    add_project(parser)


def add_attach_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `attach`."""
    parser.add_argument("run", metavar="RUN", nargs="?", help=_("name of the run (default: the one that is running)"))
    parser.add_argument("--plain", action="store_true", help=_("plain lines instead of the screen"))
    add_project(parser)


def run_attach(args: argparse.Namespace) -> int:
    """Show a run as it is and follow it to its end, in plain lines."""
    from sft_tui.headless.run_command import watch
    from sft_tui.project.events import EventReader

    layout, state = find_run(Path(args.dir), args.run)
    status = present_status(state)
    if status is Status.RUNNING:
        metrics = state.metrics
        if "step" in metrics and not args.json:
            text = _("{run}: {stage}, step {step}/{total}, loss {loss}")
            loss = f"{metrics['loss']:.4f}" if "loss" in metrics else "-"
            step, total = int(metrics["step"]), int(metrics.get("total_steps", 0))
            say(text.format(run=layout.name, stage=state.stage, step=step, total=total, loss=loss))
        return watch(layout, EventReader(layout.events, from_end=True), as_json=args.json)
    return show_ended(layout, state, as_json=args.json)


def show_ended(layout: RunLayout, state: RunState, *, as_json: bool) -> int:
    """Say how a run that no longer runs has ended; its exit code."""
    from sft_tui.headless.follow import summary

    status = present_status(state)
    if as_json:
        put_json(run_as_json(layout, state))
    took = duration(state.finished - state.created if state.finished else None)
    say(_("{run}: {status} ({time})").format(run=layout.name, status=status_word(status), time=took))
    if state.message:
        say(state.message)
    for line in summary(state, layout):
        say(line)
    if status is Status.LOST:
        say(_("Go on with: sft-tui resume {run}").format(run=layout.name))
    return int(state.exit_code or 0)


def add_stop_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stop`."""
    parser.add_argument("--now", action="store_true", help=_("do not save what was learned since the last checkpoint"))
    parser.add_argument("--wait", action="store_true", help=_("return when the run has ended"))
    add_run_argument(parser)


def run_stop(args: argparse.Namespace) -> int:
    """Ask a run to stop: at the next step with saving, or at once."""
    from sft_tui.project.requests import Request, RequestKind, leave_request

    layout, state = find_run(Path(args.dir), args.run)
    if present_status(state) is not Status.RUNNING:
        word = status_word(present_status(state))
        raise refuse("not_running", _("The run {run} does not run: {status}.").format(run=layout.name, status=word))
    if state.supervisor is None or not state.supervisor.alive():
        from sft_tui.run.lifecycle import launch

        launch(layout)
    leave_request(layout, Request(RequestKind.STOP_NOW if args.now else RequestKind.STOP))
    while args.wait and (latest := read_state(layout)) and present_status(latest) is Status.RUNNING:
        time.sleep(0.3)
    if args.json:
        put_json({"run": layout.name, "asked": "stop_now" if args.now else "stop"})
    if args.now:
        say(_("Asked {run} to stop now.").format(run=layout.name))
    else:
        say(_("Asked {run} to stop at the next step and save.").format(run=layout.name))
    return int(ExitCode.DONE)


def add_resume_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `resume`."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=_("change a training option"))
    parser.add_argument(
        "--from-start", action="store_true", help=_("train from the first step; keep the old one beside")
    )
    parser.add_argument(
        "--restart-on-crash", type=int, metavar="N", help=_("start a training that crashes again, N times at most")
    )
    parser.add_argument("--detach", action="store_true", help=_("start and return at once"))
    add_run_argument(parser)


def run_resume(args: argparse.Namespace) -> int:
    """Go on with a run that failed, was stopped or was interrupted."""
    from sft_tui.headless.follow import say_detached
    from sft_tui.headless.run_command import watch
    from sft_tui.project.events import EventReader
    from sft_tui.run.lifecycle import resume

    layout, state = find_run(Path(args.dir), args.run)
    if present_status(state) is Status.FINISHED and not args.set and not args.from_start:
        return show_ended(layout, state, as_json=args.json)
    reader = EventReader(layout.events, from_end=True)
    resume(
        layout,
        parse_settings(args.set) or None,
        from_start=args.from_start,
        restart_on_crash=args.restart_on_crash,
    )
    if args.detach:
        say_detached(layout)
        return int(ExitCode.DONE)
    return watch(layout, reader, as_json=args.json)


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """`key=value` words as options; values are read as YAML. Raises `Refusal` (exit 2)."""
    from sft_tui.yaml_io import parse_document

    values: dict[str, Any] = {}
    for word in settings:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise refuse("bad_setting", _("`{word}` is no KEY=VALUE.").format(word=word), key=word)
        document = parse_document(f"{key}: {text}")
        if document.problems:
            raise Refusal(document.problems)
        values |= document.data
    return values
