"""`sft-tui --non-interactive ANSWERS`: from the answers file to the merged model, followed by reading files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sft_tui.answers import Answers, read_answers
from sft_tui.factory import commands
from sft_tui.factory.checkpoints import find_checkpoints
from sft_tui.headless.follow import follow, say_detached, summary
from sft_tui.headless.output import put, put_json, say, show_problems
from sft_tui.i18n import _
from sft_tui.plan.context import Situation, gather
from sft_tui.plan.make import make_plan
from sft_tui.plan.preflight import preflight
from sft_tui.problems import ExitCode, Refusal, Severity, exit_code_for, refuse
from sft_tui.project.events import EventReader
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.project.state import RunState, Status, present_status, read_state
from sft_tui.run.lifecycle import read_plan, resume, start
from sft_tui.run.outcome import run_is_done
from sft_tui.units import GIB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the headless mode."""
    parser.add_argument("--dry-run", action="store_true", help=_("print what would be done, and do nothing"))
    parser.add_argument("--detach", action="store_true", help=_("start and return at once"))
    parser.add_argument("--fresh", action="store_true", help=_("start a new run beside an earlier one"))
    parser.add_argument("--force", action="store_true", help=_("start though the GPU memory seems too small"))
    parser.add_argument("--json", action="store_true", help=_("events on stdout, one JSON object a line"))


def run(args: argparse.Namespace) -> int:
    """Do what the answers file says. Raises `Refusal`."""
    path = Path(args.answers)
    file = read_answers(path)
    answers = file.require()
    situation = gather(answers, path, fresh=args.fresh, count_tokens=True)
    plan = make_plan(answers, situation)
    if args.dry_run:
        return _dry_run(answers, situation, plan, args)
    layout = RunLayout(situation.project, situation.run)
    state = read_state(layout)
    if state is None:
        return _start(answers, situation, plan, args)
    return _again(answers, situation, plan, layout, state, args)


def _dry_run(answers: Answers, situation: Situation, plan: Plan, args: argparse.Namespace) -> int:
    problems = [*plan.warnings, *preflight(answers, situation, plan)]
    if args.json:
        put_json({"plan": plan.as_json(), "problems": [p.as_json() for p in problems]})
    else:
        for file in plan.files:
            put(f"=== {file.path}")
            put(file.content)
        put(_("=== stages, in {project}").format(project=plan.project))
        for stage in plan.stages:
            put(f"{stage.name}: {stage.shown or ' '.join(stage.argv)}")
        for key, reason in plan.reasons.items():
            put(f"{key}: {_chosen(plan, key)} ({reason})")
        show_problems(problems)
    return int(exit_code_for(problems))


def _chosen(plan: Plan, key: str) -> object:
    """What was chosen for `key` of the plan's reasons, as text."""
    if key == "environment":
        return plan.environment["python"]
    if key == "estimate":
        return f"{plan.estimate.peak_bytes / GIB:.1f} GiB" if plan.estimate else _("unknown")
    return getattr(plan, key, "")


def _start(answers: Answers, situation: Situation, plan: Plan, args: argparse.Namespace) -> int:
    problems = [*plan.warnings, *preflight(answers, situation, plan, force=args.force, hub=True)]
    code = exit_code_for(problems)
    if code is not ExitCode.DONE:
        raise Refusal(problems, code)
    show_problems(problems)
    layout = RunLayout(situation.project, situation.run)
    reader = EventReader(layout.events, from_end=True)
    started = start(replace(plan, force=args.force), _another(answers, args) if answers.run.name is None else None)
    return _watch(started, reader if started == layout else EventReader(started.events), args)


def _another(answers: Answers, args: argparse.Namespace) -> Callable[[], Plan]:
    """The plan under another name, for a run whose name another start has taken at the same moment."""

    def plan() -> Plan:
        situation = gather(answers, Path(args.answers), fresh=True, count_tokens=True)
        return replace(make_plan(answers, situation), force=args.force)

    return plan


