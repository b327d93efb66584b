"""`sft-tui estimate ANSWERS --measure`: three real steps on the longest samples, against the estimate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.plan.subject import changed_answers, is_answers
from sft_tui.problems import ExitCode, Refusal, refuse
from sft_tui.run.measure import TRIAL_STEPS, Trial, longest, run_trial, trial_options, trial_rows
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.headless.estimate_command import Request
    from sft_tui.plan.context import Situation
    from sft_tui.project.plan_record import Plan

_OF_THE_ESTIMATE = ("gpu_memory", "gpus", "samples", "tokens", "fit", "dir")
"""Options of `estimate` that say nothing of a real trial."""
_LEFT_OUT = ("LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR", "TENSORBOARD_LOGGING_DIR", "CUDA_VISIBLE_DEVICES")


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
        trial, reserved = _measure(situation, plan, Path(folder))
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


def _measure(situation: Situation, plan: Plan, folder: Path) -> tuple[Trial, int | None]:
    """Convert the data into `folder`, train on its longest rows there; the trial and PyTorch's peak in bytes."""
    from sft_tui.factory import commands
    from sft_tui.factory.train_config import render_train_config
    from sft_tui.factory.trainer_log import read_metrics
    from sft_tui.machine.gpus import read_gpus
    from sft_tui.plan.gpu_headroom import cards_of

    say(_("Measuring {steps} steps; nothing of it is kept.").format(steps=TRIAL_STEPS))
    _longest_data(plan, situation, folder)
    options = trial_options(plan.train_options, "longest", folder, folder / "out")
    if situation.model.directory is not None:
        options["model_name_or_path"] = str(situation.model.directory)
    if options.get("deepspeed"):
        options["deepspeed"] = _deepspeed_here(plan, options["deepspeed"], folder)
    config = folder / commands.TRAIN_CONFIG
    config.write_text(render_train_config(options, "measure"), encoding="utf-8")
    stage = plan.stage("train")
    env = {key: value for key, value in (stage.env if stage else {}).items() if key not in _LEFT_OUT}
    env["PATH"] = commands.search_path(plan.environment["python"])
    gpus = cards_of(plan, read_gpus())
    cli = tuple(plan.environment["cli"])
    trial = run_trial(commands.train_argv(cli, str(config)), folder, gpus, folder / "log", env=env)
    metrics = read_metrics(folder / "out" / commands.TRAINER_LOG)
    reserved = max((m.vram_reserved for m in metrics if m.vram_reserved), default=None)
    return trial, int(reserved * GIB) if reserved else None


def _deepspeed_here(plan: Plan, value: object, folder: Path) -> object:
    """`value` of `deepspeed` so that it is found from `folder`: the plan's own file is not written yet."""
    own = next((file for file in plan.files if file.path == value), None)
    if own is None:
        given = Path(plan.project) / str(value)
        return str(given) if isinstance(value, str) and given.is_file() else value
    path = folder / Path(own.path).name
    path.write_text(own.content, encoding="utf-8")
    return str(path)


def _longest_data(plan: Plan, situation: Situation, folder: Path) -> None:
    """The dataset `longest` in `folder`: the longest samples, as many as the steps take, repeated if need be."""
    from sft_tui.dataset import ConvertRequest
    from sft_tui.factory.dataset_info import entries_for, register
    from sft_tui.plan.conversion import convert_and_register, request_from_json

    request: ConvertRequest = request_from_json(plan.conversion, situation.project)
    result = convert_and_register(replace(request, out_dir=folder, name="all", test_size=0))
    wanted = trial_rows(plan.train_options) * max(1, len(plan.gpus))
    rows = longest(_lengths(result.train), wanted)
    if not rows:
        raise refuse("source_empty", _("The data has no row to measure with."), key="data.source")
    rows = (rows * (wanted // len(rows) + 1))[:wanted]
    train = folder / "longest_train.jsonl"
    train.write_bytes(b"".join(row.rstrip(b"\n") + b"\n" for row in rows))
    entries = entries_for("longest", replace(result, train=train, test=None, test_rows=0))
    register(folder, {name.removesuffix("_train"): entry for name, entry in entries.items()})


def _lengths(path: Path) -> Iterator[tuple[int, bytes]]:
    """Length in bytes and text of each line; lines of Chinese and of English need about as many tokens a byte."""
    with path.open("rb") as stream:
        for line in stream:
            yield len(line), line


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
