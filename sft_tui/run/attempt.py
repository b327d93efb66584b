"""What has to be there before a stage is started, once more or for the first time, and what is put back if it fails."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sft_tui.factory import commands
from sft_tui.factory.checkpoints import Checkpoint, find_checkpoints
from sft_tui.factory.trainer_log import read_metrics
from sft_tui.i18n import _
from sft_tui.plan.inputs import differing, digest
from sft_tui.project.events import append_whole
from sft_tui.project.files import free_beside, set_aside
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan, PlannedStage
from sft_tui.project.state import RunState, StageState, Status
from sft_tui.run.verification import write_verify_spec


@dataclass(slots=True)
class Attempt:
    """The command of one attempt. `notes` say what was put aside for it, each with an id.

    `from_step` is the step of the checkpoint that it goes on from.
    """

    argv: tuple[str, ...]
    notes: list[tuple[str, str]] = field(default_factory=list)
    from_step: int | None = None


def prepare_attempt(
    layout: RunLayout, plan: Plan, planned: PlannedStage, state: RunState, parts: Mapping[str, str]
) -> Attempt:
    """Make room for an attempt at a stage that is made from `parts`: its log is its own, what was learned is kept, and
    what later stages made of it before cannot be taken for theirs. Raises `OSError`.
    """
    layout.log_dir.mkdir(parents=True, exist_ok=True)
    stage, attempt = state.stages[planned.name], Attempt(planned.argv)
    _put_log_away(layout.project / planned.log, stage.attempt)
    layout.verify_result.unlink(missing_ok=True)
    if planned.name == "train":
        _prepare_training(layout, plan, state, parts, attempt)
    elif planned.name == "export":
        _make_way_for_model(layout, stage)
    elif planned.name == "verify":
        write_verify_spec(layout, plan)
    return attempt


def settle_export(layout: RunLayout, plan: Plan, *, started: bool, finished: bool) -> None:
    """After an export: give up the model that the new one replaces, or bring it back where there is no new one.

    Where the export was not even `started`, what is there is no half of a new one.
    """
    old = _replaced(layout)
    if not finished:
        if started or old.exists():
            shutil.rmtree(layout.model_dir, ignore_errors=True)
        if old.exists():
            old.rename(layout.model_dir)
    elif old.exists() and plan.overwrite_model:
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():
        old.rename(free_beside(layout.model_dir))


def _prepare_training(
    layout: RunLayout, plan: Plan, state: RunState, parts: Mapping[str, str], attempt: Attempt
) -> None:
    stage = state.stages["train"]
    if layout.model_dir.is_dir() and any(layout.model_dir.iterdir()):
        kept = set_aside(layout.model_dir)
        text = _("The merged model that was there is kept in {path}.")
        attempt.notes.append(("model_kept", text.format(path=_shown(layout, kept))))
    found = find_checkpoints(layout.save_dir)
    whole = [point for point in found if point.fault is None]
    if whole and _goes_on(whole[-1], plan, stage, parts):
        for torn in (point for point in found if point.fault is not None):
            torn.path.rename(torn.path.with_name(f"torn-{torn.path.name}"))
            text = _("Checkpoint {step} is not whole: {fault}. It was put aside; the training goes on from {other}.")
            text = text.format(step=torn.step, fault=torn.fault, other=whole[-1].step)
            attempt.notes.append(("checkpoint_torn", text))
        attempt.argv = (*attempt.argv, *commands.resume_words(whole[-1].path, layout.project))
        attempt.from_step = whole[-1].step
        log = layout.save_dir / commands.TRAINER_LOG
        if log.exists():
            append_whole(log, b"")  # the trainer would go on in the middle of a line
        stage.lines_read = min(stage.lines_read, len(read_metrics(log)))  # what nobody was told will be told
        return
    stage.lines_read, state.metrics = 0, {}
    if found or commands.has_weights(layout.save_dir):
        kept = set_aside(layout.save_dir)
        text = _("The training starts from its first step. What was trained before is kept in {path}.")
        attempt.notes.append(("adapter_kept", text.format(path=_shown(layout, kept))))
    (layout.save_dir / commands.TRAINER_LOG).unlink(missing_ok=True)  # it is in the events, and not of this attempt


def _goes_on(point: Checkpoint, plan: Plan, stage: StageState, parts: Mapping[str, str]) -> bool:
    """Whether a training made from `parts` may go on from a checkpoint of the stage's last attempt.

    At its end there is nothing left to learn from other options: then only the same training may take it up.
    """
    if differing(stage.parts, parts):
        return False
    left = point.leaves(plan.train_options)
    return left > 0.001 or (left > -0.001 and stage.made_from in ("", digest(parts)))


def _make_way_for_model(layout: RunLayout, stage: StageState) -> None:
    """Keep the merged model that is there aside until the new one is; half of one, left by a lost attempt, goes."""
    if _replaced(layout).exists() or stage.status is Status.RUNNING:
        shutil.rmtree(layout.model_dir, ignore_errors=True)
    elif layout.model_dir.exists():
        layout.model_dir.rename(_replaced(layout))


def _replaced(layout: RunLayout) -> Path:
    return layout.model_dir.with_name(f".{layout.name}.replaced")


def _shown(layout: RunLayout, path: Path) -> str:
    return path.relative_to(layout.project).as_posix()


def _put_log_away(log: Path, attempts: int) -> None:
    """Keep the log of the last of `attempts` as `train.1.log`, so that a failure is looked for in its own log."""
    if attempts and log.exists():
        log.replace(log.with_name(f"{log.stem}.{attempts}{log.suffix}"))
