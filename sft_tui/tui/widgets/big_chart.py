"""A large chart of a training: raw and smoothed loss, evaluations, learning rate, with axes. Drawn by plotext."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.run.series import Curve, Point, smooth
from sft_tui.tui.signs import Signs
from sft_tui.tui.widgets.bars import signs_of

_RATE_ROWS = 6
_TALL_ENOUGH = 16
_TO_ASCII = str.maketrans("┌┐└┘─│┤├┬┴┼╭╮╰╯", "++++-|++++++" + "+" * 3)


class Curves:
    """What a chart shows: three curves of one run."""

    __slots__ = ("evaluation", "rate", "train")

    def __init__(self, train: Curve, evaluation: Curve, rate: Curve) -> None:
        self.train, self.evaluation, self.rate = train, evaluation, rate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curves) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


def finite(points: Sequence[Point]) -> list[Point]:
    """The points that can be drawn."""
    return [point for point in points if math.isfinite(point[1])]


def draw_chart(curves: Curves, width: int, height: int, signs: Signs) -> Text:
    """The chart in `width` x `height` cells: the loss, and below it the learning rate where there is room.

    Without colour the curves differ by their marks: dots are the raw loss, a line the smoothed one, `o` evaluations.
    """
    if not finite(curves.train.points) and not finite(curves.evaluation.points):
        return Text(_("There is no loss yet: the first one comes after the first logging step."))
    with_rate = height >= _TALL_ENOUGH and bool(curves.rate.points)
    below = _RATE_ROWS if with_rate else 0
    end = max(step for curve in (curves.train, curves.evaluation) for step, _value in curve.points or ((0.0, 0.0),))
    chart = _loss_chart(curves, width, height - below, end, signs)
    if with_rate:
        chart += "\n" + _rate_chart(curves.rate, width, below, end, signs)
    if signs.ascii:
        chart = chart.translate(_TO_ASCII)
    return Text.from_ansi(chart, no_wrap=True, end="")


def _figure(width: int, height: int) -> Any:
    """plotext's figure, emptied, without colours of its own."""
    import plotext

    figure = plotext.figure
    figure.clear()
    plotext.terminal.limit(False, False)
    figure.theme("colorless")
    figure.canvas("default")
    figure.plot_size(max(width, 20), max(height, 4))
    return figure


def _loss_chart(curves: Curves, width: int, height: int, end: float, signs: Signs) -> str:
    figure = _figure(width, height)
    smoothed = smooth(curves.train.points, 0.9 if len(curves.train.points) > 30 else 0.6)
    drawn = [
        (finite(curves.train.points), "." if signs.ascii else "·", "blue", _("loss"), False),
        (smoothed, "*" if signs.ascii else "braille", "blue+", _("smoothed"), True),
        (finite(curves.evaluation.points), "o" if signs.ascii else "●", "orange+", _("eval"), False),
    ]
    for points, mark, colour, label, lines in drawn:
        if points:
            _draw(figure, points, mark, colour, label, lines=lines)
    figure.ruler("x").lim(0, max(end, 1))
    figure.legend(True, x="right", y="upper") if False else None
    return str(figure.build().string()).rstrip("\n")


def _rate_chart(rate: Curve, width: int, height: int, end: float, signs: Signs) -> str:
    figure = _figure(width, height)
    _draw(figure, finite(rate.points), "-" if signs.ascii else "braille", "green", _("learning rate"), lines=True)
    figure.ruler("x").lim(0, max(end, 1))
    return str(figure.build().string()).rstrip("\n")


def _draw(figure: Any, points: Sequence[Point], mark: str, colour: str, label: str, *, lines: bool) -> None:
    """Draw one curve."""
    import plotext

    marker = plotext.marker(mark)
    signal = figure.signal([x for x, _y in points], [y for _x, y in points], marker=marker)
    signal.label(label)
    if lines:
        signal.lines()
    figure.draw(signal)


class BigChart(Widget):
    """The chart as large as its place."""

    DEFAULT_CSS = "BigChart { height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._curves = Curves(Curve(), Curve(), Curve())

    def show(self, curves: Curves) -> None:
        """Show these curves; nothing is drawn where they are the same."""
        if curves != self._curves:
            self._curves = curves
            self.refresh()

    def render(self) -> Content:
        """The chart for the present size."""
        return Content.from_rich_text(draw_chart(self._curves, self.size.width, self.size.height, signs_of(self)))
