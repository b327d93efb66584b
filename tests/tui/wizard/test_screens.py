"""Each step: what it shows, what it asks back, and every bad input as a sentence at its field."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sft_tui.machine.gpus import GpuReport
from sft_tui.plan.assess import Assessor
from sft_tui.tui.services import Machine
from sft_tui.tui.widgets.choice import Choice
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.wizard.draft import Draft
from sft_tui.tui.wizard.setting_field import SettingField
from tests.tui.helpers import (
    BUSY,
    MODEL,
    NO_CARD,
    TWO_CARDS,
    FakeServices,
    WizardApp,
    card,
    filled,
    settle,
    shown,
    text,
    thirty_rows,
    wizard,
    write_rows,
)


def message(app: WizardApp, key: str) -> str:
    """What stands under the field of the answer `key`."""
    return next(field.message for field in app.screen.query(Field) if field.key == key)


def setting(app: WizardApp, key: str) -> SettingField:
    """The setting with `key`."""
    return next(field for field in app.screen.query(SettingField) if field.key == key)


async def test_welcome_shows_each_finding_with_sign_word_and_next_step(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        seen = text(app)
        assert "✓ ok      Python: 3.11.7" in seen
        assert "✗ missing LLaMA-Factory: not found" in seen
        assert '→ pip install "sft-tui[train]"' in seen
        assert "! look    disk: 18 GiB free" in seen
        assert "checking" not in seen


async def test_the_demo_begins_with_its_own_answers(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("2", "enter")
        await settle(pilot)
        for key in ("model.path", "data.source"):
            assert Path(str(app.draft.get(key))).exists(), key
        assert app.draft.get("train.num_train_epochs") == 6


async def test_a_half_finished_setup_is_offered_next_time(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press(*str(MODEL), "enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
        await pilot.press("f10")
    again = WizardApp(tmp_path, services=app.services, language="en")
    async with again.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "Go on with the half-finished setup" in text(again)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(again).STEP == "data"
        assert again.draft.get("model.path") == str(MODEL)


async def test_a_broken_draft_is_set_aside_and_named(tmp_path: Path) -> None:
    draft = Draft(tmp_path, answers_path=tmp_path / "answers.yaml")
    draft.file.parent.mkdir(parents=True, exist_ok=True)
    draft.file.write_text("answers: [/b] {", encoding="utf-8")
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "set aside" in text(app)
        assert app.set_aside is not None and app.set_aside.is_file()
    assert not draft.file.exists()


async def test_no_gpu_is_said_and_leads_on_to_the_processor(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=NO_CARD)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("gpu")
        await settle(pilot)
        assert "No NVIDIA driver is installed here" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "model"
    assert app.draft.get("hardware.gpus") == "none"


async def test_cards_show_their_memory_and_who_holds_it(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=TWO_CARDS)
    async with app.run_test(size=(140, 40)) as pilot:
        app.go("gpu")
        await settle(pilot)
        seen = text(app)
        assert "60.0 of 80.0 GiB used" in seen and "97%" in seen
        assert "now GPU 1" in seen
        assert "pid 4711  eve  python train.py --x [/b] ^[[31m" in seen


@pytest.mark.parametrize(("keys", "wanted"), [(("2",), [0]), (("3",), [1]), (("1",), "auto"), (("5",), "none")])
async def test_a_digit_chooses_a_card(tmp_path: Path, keys: tuple[str, ...], wanted: object) -> None:
    app = wizard(tmp_path, report=TWO_CARDS)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("gpu")
        await settle(pilot)
        await pilot.press(*keys, "enter")
        await settle(pilot)
    assert app.draft.get("hardware.gpus") == wanted


async def test_several_cards_need_one(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=TWO_CARDS)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("gpu")
        await settle(pilot)
        await pilot.press("4", "tab", "1", "2", "enter")
        await settle(pilot)
        assert "No card is chosen" in text(app)
        await pilot.press("1", "enter")
        await settle(pilot)
    assert app.draft.get("hardware.gpus") == [0]


async def test_live_figures_do_not_move_the_choice(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=TWO_CARDS)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("gpu")
        await settle(pilot)
        await pilot.press("3")
        screen = shown(app)
        app.services.report = GpuReport((BUSY, card(1, 61.0)), driver="1")  # type: ignore[attr-defined]
        for _round in range(600):
            await pilot.pause(0.05)
            if "61.0 of 80.0" in text(app):
                break
        assert "61.0 of 80.0" in text(app)
        assert screen.query_one("#gpu-mode", Choice).value == "gpu:1"


async def test_each_preset_says_whether_it_fits_the_card(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=TWO_CARDS)
    async with app.run_test(size=(140, 40)) as pilot:
        app.draft.set("hardware.gpus", [1])
        app.go("model")
        await settle(pilot)
        await pilot.press(*"Qwen/Qwen2.5-7B-Instruct", "tab")
        await settle(pilot)
        seen = text(app)
        assert "fits" in seen and "of 79.5 GiB" in seen


MODEL_MISTAKES = (
    ("", "No model is given"),
    ("nowhere/at/all", "nowhere/at/all does not exist"),
    ("./nowhere", "./nowhere does not exist"),
    ("empty", "empty has no config.json"),
    ("rows.csv", "is a file; the model is a directory"),
    ("[/b]", "[/b] does not exist"),
)


@pytest.mark.parametrize(("typed", "said"), MODEL_MISTAKES)
async def test_a_model_that_is_none_is_said_at_the_field(tmp_path: Path, typed: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    thirty_rows(tmp_path)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("model")
        await settle(pilot)
        await pilot.press(*typed, "enter")
        await settle(pilot)
        assert shown(app).STEP == "model"
        assert said in message(app, "model.path")
        assert app.screen.focused is app.screen.query_one("#model-input")


async def test_enter_before_the_machine_is_known_is_not_lost(tmp_path: Path) -> None:
    known = threading.Event()

    class Slow(FakeServices):
        def machine(self) -> Machine:
            known.wait(60)
            return super().machine()

    app = WizardApp(tmp_path, services=Slow())
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("model")
        await pilot.pause()
        app.screen.query_one("#model-input", LineInput).value = str(MODEL)
        await pilot.pause()
        await pilot.press("enter")
        known.set()
        await settle(pilot)
        assert shown(app).STEP == "data"


async def test_an_existing_path_is_a_path_and_another_name_is_a_hub_id(tmp_path: Path) -> None:
    (tmp_path / "Qwen").mkdir()
    (tmp_path / "Qwen" / "Local").symlink_to(MODEL)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("model")
        await settle(pilot)
        await pilot.press(*"Qwen/Local", "tab")
        await settle(pilot)
        assert "local directory, qwen2" in message(app, "model.path")
        app.screen.query_one("#model-input", LineInput).value = "Qwen/Qwen2.5-0.5B-Instruct"
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
    assert app.draft.get("model.path") == "Qwen/Qwen2.5-0.5B-Instruct"


async def test_tab_completes_as_in_a_shell(tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "config.json").write_text("{}", encoding="utf-8")
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("model")
        await settle(pilot)
        field = app.screen.query_one("#model-input", LineInput)
        await pilot.press(*"mod")
        await settle(pilot)
        await pilot.press("tab")
        assert field.value == "models/"
        await settle(pilot)
        await pilot.press("tab")
        assert field.value == "models/tiny"
        await settle(pilot)
        await pilot.press("tab")
        assert app.screen.focused is not field


async def test_a_tab_that_comes_too_early_still_completes(tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("model")
        await settle(pilot)
        field = app.screen.query_one("#model-input", LineInput)
        await pilot.press(*"mod", "tab")
        await settle(pilot)
        assert field.value == "models/" and app.screen.focused is field
        await pilot.press(*"nothing", "tab")
        await settle(pilot)
        assert field.value == "models/nothing" and app.screen.focused is not field


async def test_the_file_list_takes_a_file(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    thirty_rows(tmp_path / "raw")
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("data")
        await settle(pilot)
        await pilot.press("f4")
        await settle(pilot)
        assert "raw/" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert "rows.csv" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert app.screen.query_one("#source-input", LineInput).value == "raw/rows.csv"


async def test_the_columns_are_guessed_and_shown_with_first_values(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("data")
        await settle(pilot)
        await pilot.press(*"rows.csv", "enter")
        await settle(pilot)
        seen = text(app)
        assert "30 rows" in seen
        assert "◂ question ▸" in seen and "◂ answer ▸" in seen
        assert "What is 0 plus one?" in seen
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "preview"
    assert app.draft.get("data.columns") == {"input": "question", "output": "answer"}
    assert app.draft.get("data.test_size") == 0.1
    assert app.draft.get("data.system") is None, "nobody asked for one"


async def test_chinese_rows_are_offered_the_guides_chinese_texts(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", [("一加一等于几？", "二")] * 5)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("data")
        await settle(pilot)
        await pilot.press(*"rows.csv", "enter")
        await settle(pilot)
        assert app.screen.query_one("#data-instruction", LineInput).value == ""
        app.screen.query_one("#data-instruction").focus()
        await pilot.press("equals_sign")
        assert app.screen.query_one("#data-instruction", LineInput).value == "请根据问题给出准确的回答。"


@pytest.mark.parametrize("typed", ["", "nowhere.csv", "[/b].csv", "secret.csv", "empty.csv"])
async def test_a_source_that_cannot_be_read_is_said_at_the_field(tmp_path: Path, typed: str) -> None:
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    secret = thirty_rows(tmp_path).rename(tmp_path / "secret.csv")
    secret.chmod(0)
    if typed == "secret.csv" and os.access(secret, os.R_OK):
        pytest.skip("root reads everything")
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("data")
        await settle(pilot)
        await pilot.press(*typed, "enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
        said = message(app, "data.source")
        assert said.startswith("✗")
        assert not typed or typed.split(".")[0] in said
        assert app.screen.focused is app.screen.query_one("#source-input")


async def test_a_source_without_the_needed_column_asks_for_it(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", [("a", "b")] * 3, ("foo", "bar"))
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("data")
        await settle(pilot)
        await pilot.press(*"rows.csv", "enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
        assert "no column is chosen" in message(app, "data.columns.input")
        assert app.screen.focused is app.screen.query_one("#role-input")
        await pilot.press("right", "down", "right", "right", "enter")
        await settle(pilot)
        assert shown(app).STEP == "preview"
    assert app.draft.get("data.columns") == {"input": "foo", "output": "bar"}


@pytest.mark.parametrize(("field", "typed"), [("max_samples", "many"), ("test_size", "abc"), ("test_size", "1.5")])
async def test_letters_in_a_number_are_said_at_the_field(tmp_path: Path, field: str, typed: str) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(60, 20)) as pilot:
        app.go("data")
        await settle(pilot)
        control = app.screen.query_one(f"#data-{field}", LineInput)
        app.screen.set_focus(control)
        control.value = typed
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
        said = message(app, f"data.{field}")
        assert typed in said and "expected" in said
        assert app.screen.focused is control
        assert typed in text(app)


async def test_the_preview_pages_searches_jumps_and_finds_dropped_rows(tmp_path: Path) -> None:
    rows = [(f"question {i}", f"answer {i}") for i in range(200)]
    rows[149] = ("question 149", "")
    write_rows(tmp_path / "rows.csv", rows)
    draft = filled(tmp_path)
    write_rows(tmp_path / "rows.csv", rows)
    app = wizard(tmp_path, draft=draft)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("preview")
        await settle(pilot)
        assert "Row 1" in text(app) and "question 0" in text(app)
        assert "Of 200 rows 1 are dropped (no answer: 1)" in " ".join(text(app).split())
        await pilot.press("right")
        assert "question 1" in text(app)
        await pilot.press("x")
        await settle(pilot)
        assert "Row 150" in text(app) and "is dropped" in text(app)
        await pilot.press("g", *"77", "enter")
        await settle(pilot)
        assert "Row 77" in text(app)
        await pilot.press("/", *"ANSWER 190", "enter")
        await settle(pilot)
        assert "Row 191" in text(app)
        await pilot.press("g", *"abc", "enter")
        await settle(pilot)
        assert "`abc` is no row number" in text(app)
        await pilot.press("escape")
        assert shown(app).STEP == "preview"
        await pilot.press("g", *"9999", "enter")
        await settle(pilot)
        assert "ends at row" in text(app) or "no row 9999" in text(app)


async def test_the_settings_say_what_they_amount_to_as_one_types(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("config")
        await settle(pilot)
        assert "effective batch size 8" in text(app)
        control = setting(app, "train.per_device_train_batch_size").control
        assert isinstance(control, LineInput)
        app.screen.set_focus(control)
        control.value = "4"
        await pilot.pause()
        await settle(pilot)
        assert "effective batch size 32" in text(app)
    assert app.draft.get("train.per_device_train_batch_size") == 4


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_letters_in_the_learning_rate_are_said_while_typing_and_keep_one_here(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=size) as pilot:
        app.go("config")
        await settle(pilot)
        control = setting(app, "train.learning_rate").control
        assert isinstance(control, LineInput)
        control.value = "abc"
        await pilot.pause()
        await settle(pilot)
        said = message(app, "train.learning_rate")
        assert "Learning rate" in said and "abc" in said
        on_screen = " ".join(text(app).split())
        assert "Learning rate" in on_screen and "abc" in on_screen
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "config"
        assert app.screen.focused is control


async def test_a_mistake_in_a_folded_group_is_opened_and_focused(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, train__warmup_ratio="much"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("config")
        await settle(pilot)
        await pilot.press("f8")
        await settle(pilot)
        assert app.screen.focused is setting(app, "train.warmup_ratio").control
        assert "much" in text(app)


async def test_a_field_that_still_reports_its_change_does_not_undo_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    go_on = threading.Event()
    go_on.set()
    assess = Assessor.assess

    def slowly(*arguments: Any, **options: Any) -> Any:
        go_on.wait()
        return assess(*arguments, **options)

    monkeypatch.setattr(Assessor, "assess", slowly)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("config")
        await settle(pilot)
        control = setting(app, "train.per_device_train_batch_size").control
        assert isinstance(control, LineInput)
        go_on.clear()
        await pilot.press("enter")
        control.value = "4"
        await pilot.pause(0.4)
        go_on.set()
        await settle(pilot)
        assert shown(app).STEP == "review"
    assert app.draft.get("train.per_device_train_batch_size") == 4


async def test_any_other_option_can_be_opened_by_name(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("config")
        await settle(pilot)
        await pilot.press("f5")
        await settle(pilot)
        await pilot.press(*"neftune", "enter")
        await settle(pilot)
        focused = app.screen.focused
        assert focused is setting(app, "train.neftune_noise_alpha").control
        assert isinstance(focused, LineInput)
        focused.value = "5"
        await pilot.pause()
        await settle(pilot)
    assert app.draft.get("train.neftune_noise_alpha") == 5


async def test_only_what_differs_goes_into_the_answers(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("config")
        await settle(pilot)
        app.keep("config")
        assert "train" not in app.draft.data
        control = setting(app, "train.lora_rank").control
        assert isinstance(control, LineInput)
        control.value = "64"
        app.keep("config")
        assert app.draft.get("train") == {"lora_rank": 64}
        control.value = "8"
        app.keep("config")
        assert "train" not in app.draft.data


async def test_the_way_back_from_a_failure_focuses_the_setting(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.show_wizard("config", "train.cutoff_len")
        await settle(pilot)
        assert app.screen.focused is setting(app, "train.cutoff_len").control


async def test_the_review_shows_everything_and_saves_the_answers(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, train__lora_rank=16))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("review")
        await settle(pilot)
        assert "about 24 rows to train on" in " ".join(text(app).split())
        pages = {"2": "model_name_or_path", "3": "adapter_name_or_path", "4": '"rows_train"', "5": "llamafactory-cli"}
        for digit, said in pages.items():
            await pilot.press(digit)
            await pilot.pause()
            assert said in text(app), digit
        await pilot.press("6")
        await pilot.pause()
        assert "- lora_rank: 8" in text(app) and "+ lora_rank: 16" in text(app)
        await pilot.press("s", "enter")
        await settle(pilot)
        assert "Saved." in text(app)
        await pilot.press("s", "enter")
        await pilot.pause()
        assert "Enter again overwrites it" in " ".join(text(app).split())
    saved = (tmp_path / "answers.yaml").read_text(encoding="utf-8")
    assert "lora_rank: 16" in saved and "rows.csv" in saved


async def test_a_mistake_keeps_the_review_from_starting_and_leads_to_it(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, train__learning_rate="fast"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("review")
        await settle(pilot)
        assert "fast" in text(app) and "Start training" not in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "config"
        assert app.screen.focused is setting(app, "train.learning_rate").control
    assert app.opened is None


async def test_a_letter_goes_through_a_list_box(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("model")
        await settle(pilot)
        chooser = app.screen.query_one("#template", Chooser)
        app.screen.set_focus(chooser)
        await pilot.press("q")
        assert chooser.value.startswith("q")
        await pilot.press("space")
        await settle(pilot)
        await pilot.press(*"llama3", "enter")
        await settle(pilot)
        assert app.screen.query_one("#template", Chooser).value == "llama3"


async def test_what_few_change_about_the_rows_is_folded_and_kept(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        app.screen.query_one("#data-more FoldHeading").focus()
        await pilot.press("space", "tab")
        await settle(pilot)
        assert "Which rows" in text(app) and "the first ones" in text(app)
        await pilot.press("right", "tab", "end", "backspace", "backspace", "7", "tab", "space", "tab", *"apples")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "preview"
        data = app.draft.data["data"]
        assert (data["sample"], data["seed"], data["strict"], data["name"]) == ("random", 7, True, "apples")
        await pilot.press("escape")
        await settle(pilot)
        assert app.screen.query_one("#data-name", LineInput).value == "apples"
        app.screen.query_one("#data-more").scroll_visible(animate=False)
        await settle(pilot)
        assert "[x]" in text(app), "it is open where something is set"


@pytest.mark.parametrize(("key", "value"), [("data.seed", "many"), ("data.name", "my apples [/b]")])
async def test_a_mistake_in_what_is_folded_opens_it(tmp_path: Path, key: str, value: str) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        field = next(f for f in app.screen.query(Field) if f.key == key)
        assert isinstance(field.control, LineInput)
        field.control.value = value
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "data"
        assert value in message(app, key) and app.screen.focused is field.control
        assert value in text(app)


async def test_waiting_and_the_launcher_stand_with_the_cards(tmp_path: Path) -> None:
    app = wizard(tmp_path, report=TWO_CARDS)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("gpu")
        await settle(pilot)
        app.screen.query_one("#gpu-more FoldHeading").focus()
        await pilot.press("space", "tab", "space", "tab", "right")
        await settle(pilot)
        assert "deepspeed: the training is divided" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert app.draft.get("hardware") == {"gpus": "auto", "wait": True, "launcher": "deepspeed"}
        await pilot.press("escape")
        await settle(pilot)
        assert "[x]" in text(app) and "deepspeed: the training" in text(app)


async def test_a_launcher_of_an_answers_file_is_kept(tmp_path: Path) -> None:
    draft = filled(tmp_path, hardware__launcher="slurm")
    app = wizard(tmp_path, draft=draft)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("gpu")
        await settle(pilot)
        app.show_step("model")
        await settle(pilot)
    assert app.draft.get("hardware.launcher") == "slurm"