def _watch(layout: RunLayout, reader: EventReader, args: argparse.Namespace) -> int:
    if args.detach:
        if args.json:
            put_json({"run": layout.name, "project": str(layout.project)})
        say_detached(layout)
        return int(ExitCode.DONE)
    return watch(layout, reader, as_json=args.json)


def watch(layout: RunLayout, reader: EventReader, *, as_json: bool) -> int:
    """Follow a run to its end and say how it ended."""
    code = follow(layout, reader, as_json=as_json)
    state = read_state(layout)
    if state is not None and (code != ExitCode.INTERRUPTED or state.status is Status.STOPPED):
        if state.message:
            say(state.message)
        refused = code == ExitCode.PREFLIGHT and state.stage == "train"  # it was never started: there is no log of it
        if code not in (ExitCode.DONE, ExitCode.INTERRUPTED) and not refused:
            show_end_of_log(layout, state)
        if not as_json:
            for line in summary(state, layout):
                say(line)
        if code not in (ExitCode.DONE,):
            say(_("Go on with: sft-tui resume {run}").format(run=layout.name))
    return code


def show_end_of_log(layout: RunLayout, state: RunState, count: int = 15) -> None:
    """The last lines of the log of the stage that failed."""
    from sft_tui.view.log_file import LogFile

    if state.stage is None:
        return
    path = layout.stage_log(state.stage)
    say(_("The last lines of {path}:").format(path=path))
    with LogFile(path) as log:
        for line in log.tail(count):
            say(f"  | {line.text}")


def _again(
    answers: Answers, situation: Situation, plan: Plan, layout: RunLayout, state: RunState, args: argparse.Namespace
) -> int:
    """The run is there already: attach to it, say that it is done, go on with it, or refuse."""
    earlier = read_json(layout.plan)
    same = isinstance(earlier, dict) and earlier.get("answers_hash") == plan.answers_hash
    status = present_status(state)
    if status is Status.RUNNING:
        if not same:
            raise _conflict(layout, earlier, plan, running=True)
        say(_("The run {run} is running already; following it.").format(run=layout.name))
        return _watch(layout, EventReader(layout.events, from_end=True), args)
    if not same:
        if commands.has_weights(layout.save_dir) or find_checkpoints(layout.save_dir):
            raise _conflict(layout, earlier, plan, running=False)
        return _start(answers, situation, plan, args)
    kept = read_plan(layout)
    if status is Status.FINISHED and kept is not None and run_is_done(kept, state):
        text = _("The run {run} is finished; nothing to do. A new one beside it: --fresh")
        say(text.format(run=layout.name))
        if args.json:
            put_json({"type": "run_finished", "status": "finished", "exit_code": 0, "run": layout.name})
        for line in summary(state, layout):
            say(line)
        return int(ExitCode.DONE)
    if situation.environment is None:
        raise Refusal(
            [p for p in preflight(answers, situation, plan) if p.severity is Severity.ERROR], ExitCode.PREFLIGHT
        )
    say(_("Going on with the run {run}.").format(run=layout.name))
    reader = EventReader(layout.events, from_end=True)
    resume(layout, force=args.force)
    return _watch(layout, reader, args)


def _conflict(layout: RunLayout, earlier: object, plan: Plan, *, running: bool) -> Refusal:
    before = earlier.get("train_options", {}) if isinstance(earlier, dict) else {}
    changed = sorted(k for k in {*before, *plan.train_options} if before.get(k) != plan.train_options.get(k))
    what = _("is running") if running else _("exists")
    message = _("The run {run} {what} with other answers.").format(run=layout.name, what=what)
    if changed:
        message += " " + _("They differ in: {keys}.").format(keys=", ".join(changed[:8]))
    hint = _("`--fresh` starts a new run beside it, or give another `run.name`.")
    return refuse("run_exists", message, key="run.name", hint=hint, path=str(layout.run_dir))
