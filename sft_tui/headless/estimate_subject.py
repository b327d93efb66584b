"""What `sft-tui estimate` is asked about: a model with options, or the training that an answers file describes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.problems import refuse

if TYPE_CHECKING:
    from sft_tui.machine.gpus import Gpu
    from sft_tui.run.peaks import PeakFound

GIB = 2**30
_LARGEST_CARD_GIB = 4096.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A training to estimate, and the memory in bytes to judge it by (None: unknown), of `card` where it is one's here.

    `longest` is the longest sample in tokens, `lengths` some with it, `mean` their mean; None or () where the data is
    not known. `earlier` is what a run of the project needed.
    """

    name: str
    config: dict[str, Any]
    options: dict[str, Any]
    gpus: int
    limit_bytes: int | None
    card: Gpu | None
    lengths: tuple[int, ...] = ()
    mean: float | None = None
    samples: int | None = None
    earlier: PeakFound | None = None

    @property
    def longest(self) -> int | None:
        """The longest sample in tokens, where it is known."""
        return max(self.lengths) if self.lengths else None


def is_answers(text: str) -> bool:
    """Whether `text` names an answers file, not a model."""
    path = Path(text)
    return path.suffix.lower() in (".yaml", ".yml") and path.is_file()


def subject_of(args: argparse.Namespace, given: dict[str, Any]) -> Subject:
    """What the arguments ask about, with `given` options on top. Raises `Refusal` (exit 2)."""
    preset = _preset_options(args.preset)
    if is_answers(args.model):
        return _of_answers(args, preset | given)
    from sft_tui.factory.train_config import guide_defaults
    from sft_tui.memory import find_config

    config = find_config(args.model)
    options = {**guide_defaults(), **preset, **given}
    limit, card = _limit(args.gpu_memory)
    gpus = max(1, args.gpus or 1)
    earlier = _earlier(args.model, args.dir, options, gpus) if args.dir else None
    return Subject(args.model, config, options, gpus, limit, card, mean=None, samples=args.samples, earlier=earlier)


def _of_answers(args: argparse.Namespace, changes: dict[str, Any]) -> Subject:
    from sft_tui.answers import read_answers
    from sft_tui.memory.estimate import DRIVER_BYTES
    from sft_tui.plan import make_plan
    from sft_tui.plan.estimate import lengths_for, model_config
    from sft_tui.plan.options import training_rows
    from sft_tui.run.peaks import find_peak
    from sft_tui.situation import chosen_gpus, gather

    path = Path(args.model)
    answers = read_answers(path).require()
    situation = gather(answers, path, count_tokens=True)
    options = make_plan(answers, situation).train_options | changes
    config = model_config(situation)
    if config is None:
        message = _("The architecture of {model} is not known here.").format(model=answers.model.path)
        hint = _("Give a local directory, or estimate with the id of a known model.")
        raise refuse("unknown_model", message, key="model.path", hint=hint)
    cards = chosen_gpus(answers, situation.gpus)
    gpus = max(1, args.gpus or len(cards))
    limit, card = _limit(args.gpu_memory)
    if args.gpu_memory is None and cards:
        card = min(cards, key=lambda gpu: gpu.free_bytes)
        limit = card.free_bytes + DRIVER_BYTES
    lengths = lengths_for(situation, options)
    return Subject(
        situation.model.path,
        config,
        options,
        gpus,
        limit,
        card,
        lengths.known if lengths else (),
        lengths.mean if lengths else None,
        args.samples or training_rows(answers, situation.rows),
        find_peak(situation.peaks, situation.model.path, options, gpus),
    )


def _earlier(model: str, directory: str, options: dict[str, Any], gpus: int) -> PeakFound | None:
    """What an earlier run of the project in `directory` needed for `model`."""
    from sft_tui.run.peaks import find_peak, read_peaks
    from sft_tui.situation import portable

    project, path = Path(directory).expanduser().resolve(), Path(model).expanduser()
    if path.exists():
        place = path.resolve()
        model = portable(place.parent if place.is_file() else place, project)
    return find_peak(read_peaks(project), model, options, gpus)


def _preset_options(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    from sft_tui.presets import find_preset

    return find_preset(name).options_with(())


def _limit(text: str | None) -> tuple[int | None, Gpu | None]:
    """The memory to judge by, and the present card that it is of."""
    from sft_tui.machine.gpus import freest, read_gpus

    if text is None:
        cards = freest(read_gpus().gpus)
        return (cards[0].total_bytes or None, cards[0]) if cards else (None, None)
    try:
        gib = float(text.lower().removesuffix("gib").removesuffix("gb"))
    except ValueError:
        gib = -1.0
    if not 0 < gib <= _LARGEST_CARD_GIB:
        message = _("--gpu-memory is {value}, not a card's memory in GiB.").format(value=text)
        raise refuse("bad_gpu_memory", message, key="--gpu-memory")
    return int(gib * GIB), None
