"""`sft-tui estimate ANSWERS --measure`: three real steps on the longest samples, against the estimate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.plan.subject import changed_answers, is_answers
from sft_tui.problems import ExitCode, Refusal, refuse
from sft_tui.run.trial import TRIAL_STEPS, Trial, measure
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.headless.estimate_command import Request

_OF_THE_ESTIMATE = ("gpu_memory", "gpus", "samples", "tokens", "fit", "dir")
"""Options of `estimate` that say nothing of a real trial."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a trial showed. `estimate_bytes` and `measured_bytes` are of the card, None without one; `reserved_bytes`
    is PyTorch's part of it; `memory_bytes` is of the main memory.
    """

    estimate_bytes: int | None
    margin: float | None
    measured_bytes: int | None
    reserved_bytes: int | None
    memory_bytes: int | None
    gpus: tuple[int, ...]
    seconds: float

    @property
    def error(self) -> float | None:
        """How much more than measured was estimated, as a share of what was measured."""
        if not self.estimate_bytes or not self.measured_bytes:
            return None
        return (self.estimate_bytes - self.measured_bytes) / self.measured_bytes

    def as_json(self) -> dict[str, Any]:
        """The object for `--json`."""
        return {
            "estimate_bytes": self.estimate_bytes,
            "measured_bytes": self.measured_bytes,
            "reserved_bytes": self.reserved_bytes,
            "memory_bytes": self.memory_bytes,
            "error": self.error,
            "margin": self.margin,
            "gpus": list(self.gpus),
            "steps": TRIAL_STEPS,
            "seconds": round(self.seconds, 1),
        }


def run(request: Request) -> int:
    """Measure and print. Raises `Refusal`: exit 2 for answers, 3 without LLaMA-Factory or data, 4 where it fails."""
    from sft_tui.plan.context import gather
    from sft_tui.plan.make import make_plan
    from sft_tui.plan.settings import parse_settings

    path = Path(request.model)
    if not is_answers(request.model):
        message = _("{path} is no answers file: a measurement needs the data that the training will see.")
        hint = "sft-tui estimate answers.yaml --measure"
        raise refuse("no_answers", message.format(path=request.model), key="--measure", hint=hint)
    for option in _OF_THE_ESTIMATE:
        if getattr(request, option) not in (None, False):
            name = f"--{option.replace('_', '-')}"
            raise refuse("usage", _("{option} does not go with --measure.").format(option=name), key=name)
    answers = changed_answers(path, request.preset, parse_settings(request.set))
    situation = gather(answers, path, count_tokens=True)
    plan = make_plan(answers, situation)
    if situation.environment is None:
        message = _("LLaMA-Factory was not found. Looked at: {places}.")
        text = message.format(places="; ".join(situation.search.looked_at))
        raise refuse("no_environment", text, exit_code=ExitCode.PREFLIGHT)
    if not plan.gpus:
        reason = plan.reasons["gpus"].rstrip(".")
        say(_("No GPU is used ({reason}): only the main memory is measured.").format(reason=reason))
    with tempfile.TemporaryDirectory(prefix="sft-tui-measure-") as folder:
        say(_("Measuring {steps} steps; nothing of it is kept.").format(steps=TRIAL_STEPS))
        trial, reserved = measure(situation, plan, Path(folder))
        if trial.exit_code != 0 or trial.too_slow:
            raise _failed(trial)
    need = plan.estimate
    found = Measurement(
        need.peak_bytes if need else None,
        need.margin if need else None,
        trial.peak_bytes,
        reserved,
        trial.memory_bytes,
        plan.gpus,
        trial.seconds,
    )
    if request.json:
        put_json(found.as_json())
        return int(ExitCode.DONE)
    for line in _lines(found):
        put(line)
    return int(ExitCode.DONE)


def _lines(found: Measurement) -> Iterator[str]:
    steps = _("{steps} steps on the longest samples").format(steps=TRIAL_STEPS)
    memory = _gib(found.memory_bytes)
    if not found.gpus:
        yield _("measured:  {size} of main memory ({steps})").format(size=memory, steps=steps)
        yield _("what a GPU would need says: sft-tui estimate MODEL")
        return
    yield _("estimated: {size}").format(size=_gib(found.estimate_bytes))
    text = _("measured:  {size} on the card ({steps}), and {memory} of main memory")
    yield text.format(size=_gib(found.measured_bytes), steps=steps, memory=memory)
    if found.reserved_bytes:
        yield "           " + _("{size} of it are PyTorch's").format(size=_gib(found.reserved_bytes))
    if found.error is not None:
        text = _("the estimate is off by {error} (up to {margin} was expected)")
        yield text.format(error=f"{found.error:+.1%}", margin=f"{found.margin or 0:.0%}")


def _gib(size: int | None) -> str:
    return "?" if size is None else f"{size / GIB:.2f} GiB"


def _failed(trial: Trial) -> Refusal:
    """Why there is no measurement (exit 4), after the log's end and its likely cause are told."""
    from sft_tui.factory.failures import diagnose_file, gather_facts

    if trial.too_slow:
        text = _("The trial was ended: {steps} steps took more than {minutes} minutes.")
        text = text.format(steps=TRIAL_STEPS, minutes=round(trial.seconds / 60))
        return refuse("trial_too_slow", text, exit_code=ExitCode.TRAIN)
    facts = gather_facts(exit_code=trial.exit_code, stage="train", log=trial.log)
    for diagnosis in diagnose_file(trial.log, facts)[:1]:
        data: dict[str, Any] = diagnosis.as_json()
        say(_("cause: {title}").format(title=data["title"]))
        say(f"  {data['cause']}")
    for line in trial.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]:
        say(f"  | {line}")
    text = _("The trial ended with exit code {code}.").format(code=trial.exit_code)
    return refuse("trial_failed", text, exit_code=ExitCode.TRAIN)
