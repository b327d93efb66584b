"""What the wizard writes is what somebody chose; what was chosen for one file or preset is not carried to another."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from sft_tui.tui.look.signs import UNICODE
from sft_tui.tui.screen import help_topic
from sft_tui.tui.widgets import paths
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.wizard.draft import Draft, kept_draft
from sft_tui.tui.wizard.review_pages import shell_lines
from tests.tui.helpers import filled, settle, shown, text, thirty_rows, wizard, write_rows


def value_of(app: object, selector: str) -> str:
    """What a line of text holds."""
    return str(app.screen.query_one(selector, LineInput).value)  # type: ignore[attr-defined]


async def test_no_instruction_is_put_into_samples_unasked(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("data")
        await settle(pilot)
        await pilot.press(*"rows.csv", "enter")
        await settle(pilot)
        assert "= takes: Answer the question" in text(app)
        app.keep()
        assert app.draft.get("data.instruction") is None and app.draft.get("data.system") is None
        app.screen.query_one("#data-instruction").focus()
        await pilot.press("equals_sign")
        await settle(pilot)
        assert "given again whenever" in " ".join(text(app).split())
        app.keep()
        assert app.draft.get("data.instruction") == "Answer the question accurately."
        assert app.draft.get("data.test_size") == 0.1, "what a new setup shows as proposed"


async def test_another_file_has_columns_of_its_own(tmp_path: Path) -> None:
    draft = filled(tmp_path, data__instruction="Count.", data__max_samples=20)
    draft.set("data.test_size", None)
    write_rows(tmp_path / "other.csv", [("x", "y")] * 9, ("prompt", "response"))
    app = wizard(tmp_path, draft=draft)
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("data")
        await settle(pilot)
        assert value_of(app, "#data-instruction") == "Count." and value_of(app, "#data-test_size") == ""
        await pilot.press("end", *["backspace"] * 8, *"other.csv", "enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(app).STEP == "preview", text(app)
    assert app.draft.get("data.columns", {}).get("input", "prompt") == "prompt"
    assert app.draft.get("data.instruction") is None
    assert app.draft.get("data.max_samples") == 20, "that was not about the file"
    assert app.draft.get("data.test_size") is None, "nobody chose one"


async def test_the_files_here_are_offered_and_the_only_one_is_taken_by_enter(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        assert "> rows.csv" in text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert "30 rows" in text(app)
    (tmp_path / "raw").mkdir()
    write_rows(tmp_path / "raw" / "more.csv", [("x", "y")] * 9)
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        assert "> rows.csv" not in text(app) and "raw/more.csv" in text(app)
        await pilot.press("down", "down", "enter")
        await settle(pilot)
        assert value_of(app, "#source-input") == "raw/more.csv" and "9 rows" in text(app)


async def test_a_long_directory_is_searched_and_not_cut_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST", 10)
    monkeypatch.setattr("sft_tui.tui.dialogs.files.MOST", 10)
    for number in range(30):
        (tmp_path / f"file{number:02}.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert [e.text for e in paths.entries(tmp_path, models=False, part="E27")] == ["file27.csv"]
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        await pilot.press("f4")
        await settle(pilot)
        assert "There are more than are shown" in text(app)
        for number in (3, 27):
            app.screen.query_one("#files-filter", LineInput).value = f"file{number:02}"
            await settle(pilot)
            assert f"file{number:02}.csv" in text(app)


async def test_typing_replaces_a_number_and_del_goes_back_to_the_preset(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("config")
        await settle(pilot)
        before = next(line for line in text(app).split("\n") if "LoRA rank" in line)
        await pilot.press(*["down"] * 5, "9", "9")
        await settle(pilot)
        assert "[99 " in next(line for line in text(app).split("\n") if "LoRA rank" in line)
        assert app.draft.get("train.lora_rank") == 99
        await pilot.press("end", "delete")
        await settle(pilot)
        assert next(line for line in text(app).split("\n") if "LoRA rank" in line).lstrip(" >") == before.lstrip(" >")
    assert app.draft.get("train.lora_rank") is None


@pytest.mark.parametrize(
    ("key", "wrong", "right"), [("lr_scheduler_type", "cosin", "cosine"), ("cutoff_len", 600.0, 600)]
)
async def test_equals_takes_what_a_problem_suggests(tmp_path: Path, key: str, wrong: object, right: object) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, **{f"train__{key}": wrong}))
    async with app.run_test(size=(80, 40)) as pilot:
        await settle(pilot)
        app.show_answer(f"train.{key}")
        await settle(pilot)
        assert f"(= takes {right})" in " ".join(text(app).split())
        await pilot.press("equals_sign")
        await settle(pilot)
        assert "(= takes" not in text(app)
        app.keep()
    assert app.draft.get(f"train.{key}", right) == right


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
async def test_a_project_that_cannot_be_written_leads_to_its_directory(tmp_path: Path) -> None:
    project = tmp_path / "locked"
    project.mkdir()
    draft = filled(project)
    project.chmod(0o500)
    try:
        app = wizard(project, draft=draft)
        async with app.run_test(size=(80, 40)) as pilot:
            app.show_step("review")
            await settle(pilot)
            await pilot.press("enter")
            await settle(pilot)
            assert help_topic(shown(app)) == "run.dir"
    finally:
        project.chmod(0o700)


async def test_the_directory_of_the_project_is_a_field(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 40)) as pilot:
        await settle(pilot)
        app.show_answer("run.dir")
        await settle(pilot)
        assert help_topic(shown(app)) == "run.dir" and "Project directory" in text(app)
        await pilot.press(*"sub")
        await settle(pilot)
        app.keep()
    assert app.draft.get("run.dir") in (".sub", "sub")


async def test_what_is_typed_is_kept_without_leaving_the_page(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("data")
        await settle(pilot)
        app.screen.query_one("#data-instruction").focus()
        await pilot.press(*"Count!")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            await pilot.pause(0.1)
            kept, _aside = kept_draft(tmp_path)
            if kept is not None and kept.get("data.instruction") == "Count!":
                break
        assert kept is not None and kept.get("data.instruction") == "Count!"


def test_an_older_answer_does_not_overwrite_a_newer_one_and_a_started_draft_stays_away(tmp_path: Path) -> None:
    draft = Draft(tmp_path, {"model": {"path": "old"}}, answers_path=tmp_path / "answers.yaml")
    old = draft.to_be_saved()
    draft.set("model.path", "new")
    new = draft.to_be_saved()
    new()
    old()
    kept, _aside = kept_draft(tmp_path)
    assert kept is not None and kept.get("model.path") == "new"
    late = draft.to_be_saved()
    draft.finish()
    late()
    assert kept_draft(tmp_path) == (None, None)


@pytest.mark.parametrize("width", [30, 60, 76])
def test_a_long_command_is_written_so_that_a_shell_reads_it_as_one(width: int) -> None:
    command = shlex.join(["sft-tui", "--non-interactive", "a b/c.yaml", "--x", "it's", "y" * 20, '"q"', "z" * 12])
    lines = shell_lines(command, width)
    assert len(lines) > 1 and all(len(line) <= max(width, 24) for line in lines)
    script = "set -- " + "\n".join(lines) + "\nfor word; do printf '%s\\n' \"$word\"; done"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.splitlines() == shlex.split(command)


async def test_the_review_says_what_decides_most(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, train__learning_rate=3.0e-4, train__lora_rank=12), signs=UNICODE)
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("review")
        await settle(pilot)
        seen = " ".join(text(app).split())
        assert "learning rate 3.0e-4" in seen and "LoRA rank 12" in seen and "epochs" in seen and "tokens" in seen
