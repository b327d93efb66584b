"""What has to be there before a stage is started, once more or for the first time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sft_tui.factory import commands
from sft_tui.factory.trainer_log import read_metrics
from sft_tui.project.files import set_aside
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan, PlannedStage
from sft_tui.project.state import RunState, StageState
from sft_tui.run.verification import write_verify_spec


@dataclass(frozen=True, slots=True)
class Attempt:
    """The command of one attempt. `kept` is where an adapter was put that the attempt would have deleted."""

    argv: tuple[str, ...]
    kept: Path | None = None


def prepare_attempt(
    layout: RunLayout, plan: Plan, planned: PlannedStage, state: RunState, stage: StageState
) -> Attempt:
    """Make room for an attempt at a stage: its log is its own, and nothing that was learned is deleted."""
    layout.log_dir.mkdir(parents=True, exist_ok=True)
    _put_log_away(layout.project / planned.log, stage.attempt)
    if planned.name == "verify":
        layout.verify_result.unlink(missing_ok=True)
        write_verify_spec(layout, plan)
    if planned.name != "train":
        return Attempt(planned.argv)
    overrides = commands.resume_overrides(layout.save_dir, layout.project)
    if overrides:
        stage.lines_read = len(read_metrics(layout.save_dir / commands.TRAINER_LOG))
        return Attempt((*planned.argv, *(f"{key}={value}" for key, value in overrides.items())))
    stage.lines_read = 0
    state.metrics = {}
    kept = set_aside(layout.save_dir) if commands.has_weights(layout.save_dir) else None
    return Attempt(planned.argv, kept)


def _put_log_away(log: Path, attempts: int) -> None:
    """Keep the log of the last of `attempts` as `train.1.log`, so that a failure is looked for in its own log."""
    if attempts and log.exists():
        log.replace(log.with_name(f"{log.stem}.{attempts}{log.suffix}"))
