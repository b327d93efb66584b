"""What `sft-tui estimate` is asked about: a model with options, a train YAML, or what an answers file describes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.presets import find_preset
from sft_tui.problems import nearest, refuse
from sft_tui.units import GIB
from sft_tui.yaml_io import read_document

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu, GpuReport
    from sft_tui.plan.peaks import PeakFound

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
    from sft_tui.memory import find_config

    plain = train_config(Path(asked.model))
    model = str(plain["model_name_or_path"]) if plain else asked.model
    config = find_config(model)
    preset = find_preset(asked.preset).options_with(()) if asked.preset else {}
    options = {**(plain or guide_defaults()), **preset, **given}
    for key, value in options.items():
        checked_value(key, value)
    limit, card = _limit(asked.gpu_memory)
    gpus = asked.gpus or 1
    earlier = _earlier(model, asked.dir, options, gpus) if asked.dir else None
    return Subject(model, config, options, gpus, limit, card, mean=None, samples=asked.samples, earlier=earlier)


def changed_answers(path: Path, preset: str | None, given: dict[str, Any]) -> Answers:
    """The answers file at `path` with a `--preset` and the options `given`. Raises `Refusal`."""
    from sft_tui.answers import read_answers

    answers = read_answers(path).require()
    changes: dict[str, Any] = {"train": answers.train | given}
    if preset is not None:
        find_preset(preset)
        changes["preset"] = preset
    return answers.model_copy(update=changes)


def _of_answers(asked: Question, given: dict[str, Any]) -> Subject:
    from sft_tui.machine.gpus import DRIVER_BYTES
    from sft_tui.plan.context import chosen_gpus, gather, with_lengths
    from sft_tui.plan.estimate import lengths_for, model_config
    from sft_tui.plan.length import run_length
    from sft_tui.plan.make import make_plan
    from sft_tui.plan.peaks import find_peak

    path = Path(asked.model)
    answers = changed_answers(path, asked.preset, given)
    limit, card = _limit(asked.gpu_memory)
    situation = with_lengths(answers, gather(answers, path))
    if asked.gpu_memory is not None and limit is not None:
        situation = replace(situation, gpus=_imagined(answers, limit))
    options = make_plan(answers, situation).train_options
    for key, value in options.items():
        checked_value(key, value, f"train.{key}")
    config = model_config(situation)
    if config is None:
        message = _("The architecture of {model} is not known here.").format(model=answers.model.path)
        hint = _("Give a local directory, or estimate with the id of a known model.")
        raise refuse("unknown_model", message, key="model.path", hint=hint)
    cards = chosen_gpus(answers, situation.gpus)
    if asked.gpu_memory is None and cards:
        card = min(cards, key=lambda gpu: gpu.free_bytes)
        limit = card.free_bytes + DRIVER_BYTES
    gpus = asked.gpus or max(1, len(cards))
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
        asked.samples or run_length(answers, situation, options, gpus).rows,
        find_peak(situation.peaks, situation.model.path, options, gpus),
    )


def _imagined(answers: Answers, memory_bytes: int) -> GpuReport:
    """Free cards of another machine with so much memory each, as many as the answers need."""
    from sft_tui.machine.gpus import DRIVER_BYTES, Gpu, GpuReport

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


_POSITIVE = (
    "per_device_train_batch_size", "gradient_accumulation_steps", "cutoff_len", "lora_rank", "freeze_trainable_layers",
)  # fmt: skip


def checked_value(key: str, value: Any, name: str = "") -> Any:
    """`value` of the option `key`, unless no run could have it; `name` is its place in the document."""
    if key in _POSITIVE:
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        if not whole or not 1 <= abs(value) <= 10**7 or (value < 0 and key != "freeze_trainable_layers"):
            message = _("{key} is {value}, not a positive whole number.").format(key=key, value=value)
            raise refuse("bad_value", message, key=name or key)
    if key == "quantization_bit" and value not in (None, 2, 3, 4, 5, 6, 8):
        message = _("quantization_bit is {value}; 4 and 8 are possible.").format(value=value)
        raise refuse("bad_value", message, key=name or key)
    if key == "finetuning_type" and value not in ("lora", "oft", "freeze", "full"):
        message = _("finetuning_type is {value}; lora, freeze and full are possible.").format(value=value)
        raise refuse("bad_value", message, key=name or key)
    return value


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


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts as options, values read as YAML reads them. Unknown keys are refused with the nearest known."""
    from sft_tui.factory.options import snapshot
    from sft_tui.plan.subject import checked_value
    from sft_tui.yaml_io import parse_document

    known = set(snapshot().options)
    found: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        key = key.strip()
        if not sign or not key:
            message = _("{setting} is not KEY=VALUE.").format(setting=repr(setting))
            raise refuse("bad_setting", message, key="--set")
        if known and key not in known:
            close = nearest(key, known)
            hint = _("Did you mean {names}?").format(names=", ".join(close)) if close else None
            raise refuse("unknown_key", _("LLaMA-Factory has no option {key}.").format(key=key), key=key, hint=hint)
        document = parse_document(f"{key}: {text}")
        if key not in document.data:
            raise refuse("bad_setting", _("{setting} cannot be read.").format(setting=repr(setting)), key=key)
        found[key] = checked_value(key, document.data[key])
    return found
