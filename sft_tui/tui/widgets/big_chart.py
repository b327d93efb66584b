"""A large chart of a training: raw and smoothed loss, evaluations, learning rate, with axes. Drawn by plotext."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.view.curves import Curve, Point, smooth

_RATE_ROWS = 6
_TALL_ENOUGH = 16
_TO_ASCII = str.maketrans("┌┐└┘─│┤├┬┴┼╭╮╰╯", "++++-|++++++" + "+" * 3)


@dataclass(frozen=True, slots=True)
class Curves:
    """What a chart shows: three curves of one run."""

    train: Curve
    evaluation: Curve
    rate: Curve


@dataclass(frozen=True, slots=True)
class Layer:
    """One curve to draw. `mark` is plotext's marker, `shown_mark` stands for it in the legend, `colour` of 16."""

    points: Sequence[Point]
    mark: str
    shown_mark: str
    colour: int
    label: str
    lines: bool


def finite(points: Sequence[Point]) -> list[Point]:
    """The points that can be drawn."""
    return [point for point in points if math.isfinite(point[1])]


def draw_chart(curves: Curves, width: int, height: int, signs: Signs) -> Text:
    """The chart in `width` x `height` cells: the loss, and below it the learning rate where there is room.

    Without colour the curves differ by their marks, which the first line explains.
    """
    if not finite(curves.train.points) and not finite(curves.evaluation.points):
        return Text(_("There is no loss yet: the first one comes after the first logging step."))
    try:
        import plotext  # noqa: F401
    except (ImportError, OSError) as error:
        return Text(_("The chart cannot be drawn: plotext does not load ({reason}).").format(reason=error))
    with_rate = height >= _TALL_ENOUGH and bool(finite(curves.rate.points))
    below = _RATE_ROWS if with_rate else 0
    end = max(step for curve in (curves.train, curves.evaluation) for step, _value in curve.points or ((1.0, 0.0),))
    layers = _loss_layers(curves, signs)
    chart = Text(no_wrap=True, end="")
    for layer in layers:
        chart.append(f" {layer.shown_mark} ", f"color({layer.colour})").append(f"{layer.label}  ")
    chart.append("\n").append_text(_plot(layers, width, height - below - 1, end, signs))
    if with_rate:
        rate = Layer(curves.rate.points, "-" if signs.ascii else "braille", "-", 2, _("learning rate"), lines=True)
        chart.append("\n").append_text(_plot([rate], width, below, end, signs))
    return chart


def _loss_layers(curves: Curves, signs: Signs) -> list[Layer]:
    count = len(curves.train.points)
    weight = min(0.97, 1 - 15 / count) if count > 30 else 0.5
    raw, line, mark = (".", "*", "o") if signs.ascii else ("·", "braille", "●")
    layers = [
        Layer(finite(curves.train.points), raw, raw, 6, _("loss"), lines=False),
        Layer(
            smooth(curves.train.points, weight), line, line[0] if signs.ascii else "⠒", 12, _("smoothed"), lines=True
        ),
        Layer(finite(curves.evaluation.points), mark, mark, 9, _("eval"), lines=False),
    ]
    return [layer for layer in layers if layer.points]


def _plot(layers: Sequence[Layer], width: int, height: int, end: float, signs: Signs) -> Text:
    """The curves of `layers` with axes, in exactly `width` x `height` cells, steps from 0 to `end`."""
    import plotext

    figure = plotext.figure
    figure.clear()
    plotext.terminal.limit(False, False)
    figure.theme("simple")
    figure.canvas("default")
    figure.plot_size(max(width, 20), max(height, 4))
    for layer in layers:
        points = finite(layer.points)
        marker = plotext.marker(layer.mark, plotext.pixel(layer.colour))
        signal = figure.signal([x for x, _y in points], [y for _x, y in points], marker=marker)
        figure.draw(signal.lines() if layer.lines else signal)
    ticks = nice_ticks(end, max(2, width // 12))
    figure.ruler("x").lim(0, max(end, 1)).ticks(ticks, [f"{tick:,}" for tick in ticks])
    drawn = str(figure.build().string()).rstrip("\n")
    return Text.from_ansi(drawn.translate(_TO_ASCII) if signs.ascii else drawn, no_wrap=True, end="")


def nice_ticks(end: float, most: int) -> list[int]:
    """Whole numbers from 0 to `end` at most `most` of them, 1, 2 or 5 times a power of ten apart."""
    steps = (factor * 10**power for power in range(12) for factor in (1, 2, 5))
    step = next(step for step in steps if end / step <= most - 1)
    return list(range(0, int(end) + 1, step))


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
