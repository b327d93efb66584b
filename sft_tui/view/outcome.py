"""How a run stands and how it has ended: the one wording, and the one judgement, for both front ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sft_tui.factory.commands import has_weights, tensorboard_command
from sft_tui.i18n import N_, _
from sft_tui.problems import ExitCode
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState, Status, present_status

_STAGE_NAMES = {"convert": N_("convert"), "train": N_("train"), "export": N_("export"), "verify": N_("verify")}
_STATUS_WORDS = {
    "pending": N_("waiting"),
    "waiting": N_("waiting"),
    "running": N_("running"),
    "stopping": N_("stopping"),
    "finished": N_("finished"),
    "failed": N_("failed"),
    "stopped": N_("stopped"),
    "lost": N_("interrupted"),
}


def stage_name(name: str) -> str:
    """What a stage is called in the language of the user."""
    return _(_STAGE_NAMES.get(name, name))


def status_word(status: Status) -> str:
    """What a status is called in the language of the user."""
    return _(_STATUS_WORDS[status.value])


def exit_code_of(state: RunState) -> int:
    """What a command that waited for the run ends with: 0, why it failed, or 130 where it did not come to its end."""
    status = present_status(state)
    if status is Status.FINISHED:
        return int(ExitCode.DONE)
    if status is Status.FAILED:
        return int(state.exit_code or ExitCode.TRAIN)
    exported = status is Status.STOPPED and state.exit_code is not None  # what was asked for was done
    return int(state.exit_code or 0) if exported else int(ExitCode.INTERRUPTED)


def lacked_memory(status: Status, exit_code: int | None, stage: str | None) -> bool:
    """Whether the training was not started because the card's memory seemed too small."""
    return status is Status.FAILED and exit_code == ExitCode.PREFLIGHT and stage == "train"


def headline(run: str, status: Status, message: str | None, stage: str | None) -> str:
    """In a sentence, how a run stands: in its supervisor's words where there are some."""
    if status is Status.FINISHED:
        return _("The run {run} is finished.").format(run=run)
    if status is Status.LOST:
        return _(
            "Nothing of this run is at work any more: the machine was restarted, or its processes were killed. "
            "What was saved until then is there."
        )
    return message or _("{stage}: {status}").format(stage=stage_name(stage or run), status=status_word(status))


class Merged(StrEnum):
    """What there is of a merged model that belongs to the run's present adapter."""

    NONE = "none"
    UNCHECKED = "unchecked"
    PASSED = "passed"
    FAILED = "failed"


def merged_model(layout: RunLayout, state: RunState) -> Merged:
    """What there is of a merged model. A directory proves nothing: its export must have finished.

    A training that starts again makes the export before it pending.
    """

    def status(stage: str) -> Status:
        return state.stages.get(stage, StageState()).status

    if status("export") is not Status.FINISHED or not has_weights(layout.model_dir):
        return Merged.NONE
    return {Status.FINISHED: Merged.PASSED, Status.FAILED: Merged.FAILED}.get(status("verify"), Merged.UNCHECKED)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run stands, for people: a sentence, what was learned, what is where, and how to go on, a line each."""

    status: Status
    headline: str
    learned: tuple[str, ...]
    places: tuple[str, ...]
    ways: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it."""
        return (self.headline, *self.learned, *self.places, *self.ways)


def read_outcome(layout: RunLayout, state: RunState) -> RunOutcome:
    """Look at what came of a run."""
    status, merged = present_status(state), merged_model(layout, state)
    return RunOutcome(
        status,
        headline(layout.name, status, state.message, state.stage),
        (*_losses(state.metrics), *_answers(layout, merged)),
        _places(layout, merged),
        _ways(layout, state, status),
    )


def _losses(metrics: Mapping[str, float]) -> list[str]:
    lines = []
    for key, text in (
        ("loss", _("loss {first:.4f} -> {last:.4f}")),
        ("eval_loss", _("eval loss {first:.4f} -> {last:.4f}")),
    ):
        first, last = metrics.get(f"first_{key}"), metrics.get(key)
        if first is not None and last is not None:
            lines.append(text.format(first=first, last=last))
    return lines


def _answers(layout: RunLayout, merged: Merged) -> list[str]:
    """The first question that verification asked, and its answers before and after."""
    verified = read_json(layout.verify_result) if merged in (Merged.PASSED, Merged.FAILED) else None
    samples = verified.get("samples") if isinstance(verified, dict) else None
    if not isinstance(samples, list) or not samples or not isinstance(samples[0], dict):
        return []
    sample = samples[0]
    return [
        _("question: {text}").format(text=_one_line(sample.get("prompt"))),
        _("  before: {text}").format(text=_one_line(sample.get("before"))),
        _("  after:  {text}").format(text=_one_line(sample.get("after"))),
    ]


def _one_line(text: Any) -> str:
    return " ".join(str(text if text is not None else "-").split()) or "-"


def _places(layout: RunLayout, merged: Merged) -> tuple[str, ...]:
    texts = {
        Merged.PASSED: _("merged model: {path}"),
        Merged.UNCHECKED: _("merged model, not checked: {path}"),
        Merged.FAILED: _("merged model, which did not pass its checks: {path}"),
    }
    curves = tensorboard_command(layout.project, layout.name)
    last = (_("curves: {command} (in {project})").format(command=curves, project=layout.project),) if curves else ()
    if merged in texts:
        return (texts[merged].format(path=layout.model_dir), *last)
    if has_weights(layout.save_dir):
        return (_("adapter: {path}").format(path=layout.save_dir), *last)
    return last


def _ways(layout: RunLayout, state: RunState, status: Status) -> tuple[str, ...]:
    if not status.final or status is Status.FINISHED:
        return ()
    ways = [_("Go on with: sft-tui resume {run}").format(run=layout.name)]
    if lacked_memory(status, state.exit_code, state.stage):
        ways.append(_("Start all the same: sft-tui resume {run} --force").format(run=layout.name))
    return tuple(ways)
