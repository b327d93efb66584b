"""What charts, sparklines and figures make of any curve."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import ASCII, UNICODE, Signs
from sft_tui.tui.runs.key_figures import trend
from sft_tui.tui.widgets.big_chart import Curves, draw_chart, nice_ticks
from sft_tui.tui.widgets.loss_spark import loss_lines
from sft_tui.view.curves import Curve, Series


def curve_of(values: list[float], step: int = 5) -> Curve:
    series = Series()
    for number, value in enumerate(values, 1):
        series.add(number * step, value)
    return series.curve()


FALLING = curve_of([3 * math.exp(-n / 20) + 1 for n in range(60)])
RATE = curve_of([1e-4 * (1 - n / 60) for n in range(60)])
SPARSE = curve_of([2.8, 2.0, 1.5], 100)


@pytest.mark.parametrize("signs", [UNICODE, ASCII])
@pytest.mark.parametrize(("width", "height"), [(58, 14), (78, 18), (66, 28)])
def test_a_chart_fills_its_place_exactly(signs: Signs, width: int, height: int) -> None:
    lines = draw_chart(Curves(FALLING, SPARSE, RATE), width, height, signs).plain.split("\n")
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)
    body = "\n".join(lines)
    assert "loss" in lines[0] and "smoothed" in lines[0] and "eval" in lines[0]
    assert ("o" if signs.ascii else "●") in "".join(lines[1:])
    assert not signs.ascii or body.isascii()


def test_without_a_loss_there_is_a_sentence() -> None:
    empty = Curve()
    assert "no loss yet" in draw_chart(Curves(empty, empty, empty), 60, 15, UNICODE).plain
    nan = curve_of([math.nan, math.nan])
    assert "no loss yet" in draw_chart(Curves(nan, empty, empty), 60, 15, UNICODE).plain


def test_a_missing_plotext_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    assert "plotext does not load" in draw_chart(Curves(FALLING, SPARSE, RATE), 60, 15, UNICODE).plain


values = st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(math.nan), st.just(math.inf)), max_size=40)


@given(values, values, st.integers(20, 120), st.integers(6, 40))
@settings(max_examples=40, deadline=None)
def test_any_curve_can_be_drawn(train: list[float], evaluation: list[float], width: int, height: int) -> None:
    draw_chart(Curves(curve_of(train), curve_of(evaluation), curve_of(train)), width, height, UNICODE)


@given(values, values, st.integers(0, 120))
@settings(max_examples=100, deadline=None)
def test_sparklines_keep_to_their_width(train: list[float], evaluation: list[float], width: int) -> None:
    lines = loss_lines(curve_of(train), curve_of(evaluation), UNICODE, width)
    assert len(lines) == 2
    room = max(width, max(cell_len(line.plain.lstrip()) for line in lines) + 2)
    assert all(cell_len(line.plain) <= room for line in lines)


def test_a_sparkline_tells_first_and_last() -> None:
    train, evaluation = loss_lines(FALLING, SPARSE, ASCII, 60)
    assert train.plain.endswith("train  4.00 -> 1.16") and evaluation.plain.endswith("eval  2.80 -> 1.50")
    assert train.plain[0] == "#" and train.plain.split("  train")[0].rstrip()[-1] == "_"
    nothing = loss_lines(Curve(), Curve(), UNICODE, 60)
    assert nothing[0].plain.endswith("train  -") and nothing[0].plain.strip().startswith("train")


def test_trend_only_where_there_is_one() -> None:
    assert trend(FALLING, UNICODE) == "▼" and trend(curve_of([1.0, 1.0, 1.0, 1.0]), UNICODE) == ""
    assert trend(curve_of([1.0, 1.5, 2.0, 3.0]), ASCII) == "^" and trend(curve_of([1.0]), UNICODE) == ""


def test_ticks_are_round_numbers() -> None:
    assert nice_ticks(282, 6) == [0, 100, 200]
    assert nice_ticks(1, 5) == [0, 1]
    assert nice_ticks(1_000_000, 6) == [0, 200_000, 400_000, 600_000, 800_000, 1_000_000]


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (text.loss(None), "-"),
        (text.loss(math.nan), "NaN"),
        (text.loss(1.23456), "1.235"),
        (text.loss(12345.6), "1.235e+04"),
        (text.rate(8.1e-5), "8.1e-5"),
        (text.rate(0.0), "0"),
        (text.rate(None), "-"),
        (text.seconds(291), "0:04:51"),
        (text.seconds(90061), "1d 01:01:01"),
        (text.seconds(None), "-"),
        (text.pace(1.9), "1.9 s/step"),
        (text.pace(0.08), "12.5 steps/s"),
        (text.pace(None), "-"),
        (text.whole(8412), "8,412"),
        (text.number(3.0), "3"),
        (text.number(1.36), "1.36"),
        (text.gib(19_327_352_832), "18.0"),
    ],
)
def test_figures(shown: str, wanted: str) -> None:
    assert shown == wanted
