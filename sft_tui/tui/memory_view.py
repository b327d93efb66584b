"""What the run needs on the card as it stands, part by part, what would make that less, and all of it in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import N_, _
from sft_tui.problems import Refusal
from sft_tui.tui.values import show_typed
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.machine.gpus import Gpu, GpuReport
    from sft_tui.memory import Suggestion
    from sft_tui.project.plan_record import PlannedEstimate
    from sft_tui.tui.signs import Signs

PARTS: dict[str, str] = {
    "weights": N_("weights"),
    "adapter": N_("adapter"),
    "gradients": N_("gradients"),
    "optimizer": N_("optimizer states"),
    "logits": N_("logits and loss"),
    "activations": N_("activations"),
    "parallel": N_("exchange between cards"),
    "allocator": N_("held by PyTorch's allocator"),
    "context": N_("CUDA context and driver"),
}
"""The parts of an estimate in words."""
WORDS: dict[str, str] = {"fits": N_("fits"), "tight": N_("tight"), "no": N_("does not fit")}
TOO_MUCH = ("tight", "no")
_BAR = 24


@dataclass(frozen=True, slots=True)
class MemoryView:
    """The need of each chosen card; without one `why` says why it is not known.

    `suggestions` each make it less, the cheapest loss of quality first; `fit` are the changes that make it fit, empty
    where it fits or nothing does. `packages` are those of the training environment, as Python imports them. Where only
    packages are missing that would make it fit, `install` is the command for them.
    """

    need: PlannedEstimate | None = None
    why: str = ""
    card: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    fit: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    measured: str = ""
    python: str = "python"
    install: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def too_much(self) -> bool:
        """Whether it may not fit."""
        return self.need is not None and self.need.fit in TOO_MUCH

    def lacks(self, suggestion: Suggestion) -> str | None:
        """The package that `suggestion` needs and the training environment does not have."""
        needed = suggestion.needs
        return needed if needed is not None and needed not in self.packages else None


def look_at_memory(
    data: dict[str, Any], answers_path: Path, read_gpus: Callable[[], GpuReport], *, deep: bool = True
) -> MemoryView:
    """What the draft `data` needs; `deep` adds what would make it less. Model and cards suffice. Some 100 ms."""
    from sft_tui.answers import validate
    from sft_tui.plan.context import chosen_gpus, gather
    from sft_tui.plan.estimate import lengths_for, model_config, plan_estimate
    from sft_tui.plan.options import train_options
    from sft_tui.plan.peaks import find_peak, peak_text

    if not (data.get("model") or {}).get("path"):
        return MemoryView(why=_("it depends on the model, which is chosen in the next step"))
    nothing = {"source": "-", "name": "any"}
    _problems, answers = validate({**data, "data": data["data"] if (data.get("data") or {}).get("source") else nothing})
    if answers is None:
        return MemoryView(why=_("the answers have mistakes"))
    try:
        situation = replace(gather(answers, answers_path, fresh=True, rows=0), gpus=read_gpus())
    except Refusal as refusal:
        return MemoryView(why=refusal.problems[0].message)
    gpus = chosen_gpus(answers, situation.gpus)
    options, _origins = train_options(answers, situation)
    if not gpus or options.get("use_cpu"):
        return MemoryView(why=_("on the processor it is the computer's own, which is not estimated"), options=options)
    config = model_config(situation)
    if config is None:
        return MemoryView(why=_("the architecture of this model is not known here"), options=options)
    need = plan_estimate(situation, options, gpus)
    if need is None:
        return MemoryView(why=_("the settings have mistakes"), options=options)
    packages = tuple(
        name.replace("-", "_") for name in (situation.environment.packages if situation.environment else {})
    )
    peak = find_peak(situation.peaks, situation.model.path, options, len(gpus))
    view = MemoryView(
        need,
        card=_cards(gpus),
        packages=packages,
        measured=peak_text(peak) if peak else "",
        python=situation.train_python or "python",
        options=options,
    )
    lengths = lengths_for(situation, options)
    return _with_suggestions(view, config, need, len(gpus), lengths.known if lengths else None) if deep else view


def _cards(gpus: tuple[Gpu, ...]) -> str:
    names = ", ".join(f"GPU {gpu.index}" for gpu in gpus)
    return f"{names} ({gpus[0].name})"


def _with_suggestions(
    view: MemoryView, config: dict[str, Any], need: PlannedEstimate, gpus: int, lengths: tuple[int, ...] | None
) -> MemoryView:
    from sft_tui.machine.gpus import DRIVER_BYTES
    from sft_tui.memory import fit_options, suggestions

    limit = need.limit_bytes + DRIVER_BYTES if need.limit_bytes is not None else None
    more = suggestions(config, view.options, None if need.fit == "fits" else limit, gpus=gpus, lengths=lengths)
    changes: Mapping[str, Any] = need.changes
    if need.fit == "tight" and limit is not None:
        packages = view.packages
        fitted = fit_options(config, view.options, limit, gpus=gpus, packages=packages, lengths=lengths)
        changes = fitted.changes if fitted.fits else {}
    install = ""
    if need.fit in TOO_MUCH and not changes and limit is not None:
        fitted = fit_options(config, view.options, limit, gpus=gpus, lengths=lengths)
        missing = [name for name in needed_packages(fitted.changes) if name not in view.packages] if fitted.fits else []
        install = f"{view.python} -m pip install {' '.join(missing).replace('_', '-')}" if missing else ""
    return replace(view, suggestions=more, fit=changes, install=install)


def needed_packages(changes: Mapping[str, Any]) -> list[str]:
    """The packages that options need, as Python imports them."""
    bits = changes.get("quantization_bit") or str(changes.get("optim", "")).endswith("8bit")
    found = ["liger_kernel"] if changes.get("enable_liger_kernel") else []
    found += ["bitsandbytes"] if bits else []
    return [*found, "deepspeed"] if changes.get("deepspeed") else found


def nothing_fits(view: MemoryView) -> str:
    """What to do about a run that no change of its settings makes fit."""
    if view.install:
        return _("It can fit with packages that are missing: {command}").format(command=view.install)
    return _("No change of settings makes it fit: take a smaller model or a larger card.")


def need_text(need: PlannedEstimate, signs: Signs, before: int | None = None) -> str:
    """The need, what there is, a bar, and whether it fits; with `before` how much more or less it is than before."""
    size, margin = need.peak_bytes / GIB, f"{need.margin:.0%}"
    if need.limit_bytes is None:
        text = _("memory: about {need:.1f} GiB (±{margin})").format(need=size, margin=margin)
    else:
        have = need.limit_bytes / GIB
        bar = signs.bar(size / have, 10) if have else ""
        text = _("memory: about {need:.1f} (±{margin}) of {have:.1f} GiB {bar} {word}")
        text = text.format(need=size, margin=margin, have=have, bar=bar, word=fit_word(need.fit, signs))
    if before is not None and abs(need.peak_bytes - before) >= GIB // 20:
        text += " " + _("({more:+.1f} by the last change)").format(more=(need.peak_bytes - before) / GIB)
    return text.replace("±", "+-") if signs.ascii else text


def fit_word(fit: str, signs: Signs) -> str:
    """The sign and the word for whether it fits."""
    sign = {"fits": signs.done, "tight": signs.warning, "no": signs.problem}.get(fit)
    return f"{sign} {_(WORDS[fit])}" if sign else _("whether it fits is unknown")


def main_parts(need: PlannedEstimate, count: int = 3) -> str:
    """The largest parts on one line."""
    largest = sorted(need.parts.items(), key=lambda part: -part[1])[:count]
    return ", ".join(f"{_(PARTS.get(name, name))} {size / GIB:.1f}" for name, size in largest) + " GiB"


def part_lines(need: PlannedEstimate, signs: Signs) -> list[str]:
    """A bar for each part, the largest first."""
    from sft_tui.tui.widgets.field import columns

    rows: list[tuple[str, ...]] = []
    for name, size in sorted(need.parts.items(), key=lambda part: -part[1]):
        blocks = max(1, round(_BAR * size / need.peak_bytes)) if size > 0 else 0
        rows.append((f"  {_(PARTS.get(name, name))}", f"{size / GIB:6.2f} GiB", signs.bar_full * blocks))
    return columns(rows)


def changes_text(changes: Mapping[str, Any]) -> str:
    """Options with their new values on one line."""
    return ", ".join(f"{key}: {show_typed(value) or '-'}" for key, value in changes.items())


def suggestion_text(suggestion: Suggestion, view: MemoryView) -> str:
    """What it saves, what it does, what that costs, and what it needs."""
    parts = [f"-{suggestion.saves_bytes / GIB:.1f} GiB  {suggestion.text}"]
    slower = suggestion.time_factor
    if slower >= 1.05:
        parts.append(_("{share:.0%} slower").format(share=slower - 1))
    elif slower <= 0.95:
        parts.append(_("{share:.0%} quicker").format(share=1 - slower))
    cost = {"slight": _("quality suffers slightly"), "some": _("quality suffers somewhat")}.get(suggestion.quality)
    parts += [cost] if cost else []
    missing = view.lacks(suggestion)
    parts += [_("needs the package {package}, which is not installed").format(package=missing)] if missing else []
    return "; ".join(parts)
