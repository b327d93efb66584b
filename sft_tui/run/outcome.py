"""Whether a stage has done its work, judged by its exit code and its proofs, and why not."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.checkpoints import find_checkpoints, steps_trained, trained_to_the_end, weights_fault
from sft_tui.factory.commands import MODELFILE, has_weights
from sft_tui.factory.failures import diagnose_file, gather_facts
from sft_tui.factory.verified import verified_text
from sft_tui.i18n import _
from sft_tui.plan.inputs import made_from
from sft_tui.problems import ExitCode, Refusal
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan, PlannedStage
from sft_tui.project.state import RunState, StageState, Status


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


def stage_is_done(plan: Plan, planned: PlannedStage, stage: StageState) -> bool:
    """Whether the stage need not be done again: finished, its files there, made from what it would be made from now.

    Nobody can make it anew of a source that is gone, and nobody knows what earlier versions made theirs from.
    """
    if stage.status is not Status.FINISHED or not proofs_exist(Path(plan.project), planned):
        return False
    now = made_from(plan, planned.name) if stage.made_from else ""
    return now in ("", stage.made_from)


def run_is_done(plan: Plan, state: RunState) -> bool:
    """Whether nothing of the run need be done again."""
    return all(stage_is_done(plan, planned, state.stages.get(planned.name, StageState())) for planned in plan.stages)


def judge_stage(layout: RunLayout, plan: Plan, planned: PlannedStage, stage: StageState, *, stopped: bool) -> Outcome:
    """How a stage has ended. `exit_code` None: nobody saw its end, and only its files can tell.

    A stage that was `stopped` when all its work was done has finished all the same.
    """
    fault = _fault(layout, plan, planned, stage)
    if fault is None:
        return Outcome(Status.FINISHED)
    if stopped:
        return Outcome(Status.STOPPED, _stop_message(layout, planned))
    return Outcome(Status.FAILED, _failure_message(layout, planned, stage, fault))


def _fault(layout: RunLayout, plan: Plan, planned: PlannedStage, stage: StageState) -> str | None:
    """What keeps the stage from having finished, in words; None where it has."""
    if stage.exit_code:
        return _exit_text(stage.exit_code)
    proofs = planned.proofs
    if stage.exit_code is None:
        unseen = _("its process has ended without leaving a result")
        if planned.name == "export":
            proofs = (*proofs, f"models/{layout.name}/{MODELFILE}")  # the last that is written
        if not _written_since(layout.project, proofs, stage.started or 0):
            return unseen
        if planned.name == "verify" and not (read_json(layout.verify_result) or {}).get("ok"):
            return unseen
    if not proofs_exist(layout.project, planned):
        return _("it ended normally, but not all of this is there: {paths}").format(paths=", ".join(proofs))
    folder = {"train": layout.save_dir, "export": layout.model_dir}.get(planned.name)
    torn = weights_fault(folder) if folder else None
    if torn is None and planned.name == "train" and not trained_to_the_end(layout.save_dir, plan.train_options):
        return _("it ended early, after step {step}").format(step=steps_trained(layout.save_dir))
    return torn


def _written_since(project: Path, proofs: Iterable[str], started: float) -> bool:
    newest = [max((p.stat().st_mtime for p in project.glob(pattern)), default=0) for pattern in proofs]
    return all(time >= started - 1 for time in newest)


def _stop_message(layout: RunLayout, planned: PlannedStage) -> str:
    if planned.name != "train":
        return _("Stopped as asked, during {stage}.").format(stage=planned.name)
    return _("Stopped as asked.") + " " + where_it_goes_on(layout)


def where_it_goes_on(layout: RunLayout) -> str:
    """In a sentence: at which step a training that is stopped now would go on."""
    found = [point for point in find_checkpoints(layout.save_dir) if point.fault is None]
    if found:
        text = _("sft-tui resume {run} goes on after step {step}, the last that was saved.")
        return text.format(run=layout.name, step=found[-1].step)
    if has_weights(layout.save_dir):
        text = _("There is no checkpoint: resuming starts from the first step. What was learned is in saves/{run}.")
        return text.format(run=layout.name)
    return _("There is no checkpoint yet: resuming starts from the first step.")


def _failure_message(layout: RunLayout, planned: PlannedStage, stage: StageState, reason: str) -> str:
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
    return [verified_text(c).rstrip(".。") for c in checks if c.get("status") == "failed"]


def _exit_text(code: int) -> str:
    if code > 128:
        number = code - 128
        name = signal.Signals(number).name if number in list(signal.Signals) else str(number)
        return _("it was killed by signal {number} ({name})").format(number=number, name=name)
    return _("it ended with exit code {code}").format(code=code)


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
