"""What the training costs, on every step that decides it: memory, what makes it fit on one key, time; start anyway."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from sft_tui.answers import Answers
from sft_tui.machine.gpus import GpuReport
from sft_tui.plan.assess import Assessment, Assessor
from sft_tui.plan.data_lengths import MeanTokens
from sft_tui.plan.need import needed_packages
from sft_tui.project.files import read_json
from sft_tui.project.plan_record import Plan, plan_from_json
from sft_tui.tui.look.amounts import time_line, time_span
from sft_tui.tui.look.signs import ASCII, UNICODE
from sft_tui.tui.services import Services
from sft_tui.tui.wizard.draft import Draft
from sft_tui.tui.wizard.memory import MemoryScreen
from tests.tui.helpers import (
    GIB,
    MODEL,
    NO_CARD,
    FakeServices,
    WizardApp,
    card,
    filled,
    lines,
    settle,
    shown,
    text,
    wizard,
)

SMALL = dataclasses.replace(
    card(0, 1.0), name="NVIDIA GeForce RTX 4090", total_bytes=24 * GIB, free_bytes=23 * GIB, used_bytes=GIB
)
ONE_SMALL = GpuReport((SMALL,), driver="580.65")
TOO_LARGE = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "cutoff_len": 4096}
HUB = "Qwen/Qwen2.5-7B-Instruct"


def large(project: Path, **train: object) -> Draft:
    """A draft whose training does not fit on a 24 GB card."""
    draft = filled(project)
    draft.set("hardware.gpus", [0])
    draft.set("model.path", HUB)
    draft.set("train", {**TOO_LARGE, **train})
    return draft


@pytest.mark.parametrize("step", ["gpu", "model", "config", "review"])
async def test_each_step_says_that_it_does_not_fit_and_f7_makes_it_fit(tmp_path: Path, step: str) -> None:
    app = wizard(tmp_path, report=ONE_SMALL, draft=large(tmp_path))
    height = 34 if step == "review" else 24  # the review first says that LLaMA-Factory and the hub are not there
    async with app.run_test(size=(80, height)) as pilot:
        app.show_step(step)
        await settle(pilot)
        assert "does not fit" in text(app)
        assert "F7 Make it fit" in text(app) and "F6 Memory" in text(app)
        await pilot.press("f7")
        await settle(pilot)
        assert "✓ fits" in " ".join(text(app).split()), text(app)
        assert "Changed so that it fits" in text(app)
        assert "F7" not in text(app).split("\n")[-1]
        app.show_step("config")
        await settle(pilot)
        assert "effective batch size 16 (1 x 16)" in text(app)
        assert "✓ fits" in text(app)
    assert app.draft.get("train.gradient_accumulation_steps") == 16


async def test_the_need_is_shown_part_by_part_and_a_number_applies_a_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sft_tui.tui.wizard.base.KEEP_S", 0.02)  # what the settings below show must not be kept
    app = wizard(tmp_path, report=ONE_SMALL, draft=large(tmp_path))
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("config")
        await settle(pilot)
        await pilot.press("f6")
        await settle(pilot)
        assert isinstance(app.screen, MemoryScreen)
        seen = text(app)
        assert "weights" in seen and "14.19 GiB" in seen and "█" in seen and "±" in seen
        assert "f  makes it fit:" in seen
        number = next(
            line.split()[0] for line in seen.split("\n") if "accumulate" in line and line.split()[0].isdigit()
        )
        await pilot.press(number)
        await settle(pilot)
        assert app.draft.get("train.per_device_train_batch_size") == 4
        assert "Set: per_device_train_batch_size: 4" in text(app)
        await pilot.press("u")
        await settle(pilot)
        assert app.draft.get("train.per_device_train_batch_size") == 8
        await pilot.press(number, "escape")
        await settle(pilot)
        assert shown(app).STEP == "config"
        assert "(4 x 4)" in text(app)
    assert app.draft.get("train.gradient_accumulation_steps") == 4


async def test_what_needs_a_missing_package_is_not_applied(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=ONE_SMALL, draft=large(tmp_path))
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("gpu")
        await settle(pilot)
        await pilot.press("f6")
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, MemoryScreen) and screen.view is not None
        screen.view = dataclasses.replace(screen.view, packages=frozenset())
        number = next(i for i, each in enumerate(screen.view.suggestions, 1) if each.needs)
        await pilot.press(str(number))
        await settle(pilot)
        assert "which is not there" in text(app)
    assert app.draft.get("train") == TOO_LARGE


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model", None, "it depends on the model"),
        ("hardware.gpus", "none", "on the processor"),
        ("model.path", "someone/unheard-of", "not known here"),
    ],
)
async def test_an_unknown_need_says_why(tmp_path: Path, key: str, value: object, said: str) -> None:
    draft = large(tmp_path)
    draft.set(key, value)
    app = wizard(tmp_path, report=ONE_SMALL, draft=draft)
    async with app.run_test(size=(60, 20)) as pilot:
        await settle(pilot)
        app.open("memory")
        await settle(pilot)
        assert said in " ".join(text(app).split()), text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "welcome"


async def test_where_a_package_would_make_it_fit_its_command_is_shown(tmp_path: Path) -> None:
    draft = large(tmp_path)
    draft.set("model.path", "Qwen/Qwen2.5-14B-Instruct")
    app = wizard(tmp_path, report=ONE_SMALL, draft=draft)
    async with app.run_test(size=(100, 40)) as pilot:
        app.show_step("gpu")
        await settle(pilot)
        view = app.services.memory(draft.data, draft.answers_path)
        if "bitsandbytes" in view.packages:
            pytest.skip("bitsandbytes is installed")
        await pilot.press("f7")
        await settle(pilot)
        seen = " ".join(text(app).replace("Enter: Continue", "").split())  # it stands beside the first line
        assert "It can fit with packages that are missing:" in seen
        assert "-m pip install" in seen and "bitsandbytes" in seen
    assert app.draft.get("train") == TOO_LARGE


async def test_automatic_says_whether_what_it_makes_of_the_preset_fits(tmp_path: Path) -> None:
    draft = large(tmp_path)
    draft.set("train", None)
    app = wizard(tmp_path, report=ONE_SMALL, draft=draft)
    async with app.run_test(size=(100, 40)) as pilot:
        app.show_step("model")
        await settle(pilot)
        need = next(line for line in lines(app) if "memory: about" in line).split("about ")[1].split(" ")[0]
        assert f"fits: about {need} of" in " ".join(text(app).split("No GPU")[0].split())


async def test_a_change_of_settings_says_what_it_changes(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=ONE_SMALL, draft=large(tmp_path))
    async with app.run_test(size=(140, 40)) as pilot:
        app.show_step("config")
        await settle(pilot)
        assert "most of the memory:" in text(app)
        await pilot.press("tab", "tab", "backspace", "4")
        await settle(pilot)
        assert "by the last change)" in text(app)
        assert "(4 x 2)" in text(app)


# -- starting anyway --------------------------------------------------------------------------------------------------


async def test_it_can_be_started_although_it_seems_not_to_fit(tmp_path: Path) -> None:
    draft = large(tmp_path)
    draft.set("model.path", str(MODEL))
    draft.set("train.cutoff_len", 1_000_000)
    draft.set("train.per_device_train_batch_size", 64)
    app = wizard(tmp_path, report=ONE_SMALL, draft=draft)
    services = app.services
    assert isinstance(services, FakeServices)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        screen = shown(app)
        found: Assessment = screen.found  # type: ignore[attr-defined]
        only = [problem for problem in found.problems if problem.code == "gpu_memory"]
        assert only
        screen.found = dataclasses.replace(found, problems=tuple(only))  # type: ignore[attr-defined]
        screen.refresh_bindings()
        screen.refresh_actions()
        await settle(pilot)
        assert "f starts anyway" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, MemoryScreen)
        await pilot.press("escape", "f", "escape")
        await settle(pilot)
        assert not services.started
        await pilot.press("f", "enter")
        await settle(pilot)
        assert services.forced == [True]


async def test_a_hub_that_does_not_answer_is_said_before_the_start_and_can_be_passed_over(tmp_path: Path) -> None:
    draft = filled(tmp_path, model__path=HUB, train__use_cpu=True, train__bf16=False)
    app = wizard(tmp_path, draft=draft)
    services = app.services
    assert isinstance(services, FakeServices)
    async with app.run_test(size=(80, 30)) as pilot:
        app.show_step("review")
        await settle(pilot)
        assert "127.0.0.1:9 does not answer" in " ".join(text(app).split())
        screen = shown(app)
        found: Assessment = screen.found  # type: ignore[attr-defined]
        only = tuple(problem for problem in found.problems if problem.code == "hub_unreachable")
        screen.found = dataclasses.replace(found, problems=only)  # type: ignore[attr-defined]
        screen.refresh_bindings()
        await pilot.press("f")
        await settle(pilot)
        assert "cannot be loaded" in text(app) and "memory runs out" not in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert services.forced == [True]
        await pilot.press("enter")


async def test_a_run_that_fits_is_not_forced(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    services = app.services
    assert isinstance(services, FakeServices)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        await pilot.press("f", "enter")
        await settle(pilot)
    assert services.forced == [False]


def test_the_plan_that_is_started_anyway_carries_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Plan] = []
    monkeypatch.setattr("sft_tui.run.lifecycle._launch", lambda layout: started.append(_plan_in(layout.plan)))
    found = Assessor(lambda: NO_CARD).assess(filled(tmp_path).data, tmp_path / "answers.yaml", 30)
    Services().start(found, force=True)
    Services().start(found)
    assert [plan.force for plan in started] == [True, False]


def _plan_in(path: Path) -> Plan:
    data = read_json(path)
    assert isinstance(data, dict)
    return plan_from_json(data)


# -- time -------------------------------------------------------------------------------------------------------------


def assessed(project: Path, report: GpuReport, rows: int | None, tokens: MeanTokens | None = None) -> Assessment:
    """The large draft on the cards of `report`."""
    draft = large(project)
    return Assessor(lambda: report).assess(draft.data, project / "answers.yaml", rows, tokens=tokens)


def test_the_time_says_on_what_it_rests(tmp_path: Path) -> None:
    assert "assuming 512 tokens a sample" in time_line(assessed(tmp_path, ONE_SMALL, 1000))
    guessed = assessed(tmp_path, ONE_SMALL, 1000, MeanTokens("rows.csv", 123.4, False))
    assert "guessing 123 tokens a sample" in time_line(guessed)
    counted = assessed(tmp_path, ONE_SMALL, 1000, MeanTokens("rows.csv", 2000.0, True))
    assert "2000 tokens a sample on average" in time_line(counted)
    assert guessed.time is not None and counted.time is not None
    assert (guessed.time.seconds_low or 0) < (counted.time.seconds_low or 0)
    other = assessed(tmp_path, ONE_SMALL, 1000, MeanTokens("others.csv", 2000.0, True))
    assert "assuming" in time_line(other), "statistics of another file say nothing"


def test_an_unknown_time_says_why(tmp_path: Path) -> None:
    odd = GpuReport((dataclasses.replace(SMALL, name="Some Card 9000"),), driver="1")
    assert "the speed of Some Card 9000 is not known" in time_line(assessed(tmp_path, odd, 1000))


def test_on_a_processor_the_time_and_the_main_memory_are_estimated(tmp_path: Path) -> None:
    draft = filled(tmp_path)
    few, many = (Assessor(lambda: NO_CARD).assess(draft.data, tmp_path / "answers.yaml", rows) for rows in (30, 3000))
    assert few.time is not None and many.time is not None
    assert (few.time.seconds_low or 0) < (many.time.seconds_low or 0) < (many.time.seconds_high or 0)
    assert not [p for p in few.problems if p.code == "main_memory"]
    shutil.copytree(MODEL, tmp_path / "model")
    draft.set("model.path", "./model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    large = {**config, "hidden_size": 16384, "intermediate_size": 65536, "num_hidden_layers": 200}
    (tmp_path / "model" / "config.json").write_text(json.dumps(large))
    found = Assessor(lambda: NO_CARD).assess(draft.data, tmp_path / "answers.yaml", 30)
    (problem,) = [p for p in found.problems if p.code == "main_memory"]
    assert problem.severity.value == "warning" and problem.key == "model.path"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(5, 60, "a minute"), (720, 1200, "12-20 min"), (5400, 14400, "1.5-4 h"), (200_000, 600_000, "2.3-7 days")],
)
def test_a_span_is_said_as_people_say_it(low: float, high: float, said: str) -> None:
    assert time_span(low, high) == said


async def test_the_settings_show_the_time(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=ONE_SMALL, draft=large(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("preview")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "time: about" in text(app) and "guessing" in text(app)


class LengthServices(FakeServices):
    """Samples of 321 tokens."""

    def count_tokens(self, answers: Answers, answers_path: Path) -> MeanTokens | None:
        """Without counting."""
        return MeanTokens(answers.data.source, 321.0, True)


async def test_lengths_are_counted_quietly_where_the_preview_was_not_seen(tmp_path: Path) -> None:
    app = WizardApp(tmp_path, services=LengthServices(ONE_SMALL), draft=large(tmp_path), language="en")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("config")
        await settle(pilot)
        assert "321 tokens a sample on average" in text(app)


async def test_ascii_signs_only(tmp_path: Path) -> None:
    app = WizardApp(tmp_path, services=FakeServices(ONE_SMALL), draft=large(tmp_path), signs=ASCII, language="en")
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("gpu")
        await settle(pilot)
        await pilot.press("f6")
        await settle(pilot)
        body = "\n".join(text(app).split("\n")[:-4])
        assert body.isascii(), [c for c in body if not c.isascii()]
    assert UNICODE.done not in body


def test_the_packages_that_would_make_it_fit() -> None:
    assert needed_packages({"deepspeed": "zero3", "enable_liger_kernel": True}) == ["liger-kernel", "deepspeed"]
    assert needed_packages({"quantization_bit": 4}) == needed_packages({"optim": "adamw_8bit"}) == ["bitsandbytes"]
    assert needed_packages({"cutoff_len": 512, "quantization_bit": None}) == []
