"""`sft-tui --non-interactive ANSWERS`: from the answers file to the merged model, followed by reading files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sft_tui.answers import Answers
from sft_tui.factory import commands
from sft_tui.factory.checkpoints import find_checkpoints
from sft_tui.headless.follow import say_detached
from sft_tui.headless.narrator import end_as_json, say_where, watch
from sft_tui.headless.output import put, put_json, say, show_problems
from sft_tui.i18n import _
from sft_tui.plan.context import Situation, gather
from sft_tui.plan.download import fetch_sources
from sft_tui.plan.make import make_plan
from sft_tui.plan.preflight import preflight
from sft_tui.plan.settings import parse_settings
from sft_tui.plan.subject import changed_answers
from sft_tui.problems import ExitCode, Refusal, Severity, exit_code_for, refuse
from sft_tui.project.events import EventReader
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.project.state import RunState, Status, present_status, read_state
from sft_tui.run.lifecycle import ensure_supervised, read_plan, resume, start
from sft_tui.run.outcome import run_is_done
from sft_tui.units import GIB
from sft_tui.view.outcome import read_outcome


@dataclass(frozen=True, slots=True)
class Request:
    """What to do with an answers file."""

    answers: Path
    dry_run: bool = False
    detach: bool = False
    fresh: bool = False
    force: bool = False
    json: bool = False
    set: tuple[str, ...] = ()
    restart_on_crash: int | None = None


def run(request: Request) -> int:
    """Do what the answers file says. Raises `Refusal`."""
    looked = time.time()
    answers = changed_answers(request.answers, None, parse_settings(request.set))
    if not request.dry_run:
        fetch_sources(answers, (request.answers.parent / Path(answers.run.dir).expanduser()).absolute(), say)
    situation = gather(answers, request.answers, fresh=request.fresh, count_tokens=True)
    plan = make_plan(answers, situation)
    if request.dry_run:
        return _dry_run(answers, situation, plan, as_json=request.json)
    layout = RunLayout(situation.project, situation.run)
    ensure_supervised(layout)
    state = read_state(layout)
    if state is None or request.fresh:
        return _start(answers, situation, plan, request)
    never_started = state.status is Status.PENDING and state.supervisor is None
    taken = answers.run.name is None and state.created >= looked  # the name was free when it was chosen
    if never_started or taken:
        return _start(answers, situation, plan, request)
    return _again(answers, situation, plan, layout, state, request)


def _dry_run(answers: Answers, situation: Situation, plan: Plan, *, as_json: bool) -> int:
    problems = [*plan.warnings, *preflight(answers, situation, plan)]
    if as_json:
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


def _start(answers: Answers, situation: Situation, plan: Plan, request: Request) -> int:
    problems = [*plan.warnings, *preflight(answers, situation, plan, force=request.force, hub=True)]
    code = exit_code_for(problems)
    if code is not ExitCode.DONE:
        raise Refusal(problems, code)
    show_problems(problems)
    layout = RunLayout(situation.project, situation.run)
    reader = EventReader(layout.events, from_end=True)
    another = _another(answers, request) if answers.run.name is None or request.fresh else None
    started = start(_as_asked(plan, request), another)
    reader = reader if started == layout else EventReader(started.events)
    return follow_or_leave(started, reader, detach=request.detach, as_json=request.json)


def _another(answers: Answers, request: Request) -> Callable[[], Plan]:
    """The plan under another name, for a run whose name another start has taken at the same moment."""

    def plan() -> Plan:
        situation = gather(answers, request.answers, fresh=True, count_tokens=True)
        return _as_asked(make_plan(answers, situation), request)

    return plan


def _as_asked(plan: Plan, request: Request) -> Plan:
    return replace(plan, force=request.force, restart_on_crash=request.restart_on_crash or 0)


def follow_or_leave(layout: RunLayout, reader: EventReader, *, detach: bool, as_json: bool) -> int:
    """Follow what was started to its end, or leave it at once; the exit code."""
    if not detach:
        return watch(layout, reader, as_json=as_json)
    if as_json:
        put_json({"run": layout.name, "project": str(layout.project)})
    say_detached(layout)
    return int(ExitCode.DONE)


def join(layout: RunLayout, state: RunState, reader: EventReader, *, detach: bool, as_json: bool) -> int:
    """Follow a run that is on already; the exit code."""
    say(_("The run {run} is running already; following it.").format(run=layout.name))
    say_where(layout, state)
    return follow_or_leave(layout, reader, detach=detach, as_json=as_json)


def _again(
    answers: Answers, situation: Situation, plan: Plan, layout: RunLayout, state: RunState, request: Request
) -> int:
    """The run is there already: attach to it, say that it is done, go on with it, or refuse."""
    earlier = read_json(layout.plan)
    same = isinstance(earlier, dict) and earlier.get("answers_hash") == plan.answers_hash
    status = present_status(state)
    if not status.final:
        if not same:
            raise _conflict(layout, earlier, plan, running=True)
        reader = EventReader(layout.events, from_end=True)
        return join(layout, state, reader, detach=request.detach, as_json=request.json)
    if not same:
        if commands.has_weights(layout.save_dir) or find_checkpoints(layout.save_dir):
            raise _conflict(layout, earlier, plan, running=False)
        return _start(answers, situation, plan, request)
    kept = read_plan(layout)
    if status is Status.FINISHED and kept is not None and run_is_done(kept, state):
        text = _("The run {run} is finished; nothing to do. A new one beside it: --fresh")
        say(text.format(run=layout.name))
        if request.json:
            put_json({"type": "run_finished", **end_as_json(layout, state)})
        for line in read_outcome(layout, state).lines[1:]:
            say(line)
        return int(ExitCode.DONE)
    if situation.environment is None:
        raise Refusal(
            [p for p in preflight(answers, situation, plan) if p.severity is Severity.ERROR], ExitCode.PREFLIGHT
        )
    say(_("Going on with the run {run}.").format(run=layout.name))
    reader = EventReader(layout.events, from_end=True)
    resume(layout, force=request.force, restart_on_crash=request.restart_on_crash)
    return follow_or_leave(layout, reader, detach=request.detach, as_json=request.json)


def _conflict(layout: RunLayout, earlier: object, plan: Plan, *, running: bool) -> Refusal:
    before = earlier.get("train_options", {}) if isinstance(earlier, dict) else {}
    changed = sorted(k for k in {*before, *plan.train_options} if before.get(k) != plan.train_options.get(k))
    what = _("is running") if running else _("exists")
    message = _("The run {run} {what} with other answers.").format(run=layout.name, what=what)
    if changed:
        message += " " + _("They differ in: {keys}.").format(keys=", ".join(changed[:8]))
    hint = _("`--fresh` starts a new run beside it, or give another `run.name`.")
    return refuse("run_exists", message, key="run.name", hint=hint, path=str(layout.run_dir))
