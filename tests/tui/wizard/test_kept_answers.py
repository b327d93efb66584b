"""What was decided is neither forgotten nor replaced, and nothing is done twice or from an old answer."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pty_probe import Session
from sft_tui.machine.gpus import GpuReport
from sft_tui.plan.assess import Assessment
from sft_tui.tui.look.signs import UNICODE
from sft_tui.tui.screen import help_topic
from sft_tui.tui.services import Machine
from sft_tui.tui.steps import step_of_key
from sft_tui.tui.wizard.draft import Draft, kept_draft
from tests.tui.helpers import (
    MODEL,
    FakeServices,
    WizardApp,
    card,
    filled,
    settle,
    shown,
    text,
    thirty_rows,
    wizard,
)
from tests.tui.test_pty import WIZARD, environment

EIGHT_CARDS = GpuReport(tuple(card(index, 0.5 + index) for index in range(8)), driver="580.65")


async def test_a_setup_that_was_started_is_not_offered_again(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert app.opened is not None
        await pilot.press("f10")
    assert kept_draft(tmp_path) == (None, None)
    again = WizardApp(tmp_path, services=app.services, language="en")
    async with again.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "half-finished" not in text(again) and "Start a new fine-tuning" in text(again)


async def test_a_setup_whose_start_was_not_waited_for_is_not_offered_again(tmp_path: Path) -> None:
    """The window is closed between Enter and the run's first sign of life."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(FakeServices):
        def start(self, found: Assessment, *, force: bool = False) -> Any:
            begun.set()
            go_on.wait(30)
            return super().start(found, force=force)

    app = WizardApp(tmp_path, services=Slow(), draft=filled(tmp_path), signs=UNICODE, language="en")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert begun.wait(30)
        app.keep()  # as by F10 or a hang-up
        go_on.set()
        await settle(pilot)
        await pilot.press("f10")
    assert kept_draft(tmp_path) == (None, None)


async def test_the_review_never_starts_an_older_plan(tmp_path: Path) -> None:
    """The first look takes long; meanwhile the settings are changed, and its answer comes last."""
    first_may_end, second_done = threading.Event(), threading.Event()

    class Late(FakeServices):
        looks = 0

        def dataset_info(self, found: Assessment) -> str:
            self.looks += 1
            if self.looks == 1:
                first_may_end.wait(30)
            else:
                second_done.set()
            return ""

    app = WizardApp(tmp_path, services=Late(), draft=filled(tmp_path), signs=UNICODE, language="en")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await pilot.pause()
        while app.services.looks == 0:  # type: ignore[attr-defined]
            await pilot.pause(0.02)
        app.draft.set("train.learning_rate", 7e-4)
        shown(app).draft_changed()  # type: ignore[attr-defined]
        while not second_done.is_set():
            await pilot.pause(0.02)
        await pilot.pause(0.1)
        first_may_end.set()
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
    assert isinstance(app.services, FakeServices)
    assert app.services.started[0].options["learning_rate"] == 7e-4


