"""What is decided about a run before its plan is written down: taken once, so that nothing tells it in two ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sft_tui.machine.gpus import Gpu, choose_cards
from sft_tui.plan.estimate import lengths_for, model_config, plan_estimate
from sft_tui.plan.length import RunLength, run_length
from sft_tui.plan.options import Choice, OptionOrigins, by_torchrun, choose, train_options, with_contents

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.plan.context import Situation
    from sft_tui.plan.data_lengths import DataLengths
    from sft_tui.project.plan_record import PlannedEstimate


@dataclass(frozen=True, slots=True)
class Decisions:
    """The `cards` of the training (none: the CPU), the preset `choice`, the training's `options` with their `origins`.

    `length` are its rows and steps, `lengths` those of the samples in tokens where they are known, `config` is the
    model's config.json where it is known. With `torchrun` that starts the processes. `estimate` is what each card needs
    with the `estimated_options`: the same with the content of files that they name.
    """

    cards: tuple[Gpu, ...]
    choice: Choice
    options: dict[str, Any]
    origins: OptionOrigins
    length: RunLength
    lengths: DataLengths | None
    config: Mapping[str, Any] | None
    torchrun: bool
    estimated_options: dict[str, Any]
    estimate: PlannedEstimate | None = None

    @property
    def effective_batch(self) -> int | None:
        """Samples of a step on all cards; None where the options do not tell."""
        each, times = (
            self.options.get(f"{key}") for key in ("per_device_train_batch_size", "gradient_accumulation_steps")
        )
        if not isinstance(each, int) or not isinstance(times, int):
            return None
        return each * times * max(len(self.cards), 1)


def decide(answers: Answers, situation: Situation, *, estimated: bool = True) -> Decisions:
    """All decisions about a run of `answers`; the memory is left out where it is not `estimated`, which takes 50 ms."""
    cards = choose_cards(answers.hardware.gpus, situation.gpus.gpus)
    choice = choose(answers, situation, cards)
    options, origins = train_options(answers, situation, cards, choice)
    lengths, config = lengths_for(situation, options), model_config(situation)
    inside = with_contents(options, situation.places, situation.run)
    need = plan_estimate(config, inside, cards, lengths, situation.packages) if estimated else None
    return Decisions(
        cards=cards,
        choice=choice,
        options=options,
        origins=origins,
        length=run_length(answers, situation, options, len(cards)),
        lengths=lengths,
        config=config,
        torchrun=by_torchrun(answers, options, len(cards)),
        estimated_options=inside,
        estimate=need,
    )
