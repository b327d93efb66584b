"""How long a run is: what the plan says against what the conversion writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft_tui.dataset import Columns, ConvertRequest, convert
from sft_tui.plan.context import gather
from sft_tui.plan.data_lengths import DataLengths
from sft_tui.plan.length import file_rows, run_length
from sft_tui.plan.make import make_plan
from sft_tui.plan.preflight import preflight
from sft_tui.plan.sources import parts_of
from sft_tui.problems import Refusal
from tests.unit.plan import make_answers, make_gpu, make_situation


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 40),
    size=st.one_of(st.integers(0, 45), st.floats(0.01, 0.99)),
    most=st.one_of(st.none(), st.integers(1, 50)),
)
def test_the_split_is_that_of_the_conversion(tmp_path: Path, rows: int, size: int | float, most: int | None) -> None:
    source = tmp_path / "a.csv"
    source.write_text("q,a\n" + "".join(f"question {n},answer {n}\n" for n in range(rows)), encoding="utf-8")
    request = ConvertRequest(
        str(source),
        tmp_path / "out",
        name="a",
        columns=Columns(input="q", output="a"),
        test_size=size,
        max_samples=most,
        overwrite=True,
    )
    answers = make_answers(data={"test_size": size, "max_samples": most})
    planned, _exact = file_rows(*parts_of(answers, make_situation(rows=rows)))
    try:
        assert planned == convert(request).train_rows
    except Refusal:
        assert planned == 0


@pytest.mark.parametrize(
    ("mark", "train_rows"),
    [
        (lambda n: {"label": n % 4 != 0}, 900 * 0.9),  # the bad answers are left out, then a tenth is for testing
        (lambda n: {"split": "test" if n >= 900 else "train"}, 900),  # the data's own test rows, and no others
        (lambda n: {}, 1080),
    ],
    ids=["label", "split", "none"],
)
def test_rows_before_the_conversion_know_labels_and_splits(
    tmp_path: Path, mark: Callable[[int], dict[str, Any]], train_rows: float
) -> None:
    rows = [{"question": f"q{n}", "answer": f"a{n}", **mark(n)} for n in range(1200)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    answers = make_answers(data={"source": "a.jsonl", "test_size": 0.1})
    situation = gather(answers, tmp_path / "answers.yaml")
    planned, exact = file_rows(*parts_of(answers, situation))
    assert not exact
    assert planned == pytest.approx(train_rows, rel=0.2 if "split" in rows[0] else 0.05)


def test_three_rows_leave_one_to_train_on() -> None:
    answers = make_answers(data={"test_size": 0.9})
    situation = make_situation(rows=3)
    assert file_rows(*parts_of(answers, situation)) == (1, False)
    found = preflight(answers, situation, make_plan(answers, situation), light=True)
    assert "data.test_size" not in [problem.key for problem in found]


def test_evaluation_rows_are_not_trained_on_and_the_conversion_knows_best() -> None:
    answers = make_answers(data={"test_size": 0.1})
    options = make_plan(answers, make_situation(rows=200)).train_options
    assert options["val_size"] == 0.1
    before = run_length(answers, make_situation(rows=200), options, 1)
    after = run_length(answers, make_situation(rows=200, converted=145), options, 1)
    assert (before.rows, before.exact) == (162, False)
    assert (after.rows, after.exact) == (130, True)


def test_rows_of_other_data_are_not_those_of_the_source() -> None:
    answers = make_answers(train={"dataset": "mine"})
    plan = make_plan(answers, make_situation(rows=100))
    assert run_length(answers, make_situation(rows=100), plan.train_options, 1).rows is None


SHORT = DataLengths(100, True, 1000, (50,) * 400)


@pytest.mark.parametrize(
    ("changes", "situation"),
    [
        ({}, {"rows": 1000}),
        ({}, {"rows": 30}),
        ({"packing": True}, {"rows": 1000, "lengths": SHORT}),
        ({"packing": True}, {"rows": 1000}),
        ({}, {"rows": None}),
    ],
)
def test_nothing_is_planned_beyond_the_end(changes: dict[str, Any], situation: dict[str, Any]) -> None:
    """Half of the rows may be left out, and the training still evaluates and saves before its end."""
    answers = make_answers(train=changes, preset="guide-24gb")
    options = make_plan(answers, make_situation(make_gpu(), **situation)).train_options
    truth = make_situation(make_gpu(), converted=(situation["rows"] or 100) // 2, lengths=SHORT)
    steps = run_length(answers, truth, options, 1).steps
    assert steps is not None
    for key in ("eval_steps", "save_steps"):
        assert options[key] <= max(steps, 1), (key, options[key], steps)