async def test_the_review_looks_again_where_the_answers_are_others_now(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        app.draft.set("train.learning_rate", 7e-4)
        await pilot.press("enter")
        await settle(pilot)
        assert app.opened is None
        await pilot.press("enter")
        await settle(pilot)
    assert isinstance(app.services, FakeServices)
    assert app.services.started[0].options["learning_rate"] == 7e-4


def _model_with_code(directory: Path) -> Path:
    directory.mkdir()
    for path in MODEL.iterdir():
        if path.name != "config.json":
            (directory / path.name).symlink_to(path)
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    config |= {
        "model_type": "ours",
        "architectures": ["OursForCausalLM"],
        "auto_map": {"AutoConfig": "ours.OursConfig", "AutoModelForCausalLM": "ours.OursForCausalLM"},
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (directory / "ours.py").write_text("class OursConfig: ...\nclass OursForCausalLM: ...\n", encoding="utf-8")
    return directory


async def test_a_model_with_code_of_its_own_can_be_trusted_where_it_is_chosen(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    model = _model_with_code(tmp_path / "ours")
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await settle(pilot)
        await pilot.press(*str(model), "enter")
        await settle(pilot)
        assert "Python code of its own" in text(app) and shown(app).STEP == "model"
        await pilot.press("tab", "space")
        await settle(pilot)
        assert "Python code of its own" not in text(app), text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
    assert app.draft.get("train.trust_remote_code") is True


async def test_a_model_that_the_answers_trust_is_accepted(tmp_path: Path) -> None:
    model = _model_with_code(tmp_path / "ours")
    app = wizard(tmp_path, draft=filled(tmp_path, model__path=str(model), train__trust_remote_code=True))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await settle(pilot)
        assert "brings Python code" not in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
    assert app.draft.get("train.trust_remote_code") is True


@pytest.mark.parametrize("wanted", [[2], [7], [11], [0, 11], [1, 2]])
async def test_a_chosen_card_stays_chosen(tmp_path: Path, wanted: list[int]) -> None:
    """Also one that is not there at the moment: a choice never replaces what it does not know."""
    draft = filled(tmp_path)
    draft.set("hardware.gpus", wanted)
    app = wizard(tmp_path, report=EIGHT_CARDS, draft=draft)
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("gpu")
        await settle(pilot)
        for index in wanted:
            assert f"GPU {index}" in text(app)
        await pilot.press("enter")
        await settle(pilot)
    assert app.draft.get("hardware.gpus") == wanted


async def test_leaving_the_model_before_the_machine_is_known_changes_nothing(tmp_path: Path) -> None:
    may_learn = threading.Event()

    class Slow(FakeServices):
        def machine(self) -> Machine:
            may_learn.wait(30)
            return super().machine()

    draft = filled(tmp_path, preset="lora-small", model__template="llama3")
    app = WizardApp(tmp_path, services=Slow(), draft=draft, signs=UNICODE, language="en")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert shown(app).STEP == "gpu"
        may_learn.set()
        await settle(pilot)
    assert (app.draft.get("preset"), app.draft.get("model.template")) == ("lora-small", "llama3")


async def test_the_model_step_keeps_a_preset_and_a_template_that_it_does_not_know(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, preset="of-my-own", model__template="of-my-own"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
    assert (app.draft.get("preset"), app.draft.get("model.template")) == ("of-my-own", "of-my-own")


@pytest.mark.parametrize(
    "data",
    [
        {"model": "Qwen/Qwen2.5-0.5B-Instruct", "data": {"source": "rows.csv"}},
        {"model": {"path": str(MODEL)}, "data": "rows.csv"},
        {"model": {"path": 5}, "data": {"source": ["rows.csv"], "columns": "question"}, "train": "fast"},
        {"model": {"path": str(MODEL)}, "hardware": 3, "run": "apples", "export": False, "preset": ["a"]},
    ],
)
async def test_answers_of_a_wrong_shape_are_shown_and_put_right_not_crashed_on(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    thirty_rows(tmp_path)
    app = wizard(tmp_path, draft=Draft(tmp_path, data=data, answers_path=tmp_path / "answers.yaml"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for step in ("config", "review", "preview", "data", "model", "gpu"):
            app.show_step(step)
            await settle(pilot)
            assert step == shown(app).STEP
    assert app.return_code in (None, 0)


async def test_several_sources_are_shown_and_kept_as_they_are(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    (tmp_path / "more.csv").write_text("ask,reply\n" + "".join(f"q{n},a{n}\n" for n in range(9)))
    data: dict[str, Any] = {
        "model": {"path": str(MODEL)},
        "data": {
            "sources": [
                {"path": "more.csv", "weight": 2, "columns": {"input": "ask", "output": "reply"}},
                {"path": "rows.csv", "weight": 1},
            ],
        },
    }
    before = json.dumps(data)
    app = wizard(tmp_path, draft=Draft(tmp_path, data=data, answers_path=tmp_path / "answers.yaml"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        seen = text(app)
        assert "1. more.csv" in seen and "2. rows.csv (weight: 1)" in seen and "input: ask" in seen
        for keys, source, words in (((), 1, "q0"), (("down",), 2, "What is 0 plus one?")):
            app.show_step("data")
            await settle(pilot)
            await pilot.press(*keys, "enter")
            await settle(pilot)
            assert shown(app).STEP == "preview" and f"source {source} of 2" in text(app) and words in text(app)
        app.show_step("review")
        await settle(pilot)
        assert "more.csv" in text(app) and "rows.csv" in text(app)
        await pilot.press("escape")
        await settle(pilot)
    assert {key: json.loads(before)[key] for key in ("data",)} == {"data": app.draft.data["data"]}


@pytest.mark.parametrize("step", ["prewiev", "runs", "run", "help", ""])
async def test_a_kept_draft_with_an_unknown_step_begins_at_the_first(tmp_path: Path, step: str) -> None:
    filled(tmp_path).save(step)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "gpu"
    assert app.draft.get("data.source") == "rows.csv"


@pytest.mark.parametrize("name", ["2024", "true", "007", "1e5"])
async def test_a_run_may_be_called_by_a_number(tmp_path: Path, name: str) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.draft.save("config")
        app.switch_screen(app.make("config", "run.name"))
        await settle(pilot)
        await pilot.press(*name)
        await settle(pilot)
        assert "is no value for" not in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "review"
        await pilot.press("enter")
        await settle(pilot)
    assert app.opened is not None and app.opened.name == name


async def test_leaving_while_the_next_step_is_made_is_no_crash(tmp_path: Path) -> None:
    for order in (("enter", "f10"), ("f10", "enter"), ("enter", "enter", "f10", "enter", "escape")):
        app = wizard(tmp_path, report=EIGHT_CARDS, draft=filled(tmp_path))
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            for key in order:
                app.simulate_key(key)
            await pilot.pause()
        assert app.return_code == 0, order
        assert app._exception is None, order


@pytest.mark.parametrize(
    ("key", "step"),
    [
        ("run.name", "config"),
        ("export.size_gb", "config"),
        ("on_failure.oom", "config"),
        ("train.lora_rank", "config"),
        ("data.test_size", "data"),
        ("hardware.gpus", "gpu"),
        ("preset", "model"),
        ("model.adapter", "model"),
    ],
)
def test_a_mistake_leads_to_the_step_on_which_it_can_be_put_right(key: str, step: str) -> None:
    assert step_of_key(key) == step


@pytest.mark.parametrize(
    ("key", "value"), [("run.name", "No Name"), ("export.size_gb", "large"), ("on_failure.oom", "pray")]
)
async def test_enter_on_a_mistake_beside_the_training_goes_to_its_field(tmp_path: Path, key: str, value: str) -> None:
    draft = filled(tmp_path)
    draft.set(key, value)
    app = wizard(tmp_path, draft=draft)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "config"
        assert help_topic(shown(app)) == key


def test_without_colours_everything_can_be_read(tmp_path: Path) -> None:
    with Session(WIZARD, environment(tmp_path, NO_COLOR="1"), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        program.read(1.0)
        seen = bytes(program.seen)
    codes = {code for part in seen.split(b"\x1b[")[1:] if b"m" in part for code in part.split(b"m")[0].split(b";")}
    coloured = {b"%d" % n for n in (*range(30, 39), *range(40, 49), *range(90, 98), *range(100, 108))}
    assert not codes & coloured, codes & coloured


def test_what_was_typed_on_the_page_outlives_the_terminal(tmp_path: Path) -> None:
    with Session(WIZARD, environment(tmp_path), str(tmp_path)) as program:
        program.wait_for("F10 Quit", 60)
        program.send("\r")
        program.wait_for("Which GPU should train?", 60)
        program.send("\r")
        program.wait_for("Which model should learn?", 60)
        program.send("some/model-1")
        program.wait_for("model-1", 60)
        program.read(1.0)
        os.close(program.fd)
        program.fd = os.open(os.devnull, os.O_RDONLY)
        pid, _status = os.waitpid(program.pid, 0)
        assert pid == program.pid
        program.pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
    kept = list((tmp_path / "state").rglob("drafts/*.yaml"))
    assert kept and "some/model-1" in kept[0].read_text(encoding="utf-8")
