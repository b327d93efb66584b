"""Figures as people read them. None is "-": an unknown figure is never replaced by a guess."""

from __future__ import annotations

import math

from sft_tui.i18n import _

UNKNOWN = "-"


def loss(value: float | None) -> str:
    """A loss in four significant digits."""
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def short_loss(value: float | None) -> str:
    """A loss in three digits."""
    if value is None or not math.isfinite(value):
        return loss(value)
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"


def rate(value: float | None) -> str:
    """A learning rate: `8.1e-5`."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def seconds(value: float | None) -> str:
    """A duration: `0:04:51`, or `2d 03:04:51`."""
    if value is None:
        return UNKNOWN
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02d}:{minutes:02d}:{rest:02d}" if days else f"{hours}:{minutes:02d}:{rest:02d}"


def pace(value: float | None) -> str:
    """Seconds a step, or steps a second where there are several: `1.9 s/step`, `12.5 steps/s`."""
    if value is None or value <= 0:
        return UNKNOWN
    if value >= 1:
        return _("{value} s/step").format(value=f"{value:.1f}")
    return _("{value} steps/s").format(value=f"{1 / value:.1f}")


def whole(value: float | None) -> str:
    """A number with thousands separated."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """A number without needless digits: `3`, `1.36`."""
    return UNKNOWN if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def gib(value: int) -> str:
    """Bytes as GiB with one digit."""
    return f"{value / 2**30:.1f}"
