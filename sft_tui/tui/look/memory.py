"""In words: what a run needs on the card, part by part, and what would make that less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import N_, _
from sft_tui.plan.need import PARTS
from sft_tui.tui.look.values import show_typed
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.memory import Suggestion
    from sft_tui.plan.need import MemoryNeed
    from sft_tui.project.plan_record import PlannedEstimate
    from sft_tui.tui.look.signs import Signs

WORDS: dict[str, str] = {"fits": N_("fits"), "tight": N_("tight"), "no": N_("does not fit")}
_BAR = 24


def preset_text(need: PlannedEstimate | None) -> str | None:
    """Whether a preset fits and by how much; None where that cannot be told."""
    if need is None or not need.limit_bytes or need.fit not in WORDS:
        return None
    have, word = need.limit_bytes / GIB, _(WORDS[need.fit])
    return _("{word}: about {need:.1f} of {have:.1f} GiB free").format(word=word, need=need.peak_bytes / GIB, have=have)


def nothing_fits(view: MemoryNeed) -> str:
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
        text = _("memory: about {need:.1f} (±{margin}) of {have:.1f} GiB free {bar} {word}")
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


def suggestion_text(suggestion: Suggestion, view: MemoryNeed) -> str:
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
