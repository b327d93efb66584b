"""Plans that know how long the samples are, and runs that wait."""

from __future__ import annotations

from typing import Any

from sft_tui.plan.data_lengths import DataLengths
from sft_tui.plan.make import make_plan
from sft_tui.project.plan_record import Plan, plan_from_json
from tests.unit.plan import make_answers, make_gpu, make_situation

GIB = 2**30
SHORT = DataLengths(300, True, 1000, tuple(range(50, 300, 5)))
BOTH = ("liger-kernel", "bitsandbytes")


def need(plan: Plan) -> Any:
    assert plan.estimate is not None
    return plan.estimate


def test_short_samples_need_less_and_auto_takes_more() -> None:
    gpu = make_gpu(total_gib=24, free_bytes=int(17.5 * GIB))
    unknown = make_plan(make_answers(), make_situation(gpu, packages=("bitsandbytes",)))
    short = make_plan(make_answers(), make_situation(gpu, packages=("bitsandbytes",), lengths=SHORT))
    assert need(unknown).longest is None and need(short).longest == 300
    assert need(short).fit == "fits"
    assert "quantization_bit" in unknown.train_options and "quantization_bit" not in short.train_options
    assert short.reasons["estimate"] == "no sample has more than 300 tokens"
    assert plan_from_json(short.as_json()).estimate == short.estimate


def test_the_longest_counts_not_the_usual() -> None:
    gpu = make_gpu(total_gib=24)
    fixed = {"preset": "guide-24gb"}
    long = DataLengths(9000, True, 1000, (20,) * 400)
    plan = make_plan(make_answers(**fixed), make_situation(gpu, lengths=long))
    assert need(plan).peak_bytes == need(make_plan(make_answers(**fixed), make_situation(gpu))).peak_bytes


def test_lengths_of_other_data_do_not_count() -> None:
    situation = make_situation(make_gpu(total_gib=24), lengths=SHORT)
    for other in ({"dataset": "a,b"}, {"eval_dataset": "c"}, {"default_system": "long"}, {"stage": "pt"}):
        assert need(make_plan(make_answers(train=other), situation)).longest is None


def test_what_would_fit_is_judged_by_the_lengths() -> None:
    gpu = make_gpu(total_gib=24, free_bytes=15 * GIB)
    situation = make_situation(gpu, packages=BOTH, lengths=SHORT)
    plan = make_plan(make_answers(preset="guide-24gb", train={"cutoff_len": 2048}), situation)
    assert need(plan).fit == "no" and need(plan).changes
    assert "cutoff_len" not in need(plan).changes, "cutting at 1024 saves nothing"


def test_a_run_that_waits_is_not_squeezed_into_what_is_free_now() -> None:
    gpu = make_gpu(total_gib=24, free_bytes=2 * GIB)
    situation = make_situation(gpu, packages=BOTH)
    squeezed = make_plan(make_answers(), situation)
    waiting = make_plan(make_answers(hardware={"wait": True}), situation)
    alone = make_plan(make_answers(), make_situation(make_gpu(total_gib=24, free_bytes=int(23.5 * GIB)), packages=BOTH))
    assert waiting.preset == alone.preset != squeezed.preset
    assert waiting.train_options["cutoff_len"] == alone.train_options["cutoff_len"]
    room = make_situation(make_gpu(total_gib=24, free_bytes=12 * GIB), packages=BOTH)
    fits_now = make_plan(make_answers(hardware={"wait": True}), room)
    assert fits_now.preset == make_plan(make_answers(), room).preset, "what fits now does not wait"
