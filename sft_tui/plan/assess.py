"""What the answers amount to as they stand: the options and where each comes from, steps, memory, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.plan.length import RunLength
from sft_tui.plan.subject import USUAL_TOKENS
from sft_tui.problems import Problem, Refusal

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import GpuReport
    from sft_tui.memory import TimeEstimate
    from sft_tui.plan.context import Situation
    from sft_tui.plan.data_lengths import MeanTokens
    from sft_tui.plan.decide import Decisions
    from sft_tui.project.plan_record import Plan


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

        Takes some 10 ms; `deep` some seconds more where the samples' tokens were not counted yet, and up to 3 s where
        the model must be downloaded, since the hub is asked.
        """
        from sft_tui.answers import validate

        self._tokens = tokens
        problems, answers = validate(data)
        if answers is None:
            return self._assess_the_rest(data, answers_path, rows, tuple(problems))
        try:
            situation = self._gather(answers, answers_path, rows, deep)
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

    def _gather(self, answers: Answers, answers_path: Path, rows: int | None, deep: bool = False) -> Situation:
        from sft_tui.plan.context import gather

        named = answers.preset if "/" in answers.preset or "." in answers.preset else ""
        known = (answers.model, answers.data, answers.hardware, named, rows, self._tokens, deep)
        key = (answers.run, answers_path, *known)
        if self._situation is None or key != self._key:
            found = gather(answers, answers_path, fresh=True, rows=rows, count_tokens=deep)
            self._situation = replace(found, gpus=self._read_gpus()) if self._read_gpus is not None else found
            self._key = key
        return self._situation

    def _assess(self, answers: Answers, situation: Situation, deep: bool) -> Assessment:
        from sft_tui.plan.decide import decide
        from sft_tui.plan.make import make_plan

        base = decide(answers.model_copy(update={"train": {}}), situation, estimated=False)
        decided = decide(answers, situation)
        plan: Plan | None = None
        problems: list[Problem] = []
        try:
            plan = make_plan(answers, situation, decided)
            problems += plan.warnings
        except Refusal as refusal:
            problems += refusal.problems
        problems += _check(answers, situation, plan, decided, deep)
        tokens = self._mean_tokens(answers, decided)
        time, no_time = estimated_time(decided, tokens.mean if tokens else USUAL_TOKENS, situation.system.cpus)
        return Assessment(
            options=decided.options,
            origins=decided.origins,
            base=base.options,
            base_origins=base.origins,
            effective_batch=decided.effective_batch,
            length=decided.length,
            gpus=len(decided.cards),
            situation=situation,
            answers=answers,
            plan=plan,
            problems=tuple(_once(problems)),
            time=time,
            no_time=no_time,
            tokens=tokens,
        )

    def _mean_tokens(self, answers: Answers, decided: Decisions) -> MeanTokens | None:
        """Counted where they were, otherwise what the screens know of the same source."""
        from sft_tui.plan.data_lengths import MeanTokens

        source = answers.data.source
        if decided.lengths is not None and decided.lengths.mean is not None:
            return MeanTokens(source, decided.lengths.mean, True)
        return self._tokens if self._tokens is not None and self._tokens.source == source else None


def _check(answers: Answers, situation: Situation, plan: Plan | None, decided: Decisions, deep: bool) -> list[Problem]:
    from sft_tui.plan.preflight import check_options, preflight

    if plan is not None and deep:
        return preflight(answers, situation, plan, hub=True)
    return check_options(answers, situation, decided.options, decided.cards)


def estimated_time(decided: Decisions, mean_tokens: float, cpus: int) -> tuple[TimeEstimate | None, str]:
    """How long the training takes on its cards, or on the processor's cores, or why that is not known."""
    from sft_tui.memory import estimate_time

    if not decided.length.rows:
        return None, _("it depends on the rows, which are not counted yet")
    if decided.config is None:
        return None, _("the architecture of this model is not known here")
    name, rows = decided.cards[0].name if decided.cards else "", decided.length.rows
    try:
        found = estimate_time(
            decided.config,
            decided.options,
            samples=rows,
            mean_tokens=mean_tokens,
            gpu_name=name,
            gpus=max(len(decided.cards), 1),
            cpus=0 if decided.cards else cpus,
        )
    except Refusal:  # of values that the checks report
        return None, _("the settings have mistakes")
    if found.seconds_low is None:
        return None, _("the speed of {card} is not known here; the first steps will tell").format(card=name)
    return found, ""


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
