"""`sft-tui estimate MODEL`: how much GPU memory and time a training will need, before anything runs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.headless.arguments import add_json, add_set
from sft_tui.headless.output import duration, put, put_json
from sft_tui.i18n import _
from sft_tui.plan.need import PARTS
from sft_tui.problems import ExitCode
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.memory import TimeEstimate
    from sft_tui.plan.subject import Judgement, Subject

_BAR = 28
_MOST_TOKENS = 1e7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `estimate`."""
    parser.add_argument(
        "model",
        metavar="MODEL|ANSWERS",
        help=_(
            "a model's directory, its config.json, or a known name; or an answers file, or a LLaMA-Factory train YAML"
        ),
    )
    add_set(parser)
    parser.add_argument("--preset", metavar="NAME", help=_("start from a preset's options"))
    parser.add_argument("--gpu-memory", metavar="GIB", help=_("the card's memory, instead of the present cards'"))
    parser.add_argument("--gpus", type=_count, metavar="N", help=_("number of cards that train together"))
    parser.add_argument("--samples", type=_count, metavar="N", help=_("training samples, for the time"))
    parser.add_argument("--tokens", type=_tokens, metavar="N", help=_("tokens a sample on average"))
    parser.add_argument("--fit", action="store_true", help=_("change the options so that they fit"))
    parser.add_argument("--dir", metavar="PROJECT", help=_("show what earlier runs of the project needed beside it"))
    parser.add_argument(
        "--measure",
        action="store_true",
        help=_("train three real steps on the longest samples of ANSWERS, and compare"),
    )
    add_json(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """What to estimate: `model` may be an answers file or a config as well."""

    model: str
    set: list[str]
    preset: str | None
    gpu_memory: str | None
    gpus: int | None
    samples: int | None
    tokens: float | None
    fit: bool
    dir: str | None
    measure: bool
    json: bool


def _count(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(_("{value} is not a whole number from 1").format(value=text))
    return int(text)


def _tokens(text: str) -> float:
    """A mean number of tokens, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= _MOST_TOKENS:
        raise argparse.ArgumentTypeError(_("{value} is not a number of tokens").format(value=text))
    return value


def run(request: Request) -> int:
    """Estimate and print. Raises `Refusal` (exit 2) for a model or option that cannot be read."""
    if request.measure:
        from sft_tui.headless import measure_command

        return measure_command.run(request)
    from sft_tui.headless.find import find_project
    from sft_tui.plan.settings import parse_settings
    from sft_tui.plan.subject import Question, judged, subject_of

    project = str(find_project(Path(request.dir))) if request.dir is not None else None
    question = Question(request.model, request.preset, request.gpu_memory, request.gpus, request.samples, project)
    subject = subject_of(question, parse_settings(request.set))
    found = judged(subject, fit=request.fit, tokens=request.tokens)
    if request.json:
        put_json(_as_json(subject, found))
    else:
        for line in _table(subject, found):
            put(line)
    return int(ExitCode.DONE)


def _as_json(subject: Subject, judgement: Judgement) -> dict[str, Any]:
    found, fit, fitted, time = subject.need, judgement.fit.value, judgement.fitted, judgement.time
    result: dict[str, Any] = {
        "peak_bytes": found.peak_bytes,
        "parts": found.parts,
        "fits": None if subject.limit_bytes is None else fit == "fits",
        "fit": fit,
        "limit_bytes": subject.limit_bytes,
        "margin": found.margin,
        "architecture": found.architecture.model_type,
        "known": found.known,
        "notes": list(found.notes),
        "suggestions": [suggestion.as_json() for suggestion in judgement.suggestions],
        "longest": subject.longest,
        "measured": subject.earlier.as_json() if subject.earlier else None,
    }
    if fitted is not None:
        result["fitted"] = {
            "fits": fitted.fits,
            "changes": fitted.changes,
            "peak_bytes": fitted.estimate.peak_bytes,
        }
    if time is not None:
        result["time"] = {
            "seconds_low": time.seconds_low,
            "seconds_high": time.seconds_high,
            "steps": time.steps,
            "tokens": time.tokens,
        }
    return result


def _table(subject: Subject, judgement: Judgement) -> Iterable[str]:
    found, fit, more, fitted = subject.need, judgement.fit.value, judgement.suggestions, judgement.fitted
    peak = found.peak_bytes
    yield _("{model}: about {need:.1f} GiB on the card (± {margin:.0%})").format(
        model=subject.name, need=peak / GIB, margin=found.margin
    )
    if subject.longest:
        yield _("no sample has more than {count} tokens").format(count=subject.longest)
    width = max(len(_(PARTS[name])) for name in found.parts)
    for name, size in sorted(found.parts.items(), key=lambda part: -part[1]):
        bar = "█" * round(_BAR * size / peak)
        yield f"  {_(PARTS[name]):<{width}} {size / GIB:7.2f} GiB  {bar}"
    words = {
        "fits": _("fits"),
        "tight": _("tight: it may run out of memory"),
        "no": _("does not fit"),
        "unknown": _("unknown: no GPU here; give --gpu-memory"),
    }
    if subject.limit_bytes is None:
        yield words["unknown"]
    else:
        name, have = subject.card.name if subject.card else _("a card"), subject.limit_bytes / GIB
        yield _("{word} ({card}, {size:.1f} GiB)").format(word=words[fit], card=name, size=have)
    for note in found.notes:
        yield _("note: {text}").format(text=note)
    if more:
        yield _("What would help, the cheapest loss of quality first:")
        for suggestion in more:
            keys = " ".join(f"{key}={value}" for key, value in suggestion.changes.items())
            yield f"  -{suggestion.saves_bytes / GIB:.1f} GiB  {suggestion.text}  [{keys}]  x{suggestion.time_factor:g}"
    if fitted is not None:
        head = _("Changed so that it fits: {need:.1f} GiB") if fitted.fits else _("Even then too large: {need:.1f} GiB")
        yield head.format(need=fitted.estimate.peak_bytes / GIB)
        for key, value in fitted.changes.items():
            yield f"  {key}: {value}"
    if judgement.time is not None:
        yield _time_line(judgement.time)
    if subject.earlier is not None:
        from sft_tui.plan.peaks import peak_text

        yield _("measured: {text}").format(text=peak_text(subject.earlier))


def _time_line(time: TimeEstimate) -> str:
    if time.seconds_low is None or time.seconds_high is None:
        return _("{steps} steps; the time is unknown without a known card").format(steps=time.steps)
    return _("{steps} steps, {low} to {high} (h:mm:ss)").format(
        steps=time.steps, low=duration(time.seconds_low), high=duration(time.seconds_high)
    )
