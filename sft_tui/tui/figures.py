"""What the settings amount to, in words: effective batch size, steps, memory, time. Unknown is said, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft_tui.i18n import _

if TYPE_CHECKING:
    from sft_tui.tui.assess import Assessment
    from sft_tui.tui.signs import Signs

GIB = 2**30


def amounts(found: Assessment, signs: Signs) -> list[str]:
    """One line of steps and one of memory."""
    parts = []
    if found.effective_batch is not None:
        cards = f" x {found.gpus}" if found.gpus > 1 else ""
        batch = _("effective batch size {batch}").format(batch=found.effective_batch)
        parts.append(f"{batch} ({_times(found)}{cards})")
    if found.steps is not None:
        parts.append(_("{steps:,} steps").format(steps=found.steps))
    elif found.rows is None:
        parts.append(_("steps unknown until the rows are counted"))
    if found.rows is not None:
        parts.append(_("{rows:,} training rows").format(rows=found.rows))
    lines = [", ".join(parts)] if parts else []
    lines.append(memory_line(found, signs))
    return [line for line in lines if line]


def _times(found: Assessment) -> str:
    each = found.options.get("per_device_train_batch_size")
    accumulation = found.options.get("gradient_accumulation_steps")
    return f"{each} x {accumulation}"


def memory_line(found: Assessment, signs: Signs) -> str:
    """What the run needs on the card and whether that fits, as far as it is known."""
    estimate = found.plan.estimate if found.plan is not None else None
    if estimate is None:
        return _("memory: not known for this model") if found.gpus else _("memory: the computer's own, not estimated")
    need = estimate.peak_bytes / GIB
    if estimate.limit_bytes is None:
        return _("memory: about {need:.1f} GiB").format(need=need)
    have = estimate.limit_bytes / GIB
    words = {
        "fits": f"{signs.done} " + _("fits"),
        "tight": f"{signs.warning} " + _("tight"),
        "no": f"{signs.problem} " + _("does not fit"),
        "unknown": _("whether it fits is unknown"),
    }
    bar = signs.bar(need / have, 10) if have else ""
    text = _("memory: about {need:.1f} of {have:.1f} GiB {bar} {word}")
    return text.format(need=need, have=have, bar=bar, word=words.get(estimate.fit, estimate.fit))
