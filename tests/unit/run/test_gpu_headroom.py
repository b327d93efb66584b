"""How much memory must be free for a plan, and who is named where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sft_tui.machine.gpus import GpuProcess, GpuReport
from sft_tui.plan.change import Change, change
from sft_tui.plan.gpu_headroom import cards_of, could_fit, holder, lacking, least_free_bytes, wanted_free_bytes
from sft_tui.plan.make import make_plan
from sft_tui.project.plan_record import Plan, PlannedEstimate
from sft_tui.run.gpu_queue import Waiting, waiting_text
from tests.unit.plan import GIB, make_answers, make_gpu, make_situation

NEED = PlannedEstimate(20 * GIB, {}, 0.03, "no", 4 * GIB)


def a_plan() -> Plan:
    situation = make_situation(make_gpu(0), make_gpu(1))
    plan = make_plan(make_answers(hardware={"gpus": [1], "wait": True}), situation)
    return replace(plan, estimate=NEED)


@pytest.mark.parametrize("total_gib", [20, 20.5, 21, 24, 80])
def test_what_is_waited_for_is_free_on_an_empty_card_that_could_take_it(total_gib: float) -> None:
    card = make_gpu(total_gib=total_gib)
    assert could_fit(NEED, card)
    wanted = wanted_free_bytes(NEED, card.total_bytes)
    assert least_free_bytes(NEED) <= wanted <= card.total_bytes - (480 << 20)
    assert not could_fit(NEED, make_gpu(total_gib=19))
    assert could_fit(NEED, make_gpu(total_gib=0)), "a card that does not tell its size"


def test_too_little_free_is_refused_with_who_holds_it() -> None:
    plan = a_plan()
    assert plan.wait and not plan.any_gpu
    process = GpuProcess(4711, "ann", "python train.py", 20 * GIB)
    full = make_gpu(1, free_bytes=3 * GIB, processes=(process,))
    free = make_gpu(0)
    said = lacking(plan, GpuReport((free, full)))
    assert said and "pid 4711 (ann): python train.py, 20.0 GiB" in said and "3.0 GiB" in said
    assert cards_of(plan, GpuReport((free, full))) == (full,)
    assert lacking(plan, GpuReport((free, make_gpu(1)))) is None
    assert lacking(replace(plan, force=True), GpuReport((full,))) is None
    assert lacking(replace(plan, estimate=None), GpuReport((full,))) is None
    assert lacking(plan, GpuReport((), "no driver", "no_driver")) is None
    assert "cannot be seen" in (lacking(plan, GpuReport((replace(full, processes=()),))) or "")
    assert holder(GpuProcess(1, None, "x" * 99, None)).endswith("...")


def test_a_plan_moves_to_the_card_that_became_free() -> None:
    plan = a_plan()
    moved = change(plan, Change("moved", gpus=[make_gpu(0)]))
    train, export = moved.stage("train"), moved.stage("export")
    assert moved.gpus == (0,) and train and train.env["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    assert "CUDA_VISIBLE_DEVICES=GPU-0" in train.shown
    assert export == plan.stage("export"), "the export is on the CPU"


def test_the_wait_is_told() -> None:
    text = waiting_text(Waiting(754.2, 20 * GIB, 3 * GIB, 2, (), "one card is lost"))
    assert "12:34" in text and "20.0 GiB" in text and "3.0 GiB" in text and ": 2." in text and "lost" in text
