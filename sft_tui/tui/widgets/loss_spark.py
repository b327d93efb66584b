"""The loss as two sparklines, of training and of evaluation, each with its first and last value."""

from __future__ import annotations

import math

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import pad
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.view.curves import Curve, resample


def spark(values: list[float | None], low: float, high: float, signs: Signs, *, hold: bool) -> str:
    """A character for each value between `low` and `high`; a value that is no number is the sign of a problem.

    Where there is none, a space; with `hold`, between two values, the earlier one goes on.
    """
    blocks, span = signs.blocks, high - low
    last = max((i for i, value in enumerate(values) if value is not None), default=-1)
    out, held = [], " "
    for place, value in enumerate(values):
        if value is None:
            out.append(held if hold and place < last else " ")
            continue
        if not math.isfinite(value):
            sign = signs.problem
        else:
            share = (value - low) / span if span > 0 else 0.0
            sign = blocks[max(0, min(len(blocks) - 1, int(share * len(blocks))))]
        out.append(sign)
        held = sign
    return "".join(out)


def first_to_last(curve: Curve, signs: Signs) -> str:
    """`2.91 -> 1.28`, or "-" where nothing was measured."""
    if curve.first is None:
        return text.UNKNOWN
    return f"{text.short_loss(curve.first)} {signs.arrow} {text.short_loss(curve.last)}"


def loss_lines(train: Curve, evaluation: Curve, signs: Signs, width: int) -> list[Content]:
    """Both sparklines on one scale over the same steps."""
    labels = [f"{_('train')}  {first_to_last(train, signs)}", f"{_('eval')}  {first_to_last(evaluation, signs)}"]
    room = max(0, width - max(cell_len(label) for label in labels) - 2)
    points = (*train.points, *evaluation.points)
    finite = [value for _step, value in points if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    start, end = min((s for s, _v in points), default=0.0), max((s for s, _v in points), default=0.0)
    lines = []
    for curve, label in zip((train, evaluation), labels, strict=True):
        values = resample(curve.points, start, end, room)
        drawn = spark(values, low, high, signs, hold=curve is train)
        lines.append(Content.assemble((pad(drawn, room), "$accent" if curve is train else "$warning"), "  ", label))
    return lines


class LossSpark(Widget):
    """The loss of training and evaluation, two lines."""

    DEFAULT_CSS = "LossSpark { height: 2; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._curves = (Curve(), Curve())

    def show(self, train: Curve, evaluation: Curve) -> None:
        """Show these curves; nothing is drawn where they are the same."""
        if (train, evaluation) != self._curves:
            self._curves = (train, evaluation)
            self.refresh()

    def render(self) -> Content:
        """The lines for the present width."""
        return Content("\n").join(loss_lines(*self._curves, signs_of(self), self.size.width))
