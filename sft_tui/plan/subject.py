"""What `sft-tui estimate` is asked about, and its answer: of a model with options, a train YAML or an answers file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.machine.gpus import DRIVER_BYTES, Gpu, GpuReport
from sft_tui.presets import find_preset, load_presets
from sft_tui.problems import ExitCode, refuse
from sft_tui.units import GIB
from sft_tui.yaml_io import read_document

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.memory import Estimate, Fit, FittedOptions, Suggestion, TimeEstimate
    from sft_tui.plan.peaks import PeakFound

USUAL_TOKENS = 512.0
"""Tokens a sample where nobody has looked."""
_LARGEST_CARD_GIB = 4096.0


@dataclass(frozen=True, slots=True)
class Question:
    """What `estimate` was asked about: `model` may be an answers file or a config, `dir` is a project with runs."""

    model: str
    preset: str | None = None
    gpu_memory: str | None = None
    gpus: int | None = None
    samples: int | None = None
    dir: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A training to estimate, and the memory in bytes to judge it by (None: unknown), of `card` where it is one's here.

    `need` is what each of `gpus` cards needs. `lengths` are those of some samples in tokens with the longest, `mean`
    their mean; () or None where the data is not known. `earlier` is what a run of the project needed.
    """

    name: str
    config: dict[str, Any]
    options: dict[str, Any]
    need: Estimate
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


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the subject fits, what would help where it does not, the options `fitted` if asked, and the time."""

    fit: Fit
    suggestions: tuple[Suggestion, ...]
    fitted: FittedOptions | None
    time: TimeEstimate | None


def judged(subject: Subject, *, fit: bool = False, tokens: float | None = None) -> Judgement:
    """The judgement of `subject`; with `fit` its options are made to fit. `tokens` is the mean of a sample."""
    from sft_tui.memory import Fit, estimate_time, fit_options, judge, suggestions

    config, options, gpus, limit = subject.config, subject.options, subject.gpus, subject.limit_bytes
    known = subject.lengths or None
    verdict = judge(subject.need, limit)
    more = () if verdict is Fit.FITS else suggestions(config, options, limit, gpus=gpus, lengths=known)
    fitted = fit_options(config, options, limit, gpus=gpus, lengths=known) if fit and limit else None
    time = None
    if subject.samples:
        used = fitted.options if fitted else options
        name = subject.card.name if subject.card else None
        mean = tokens or subject.mean or USUAL_TOKENS
        time = estimate_time(config, used, samples=subject.samples, mean_tokens=mean, gpu_name=name, gpus=gpus)
    return Judgement(verdict, more, fitted, time)


def is_answers(text: str) -> bool:
    """Whether `text` names an answers file, not a model."""
    path = Path(text)
    return path.suffix.lower() in (".yaml", ".yml") and not path.is_dir() and train_config(path) is None


def train_config(path: Path) -> dict[str, Any] | None:
    """The options of a train YAML of LLaMA-Factory; None where `path` is none."""
    if path.suffix.lower() not in (".yaml", ".yml") or not path.is_file():
        return None
    options = read_document(path).data
    return dict(options) if isinstance(options.get("model_name_or_path"), str) else None


def subject_of(asked: Question, given: dict[str, Any]) -> Subject:
    """What is asked about, with `given` options on top. Raises `Refusal` (exit 2)."""
    if is_answers(asked.model):
        return _of_answers(asked, given)
    from sft_tui.factory.train_config import guide_defaults
    from sft_tui.memory import estimate, find_config
    from sft_tui.plan.options import with_contents

    plain = train_config(Path(asked.model))
    model = str(plain["model_name_or_path"]) if plain else asked.model
    config = find_config(model)
    preset = find_preset(asked.preset).options_with(()) if asked.preset else {}
    options = with_contents({**(plain or guide_defaults()), **preset, **given}, (Path.cwd(),))
    limit, card = _limit(asked.gpu_memory)
    gpus = asked.gpus or 1
    need = estimate(config, options, gpus=gpus)
    earlier = _earlier(model, asked.dir, options, gpus) if asked.dir else None
    return Subject(model, config, options, need, gpus, limit, card, samples=asked.samples, earlier=earlier)


def changed_answers(path: Path, preset: str | None, given: dict[str, Any]) -> Answers:
    """The answers file at `path` with a `--preset` and the options `given`. Raises `Refusal`."""
    from sft_tui.answers import read_answers
    from sft_tui.memory.options import require_estimable

    require_estimable(given)
    answers = read_answers(path).require()
    changes: dict[str, Any] = {"train": answers.train | given}
    if preset is not None:
        own = find_preset(preset)
        file = own.path if own.name not in load_presets() else None  # named from where one stands
        changes["preset"] = str(file.resolve()) if file is not None else own.name
    return answers.model_copy(update=changes)


def _of_answers(asked: Question, given: dict[str, Any]) -> Subject:
    from sft_tui.memory import estimate
    from sft_tui.plan.check_answers import check_answers
    from sft_tui.plan.context import gather, with_lengths
    from sft_tui.plan.decide import decide
    from sft_tui.plan.peaks import find_peak

    path = Path(asked.model)
    answers = changed_answers(path, asked.preset, given)
    limit, card = _limit(asked.gpu_memory)
    situation = with_lengths(answers, gather(answers, path))
    if asked.gpu_memory is not None and limit is not None:
        situation = replace(situation, gpus=_imagined(answers, limit))
    decided = decide(answers, situation, estimated=False)
    check_answers(answers, situation, decided.cards).raise_if_any(ExitCode.USAGE)
    if decided.config is None:
        message = _("The architecture of {model} is not known here.").format(model=answers.model.path)
        hint = _("Give a local directory, or estimate with the id of a known model.")
        raise refuse("unknown_model", message, key="model.path", hint=hint)
    if asked.gpu_memory is None and decided.cards:
        card = min(decided.cards, key=lambda gpu: gpu.free_bytes)
        limit = card.free_bytes + DRIVER_BYTES
    gpus = asked.gpus or max(1, len(decided.cards))
    options, lengths = decided.estimated_options, decided.lengths
    return Subject(
        name=situation.model.path,
        config=dict(decided.config),
        options=options,
        need=estimate(decided.config, options, gpus=gpus, longest=lengths.longest if lengths else None, where="train."),
        gpus=gpus,
        limit_bytes=limit,
        card=card,
        lengths=lengths.known if lengths else (),
        mean=lengths.mean if lengths else None,
        samples=asked.samples or decided.length.rows,
        earlier=find_peak(situation.peaks, situation.model.path, options, gpus),
    )


def _imagined(answers: Answers, memory_bytes: int) -> GpuReport:
    """Free cards of another machine with so much memory each, as many as the answers need."""
    wanted = answers.hardware.gpus
    count = 1 + max(wanted) if isinstance(wanted, list) else 1
    free, nothing = max(0, memory_bytes - DRIVER_BYTES), (None, None, None, None, ())
    used = memory_bytes - free
    return GpuReport(tuple(Gpu(n, f"GPU-{n}", "", memory_bytes, used, free, *nothing) for n in range(count)))


def _earlier(model: str, directory: str, options: dict[str, Any], gpus: int) -> PeakFound | None:
    """What an earlier run of the project in `directory` needed for `model`."""
    from sft_tui.plan.names import portable
    from sft_tui.plan.peaks import find_peak, read_peaks

    project, path = Path(directory).expanduser().resolve(), Path(model).expanduser()
    if path.exists():
        place = path.resolve()
        model = portable(place.parent if place.is_file() else place, project)
    return find_peak(read_peaks(project), model, options, gpus)


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
