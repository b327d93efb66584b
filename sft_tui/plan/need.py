"""What a draft needs on its cards, what would make that less, and which presets fit: for the screens, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import N_, _
from sft_tui.machine.gpus import DRIVER_BYTES, Gpu, GpuReport
from sft_tui.problems import Refusal

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.memory import Suggestion
    from sft_tui.plan.context import Situation
    from sft_tui.plan.decide import Decisions
    from sft_tui.project.plan_record import PlannedEstimate

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
TOO_MUCH = ("tight", "no")
_NO_DATA = {"source": "-", "name": "any"}
"""In the place of the examples where they are not chosen yet: memory can be told without them."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The need of each chosen card; without one `why` says why it is not known.

    `suggestions` each make it less, the cheapest loss of quality first; `fit` are the changes that make it fit, empty
    where it fits or nothing does. `packages` are those of the training environment. Where only packages are missing
    that would make it fit, `install` is the command for them.
    """

    need: PlannedEstimate | None = None
    why: str = ""
    card: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    fit: Mapping[str, Any] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()
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


def memory_of_draft(data: Mapping[str, Any], answers_path: Path, gpus: GpuReport, *, deep: bool = True) -> MemoryNeed:
    """What the draft `data` needs; `deep` adds what would make it less. Model and cards suffice. Some 100 ms."""
    from sft_tui.answers import validate
    from sft_tui.plan.context import gather
    from sft_tui.plan.decide import decide

    if not _given(data, "model", "path"):
        return MemoryNeed(why=_("it depends on the model, which is chosen in the next step"))
    given = any(_given(data, "data", key) for key in ("source", "sources"))
    _problems, answers = validate({**data, "data": data["data"] if given else _NO_DATA})
    if answers is None:
        return MemoryNeed(why=_("the answers have mistakes"))
    try:
        situation = replace(gather(answers, answers_path, fresh=True, rows=0), gpus=gpus)
    except Refusal as refusal:
        return MemoryNeed(why=refusal.problems[0].message)
    return memory_need(situation, decide(answers, situation), deep=deep)


def _given(data: Mapping[str, Any], section: str, key: str) -> bool:
    """Whether the draft says something there; a section may be of any shape in it."""
    values = data.get(section)
    return isinstance(values, Mapping) and bool(values.get(key))


def memory_need(situation: Situation, decided: Decisions, *, deep: bool = True) -> MemoryNeed:
    """What was `decided` needs, in the words of screens."""
    from sft_tui.plan.peaks import find_peak, peak_text

    options, cards = decided.options, decided.cards
    if not cards or options.get("use_cpu"):
        return MemoryNeed(why=_("on the processor it is the computer's own, which is not estimated"), options=options)
    if decided.config is None:
        return MemoryNeed(why=_("the architecture of this model is not known here"), options=options)
    if decided.estimate is None:
        return MemoryNeed(why=_("the settings have mistakes"), options=options)
    peak = find_peak(situation.peaks, situation.model.path, options, len(cards))
    found = MemoryNeed(
        decided.estimate,
        card=_names(cards),
        packages=situation.packages,
        measured=peak_text(peak) if peak else "",
        python=situation.train_python or "python",
        options=options,
    )
    return _with_suggestions(found, decided) if deep else found


def _names(cards: tuple[Gpu, ...]) -> str:
    names = ", ".join(f"GPU {gpu.index}" for gpu in cards)
    return f"{names} ({cards[0].name})"


def _with_suggestions(found: MemoryNeed, decided: Decisions) -> MemoryNeed:
    from sft_tui.memory import fit_options, suggestions

    need, config, options = found.need, decided.config, decided.estimated_options
    assert need is not None and need.limit_bytes is not None and config is not None
    lengths, gpus = decided.lengths.known if decided.lengths else None, len(decided.cards)
    limit = need.limit_bytes + DRIVER_BYTES
    more = suggestions(config, options, None if need.fit == "fits" else limit, gpus=gpus, lengths=lengths)
    changes: Mapping[str, Any] = need.changes
    if need.fit == "tight":
        fitted = fit_options(config, options, limit, gpus=gpus, packages=found.packages, lengths=lengths)
        changes = fitted.changes if fitted.fits else {}
    install = ""
    if need.fit in TOO_MUCH and not changes:
        fitted = fit_options(config, options, limit, gpus=gpus, lengths=lengths)
        missing = (
            [name for name in needed_packages(fitted.changes) if name not in found.packages] if fitted.fits else []
        )
        install = f"{found.python} -m pip install {' '.join(missing)}" if missing else ""
    return replace(found, suggestions=more, fit=changes, install=install)


def needed_packages(changes: Mapping[str, Any]) -> list[str]:
    """The packages that options need, by pip's names."""
    bits = changes.get("quantization_bit") or str(changes.get("optim", "")).endswith("8bit")
    found = ["liger-kernel"] if changes.get("enable_liger_kernel") else []
    found += ["bitsandbytes"] if bits else []
    return [*found, "deepspeed"] if changes.get("deepspeed") else found


@dataclass(frozen=True, slots=True)
class PresetNeeds:
    """The name of the preset that `auto` means here ("" where it is not known); for each preset and for `auto`, which
    changes what does not fit, what it needs.
    """

    auto: str = ""
    needs: Mapping[str, PlannedEstimate] = field(default_factory=dict)


def preset_needs(data: Mapping[str, Any], answers_path: Path, gpus: GpuReport) -> PresetNeeds:
    """For each preset for which it can be told: what it needs with the draft's model and cards, whatever the data."""
    from sft_tui.answers import validate
    from sft_tui.plan.context import gather
    from sft_tui.plan.decide import decide

    _problems, answers = validate({**data, "data": _NO_DATA, "preset": "auto", "train": {}})
    if answers is None:
        return PresetNeeds()
    try:
        situation = replace(gather(answers, answers_path, rows=0), gpus=gpus)
    except Refusal:
        return PresetNeeds()

    def with_preset(name: str) -> Answers:
        return answers.model_copy(update={"preset": name})

    decisions = {name: decide(with_preset(name), situation) for name in ("auto", *situation.presets)}
    needs = {n: d.estimate for n, d in decisions.items() if d.estimate is not None and not d.options.get("use_cpu")}
    auto = decisions["auto"].choice.preset
    return PresetNeeds(auto.name if auto is not None else "", needs)
