"""What the settings amount to, in words: effective batch size, steps, memory, time. Unknown is said, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft_tui.i18n import N_, _
from sft_tui.plan.subject import USUAL_TOKENS
from sft_tui.tui.look.memory import need_text

if TYPE_CHECKING:
    from sft_tui.plan.assess import Assessment
    from sft_tui.plan.length import RunLength
    from sft_tui.tui.look.signs import Signs


def amounts(found: Assessment, signs: Signs, before: int | None = None) -> list[str]:
    """One line of steps, one of memory (`before` is the peak before the last change) and one of time."""
    parts = []
    if found.effective_batch is not None:
        cards = f" x {found.gpus}" if found.gpus > 1 else ""
        batch = _("effective batch size {batch}").format(batch=found.effective_batch)
        parts.append(f"{batch} ({_times(found)}{cards})")
    parts += length_words(found.length)
    lines = [_(", ").join(parts)] if parts else []
    lines += [memory_line(found, signs, before), time_line(found)]
    return [line for line in lines if line]


def length_words(length: RunLength) -> list[str]:
    """Steps and rows that are trained on; where the conversion may still leave some out they are said to be rough."""
    parts = []
    if length.steps is not None:
        text = _("{steps:,} steps") if length.exact else _("about {steps:,} steps")
        parts.append(text.format(steps=length.steps))
    elif length.rows is None:
        parts.append(_("steps unknown until the rows are counted"))
    else:
        parts.append(_("steps unknown until the samples are packed"))
    if length.rows is not None:
        text = _("{rows:,} training rows") if length.exact else _("about {rows:,} training rows")
        parts.append(text.format(rows=length.rows))
    return parts


def _times(found: Assessment) -> str:
    each = found.options.get("per_device_train_batch_size")
    accumulation = found.options.get("gradient_accumulation_steps")
    return f"{each} x {accumulation}"


def memory_line(found: Assessment, signs: Signs, before: int | None = None) -> str:
    """What the run needs on the card and whether that fits, as far as it is known."""
    if found.plan is None and found.errors:
        return _("memory: - ({why})").format(why=_("the settings have mistakes"))
    estimate = found.plan.estimate if found.plan is not None else None
    if estimate is None:
        return _("memory: not known for this model") if found.gpus else _("memory: the computer's own, not estimated")
    return need_text(estimate, signs, before)


def time_line(found: Assessment) -> str:
    """How long the training takes, and on what that rests; or why it is not known."""
    time = found.time
    if time is None or time.seconds_low is None or time.seconds_high is None:
        return _("time: - ({why})").format(why=found.no_time) if found.no_time else ""
    span = time_span(time.seconds_low, time.seconds_high)
    return _("time: about {span} ({tokens})").format(span=span, tokens=_tokens_text(found))


def _tokens_text(found: Assessment) -> str:
    tokens = found.tokens
    if tokens is None:
        return _("assuming {count} tokens a sample").format(count=round(USUAL_TOKENS))
    if tokens.counted:
        return _("{count} tokens a sample on average").format(count=round(tokens.mean))
    return _("guessing {count} tokens a sample").format(count=round(tokens.mean))


def time_span(low_s: float, high_s: float) -> str:
    """A range of durations as people say it: `12-20 min`, `1.5-4 h`."""
    if high_s < 90:
        return _("a minute")
    for most, seconds, text in (
        (90 * 60, 60, N_("{low}-{high} min")),
        (48 * 3600, 3600, N_("{low}-{high} h")),
        (float("inf"), 86400, N_("{low}-{high} days")),
    ):
        if high_s <= most:
            return _(text).format(low=_rounded(low_s / seconds), high=_rounded(high_s / seconds))
    raise AssertionError


def _rounded(value: float) -> str:
    """As many digits as so wide a range has."""
    return f"{max(value, 0.1):.1f}".removesuffix(".0") if value < 3 else f"{value:.0f}"
