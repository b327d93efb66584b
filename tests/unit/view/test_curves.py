"""Curves in bounded memory."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sft_tui.view.curves import LIMIT, Series, resample, smooth


def series_of(*points: tuple[float, float]) -> Series:
    series = Series()
    for step, value in points:
        series.add(step, value)
    return series


def test_first_last_and_lowest_are_exact_for_any_length() -> None:
    series = series_of(*((step, 100_000.0 - step) for step in range(100_000)))
    curve = series.curve()
    assert (curve.first, curve.last, curve.lowest) == (100_000.0, 1.0, 1.0)
    assert len(curve.points) <= LIMIT
    steps = [step for step, _ in curve.points]
    assert steps == sorted(steps) and steps[-1] == 99_999


def test_steps_that_go_back_replace_what_follows() -> None:
    series = series_of((10, 3.0), (20, 2.0), (30, 0.5), (20, 2.1), (30, 1.8))
    curve = series.curve()
    assert curve.points == ((10, 3.0), (20, 2.1), (30, 1.8))
    assert (curve.first, curve.last, curve.lowest) == (3.0, 1.8, 1.8)
    assert series_of((10, 3.0), (5, 4.0)).curve().first == 4.0


def test_nan_is_kept_but_never_the_lowest() -> None:
    curve = series_of((1, 2.0), (2, math.nan)).curve()
    assert curve.lowest == 2.0 and curve.last is not None and math.isnan(curve.last)


def test_resample_says_where_nothing_is() -> None:
    values = resample([(0, 1.0), (1, 3.0), (9, math.nan), (10, 5.0)], 0, 10, 5)
    assert values[0] == 2.0 and values[1:4] == [None, None, None] and values[4] == 5.0
    only_nan = resample([(0, math.nan)], 0, 1, 1)[0]
    assert only_nan is not None and math.isnan(only_nan)
    assert resample([], 0, 1, 0) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 80))
def test_resampled_values_lie_between_the_extremes(values: list[float], width: int) -> None:
    points = [(float(i), v) for i, v in enumerate(values)]
    low, high = min(values), max(values)
    for value in resample(points, 0, len(values) - 1, width):
        assert value is None or low - 1e-3 <= value <= high + 1e-3


def test_smoothing_starts_at_the_first_value_and_skips_nan() -> None:
    points = smooth([(1, 4.0), (2, math.nan), (3, 4.0)])
    assert [step for step, _ in points] == [1, 3]
    assert all(abs(value - 4.0) < 1e-9 for _, value in points)
