"""What the answers amount to as they stand: the options and where each comes from, steps, memory, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.plan.length import RunLength, run_length
from sft_tui.problems import Problem, Refusal

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu, GpuReport
    from sft_tui.memory import TimeEstimate
    from sft_tui.plan.context import Situation
    from sft_tui.plan.data_lengths import MeanTokens
    from sft_tui.project.plan_record import Plan


USUAL_TOKENS = 512.0
"""Tokens a sample where nobody has looked: the same as `sft-tui estimate` assumes."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """`options` are those of the training with `origins`; `base` is what they are where the user sets none.

    `length` and `effective_batch` are what is known yet; `plan` is None where there are errors.
    `time` rests on `tokens`, which are None where a usual length was assumed; `no_time` says why there is none.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    base_origins: Mapping[str, str] = field(default_factory=dict)
    effective_batch: int | None = None
    length: RunLength = field(default_factory=RunLength)
    gpus: int = 0
    situation: Situation | None = None
    answers: Answers | None = None
    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()
    time: TimeEstimate | None = None
    no_time: str = ""
    tokens: MeanTokens | None = None

    @property
    def errors(self) -> list[Problem]:
        """The problems that keep a run from starting."""
        return [p for p in self.problems if p.severity.value == "error"]


class Assessor:
    """Assesses a draft again and again; what was looked up on the machine is kept while it stays valid."""

    def __init__(self, read_gpus: Callable[[], GpuReport] | None = None) -> None:
        self._read_gpus = read_gpus
        self._key: tuple[Any, ...] = ()
        self._situation: Situation | None = None
        self._tokens: MeanTokens | None = None

    def assess(
        self,
        data: dict[str, Any],
        answers_path: Path,
        rows: int | None,
        *,
        deep: bool = False,
        tokens: MeanTokens | None = None,
    ) -> Assessment:
        """What `data` amounts to; with `deep` also everything that the preflight finds.

        Takes some 10 ms; `deep` up to 3 s more where the model must be downloaded, since the hub is asked.
        """
        from sft_tui.answers import validate

        self._tokens = tokens
        problems, answers = validate(data)
        if answers is None:
            return self._assess_the_rest(data, answers_path, rows, tuple(problems))
        try:
            situation = self._gather(answers, answers_path, rows)
        except Refusal as refusal:
            return Assessment(problems=refusal.problems, answers=answers)
        return self._assess(answers, situation, deep)

    def _assess_the_rest(
        self, data: dict[str, Any], answers_path: Path, rows: int | None, problems: tuple[Problem, ...]
    ) -> Assessment:
        """With answers that are no answers yet: what is known without those that are wrong."""
        from sft_tui.answers import validate

        sections = {(p.key or "").partition(".")[0] for p in problems}
        kept = {k: v for k, v in data.items() if k not in sections}
        _more, answers = validate(kept)
        if answers is None:
            return Assessment(problems=problems)
        try:
            situation = self._gather(answers, answers_path, rows)
        except Refusal:
            return Assessment(problems=problems)
        found = self._assess(answers, situation, False)
        return replace(found, problems=(*problems, *found.problems), plan=None)

    def _gather(self, answers: Answers, answers_path: Path, rows: int | None) -> Situation:
        from sft_tui.plan.context import gather

        key = (answers.run, answers.model, answers.data, answers.hardware, str(answers_path), rows, self._tokens)
        if self._situation is None or key != self._key:
            found = gather(answers, answers_path, fresh=True, rows=rows)
            self._situation = replace(found, gpus=self._read_gpus()) if self._read_gpus is not None else found
            self._key = key
        return self._situation

    def _assess(self, answers: Answers, situation: Situation, deep: bool) -> Assessment:
        from sft_tui.plan.context import chosen_gpus
        from sft_tui.plan.make import make_plan
        from sft_tui.plan.options import train_options

        base, base_origins = train_options(answers.model_copy(update={"train": {}}), situation)
        options, origins = train_options(answers, situation)
        cards = chosen_gpus(answers, situation.gpus)
        gpus = len(cards)
        length = run_length(answers, situation, options, gpus)
        plan: Plan | None = None
        problems: list[Problem] = []
        try:
            plan = make_plan(answers, situation)
            problems += plan.warnings
        except Refusal as refusal:
            problems += refusal.problems
        problems += self._check(answers, situation, plan, options, deep)
        tokens = self._mean_tokens(answers, situation, options)
        time, no_time = estimated_time(situation, options, cards, length.rows, tokens.mean if tokens else USUAL_TOKENS)
        return Assessment(
            options=options,
            origins=origins,
            base=base,
            base_origins=base_origins,
            effective_batch=_batch(options, gpus),
            length=length,
            gpus=gpus,
            situation=situation,
            answers=answers,
            plan=plan,
            problems=tuple(_once(problems)),
            time=time,
            no_time=no_time,
            tokens=tokens,
        )

    def _mean_tokens(self, answers: Answers, situation: Situation, options: dict[str, Any]) -> MeanTokens | None:
        """Counted where they were, otherwise what the screens know of the same source."""
        from sft_tui.plan.data_lengths import MeanTokens
        from sft_tui.plan.estimate import lengths_for

        lengths, source = lengths_for(situation, options), answers.data.source
        if lengths is not None and lengths.mean is not None:
            return MeanTokens(source, lengths.mean, True)
        return self._tokens if self._tokens is not None and self._tokens.source == source else None

    def _check(
        self, answers: Answers, situation: Situation, plan: Plan | None, options: dict[str, Any], deep: bool
    ) -> list[Problem]:
        if plan is not None and deep:
            from sft_tui.plan.preflight import preflight

            return preflight(answers, situation, plan, hub=True)
        from sft_tui.plan.preflight import check_options

        return check_options(answers, situation, options)


def estimated_time(
    situation: Situation, options: Mapping[str, Any], cards: tuple[Gpu, ...], rows: int | None, mean_tokens: float
) -> tuple[TimeEstimate | None, str]:
    """How long the training takes on `cards`, or why that is not known."""
    from sft_tui.memory import estimate_time
    from sft_tui.plan.estimate import model_config

    if not cards:
        return None, _("not estimated on the processor")
    if not rows:
        return None, _("it depends on the rows, which are not counted yet")
    config = model_config(situation)
    if config is None:
        return None, _("the architecture of this model is not known here")
    try:
        name = cards[0].name
        found = estimate_time(config, options, samples=rows, mean_tokens=mean_tokens, gpu_name=name, gpus=len(cards))
    except (Refusal, ValueError, TypeError, KeyError, ArithmeticError):  # values that the checks report
        return None, _("the settings have mistakes")
    if found.seconds_low is None:
        return None, _("the speed of {card} is not known here; the first steps will tell").format(card=name)
    return found, ""


def _batch(options: Mapping[str, Any], gpus: int) -> int | None:
    try:
        each = int(options["per_device_train_batch_size"]) * int(options["gradient_accumulation_steps"])
    except (KeyError, TypeError, ValueError):
        return None
    return each * max(gpus, 1)


def _once(problems: list[Problem]) -> list[Problem]:
    """Each problem once, in order; the preflight repeats the plan's warnings."""
    seen: set[tuple[str | None, str]] = set()
    out = []
    for problem in problems:
        key = (problem.key, problem.message)
        if key not in seen:
            seen.add(key)
            out.append(problem)
    return out
