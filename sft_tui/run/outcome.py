"""Whether a stage has done its work, judged by its exit code and its proofs, and why not."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.failures import diagnose_file, gather_facts
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import PlannedStage
from sft_tui.project.state import StageState, Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage ended, and in a sentence why, where it did not finish.

    `exit_code` is what the run ends with where that is not the stage's usual one.
    """

    status: Status
    message: str | None = None
    exit_code: ExitCode | None = None


def proofs_exist(project: Path, planned: PlannedStage) -> bool:
    """Whether everything is there that a finished stage leaves."""
    return all(any(project.glob(pattern)) for pattern in planned.proofs)


def stage_is_done(layout: RunLayout, planned: PlannedStage, stage: StageState) -> bool:
    """Whether the stage need not be done again."""
    return stage.status is Status.FINISHED and proofs_exist(layout.project, planned)


def judge_stage(layout: RunLayout, planned: PlannedStage, stage: StageState, *, stopped: bool) -> Outcome:
    """How a stage has ended. `exit_code` None: it was adopted, and only its files can tell."""
    proven = proofs_exist(layout.project, planned)
    if stopped:
        return Outcome(Status.STOPPED, _stop_message(layout, planned, proven))
    if stage.exit_code == 0 and proven:
        return Outcome(Status.FINISHED)
    if stage.exit_code is None and proven and _written_since(layout.project, planned, stage.started or 0):
        return Outcome(Status.FINISHED)
    return Outcome(Status.FAILED, _failure_message(layout, planned, stage))


def _written_since(project: Path, planned: PlannedStage, started: float) -> bool:
    newest = [max((p.stat().st_mtime for p in project.glob(pattern)), default=0) for pattern in planned.proofs]
    return all(time >= started - 1 for time in newest)


def _stop_message(layout: RunLayout, planned: PlannedStage, proven: bool) -> str:
    if planned.name == "train" and proven:
        text = _("Stopped as asked. What was learned so far is saved in saves/{run}.")
        return text.format(run=layout.name)
    return _("Stopped as asked, during {stage}.").format(stage=planned.name)


def _failure_message(layout: RunLayout, planned: PlannedStage, stage: StageState) -> str:
    reason = _reason(planned, stage)
    text = {
        "convert": _("Converting the data failed: {reason}."),
        "train": _("Training failed: {reason}."),
        "export": _("Training succeeded, but the export failed: {reason}. The adapter is kept in saves/{run}."),
        "verify": _("The merged model in models/{run} did not pass verification: {reason}."),
    }[planned.name]
    if planned.name == "verify":
        reason = "; ".join(failed_checks(layout)) or reason
    return text.format(reason=reason, run=layout.name) + " " + _("The log is {path}.").format(path=planned.log)


def failed_checks(layout: RunLayout) -> list[str]:
    """What verification found wrong, a sentence each."""
    result = read_json(layout.verify_result)
    checks = result.get("checks", []) if isinstance(result, dict) else []
    return [str(c.get("message", c.get("name"))).rstrip(".") for c in checks if c.get("status") == "failed"]


def _reason(planned: PlannedStage, stage: StageState) -> str:
    code = stage.exit_code
    if code is None:
        return _("its process has ended without leaving a result")
    if code > 128:
        number = code - 128
        name = signal.Signals(number).name if number in list(signal.Signals) else str(number)
        return _("it was killed by signal {number} ({name})").format(number=number, name=name)
    if code:
        return _("it ended with exit code {code}").format(code=code)
    missing = ", ".join(planned.proofs)
    return _("it ended normally, but not all of this is there: {paths}").format(paths=missing)


def explain_failure(layout: RunLayout, planned: PlannedStage, stage: StageState) -> list[dict[str, Any]]:
    """Known causes for the failure of a stage, the most likely first; empty where none is known."""
    code = stage.exit_code
    code = 128 - code if code is not None and code > 128 else code
    pids = frozenset({stage.process.pid}) if stage.process else frozenset()
    log = layout.project / planned.log
    facts = gather_facts(
        exit_code=code, stage=planned.name, project=layout.project, pids=pids, since=stage.started, log=log
    )
    try:
        return [diagnosis.as_json() for diagnosis in diagnose_file(log, facts)]
    except Refusal:
        return []
