"""The list of runs, the result, the export question, the log screen, the GPU screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from sft_tui.machine.gpus import GpuProcess, GpuReport
from sft_tui.project.files import read_json
from sft_tui.project.state import Status
from sft_tui.tui.app import SftApp
from sft_tui.tui.look.signs import ASCII, UNICODE
from sft_tui.tui.runs.export import ExportChoice, ExportScreen
from sft_tui.tui.runs.gpu_line import gpu_text
from sft_tui.tui.runs.gpus import report_lines
from sft_tui.tui.runs.runs import read_rows, table
from tests.tui.runs.apps import app_at, screen_text, settle
from tests.tui.runs.run_dirs import BEGAN, CARD, OOM, OOM_LOG, make_run
from tests.unit.view.test_result import finished_run

NASTY = "[/b] [0] \x1b[31mred\x1b[0m 苹果"


def shown(app: SftApp, *texts: str) -> bool:
    """Whether each of `texts` is on the screen."""
    screen = screen_text(app)
    return all(text in screen for text in texts)


async def test_runs_are_listed_opened_and_left(tmp_path: Path) -> None:
    make_run(
        tmp_path, "apples", status=Status.FAILED, log=OOM_LOG, diagnoses=(OOM,), message=f"Training failed {NASTY}"
    )
    make_run(tmp_path, "pears")
    app = app_at(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "> pears", "▸ running: train", "✗ failed: train", "2.91 → 1.34"))
        assert shown(app, "Next: watch pears", "Enter: Open")
        await pilot.press("down")
        await settle(pilot, lambda: shown(app, "> apples", "Training failed [/b] [0]", "why apples ended"))
        await pilot.press("l")
        await settle(pilot, lambda: shown(app, "torch.OutOfMemoryError"))
        await pilot.press("escape", "enter")
        await settle(pilot, lambda: shown(app, "Why: The GPU ran out of memory"))
        await pilot.press("escape")
        await settle(pilot, lambda: shown(app, "> pears"))
        await pilot.press("escape")
        await settle(pilot, lambda: type(app.screen).__name__ == "WelcomeScreen")


async def test_a_run_can_be_stopped_from_the_list(tmp_path: Path) -> None:
    layout = make_run(tmp_path, "pears")
    app = app_at(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "> pears"))
        await pilot.press("s", "enter")
        await settle(pilot, lambda: shown(app, "Asked pears to stop"))
        (request,) = layout.requests.glob("*.json")
        assert read_json(request)["kind"] == "stop"


async def test_no_runs_lead_to_the_wizard(tmp_path: Path) -> None:
    app = app_at(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "There are no runs here yet", "Enter: Wizard"))
        await pilot.press("enter")
        await settle(pilot, lambda: type(app.screen).__name__ == "WelcomeScreen")


async def test_a_run_becomes_the_start_of_a_new_one(tmp_path: Path) -> None:
    layout = make_run(tmp_path, "pears")
    text = "version: 1\nrun: {name: pears}\nmodel: {path: m}\ndata: {source: d.csv}\ntrain: {lora_rank: 4}\n"
    layout.answers.write_text(text, encoding="utf-8")
    app = app_at(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "> pears"))
        await pilot.press("e")
        await settle(pilot, lambda: app.draft.get("train.lora_rank") == 4)
        assert app.draft.get("run.name") is None


def test_narrow_tables_lose_columns_not_names(tmp_path: Path) -> None:
    make_run(tmp_path, "a-name-that-is-quite-long-indeed-for-a-run")
    rows = read_rows(tmp_path, BEGAN + 100)
    wide, narrow = table(rows, UNICODE, 200), table(rows, UNICODE, 54)
    assert "begun" in wide[0] and "begun" not in narrow[0]
    assert "a-name-that-is" in narrow[1] and "running" in narrow[1] and max(map(len, narrow)) <= 70


async def test_the_result_says_what_it_found(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    app = app_at(tmp_path, "result", layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "✓ The merged model has passed all checks.", "2.99 → "))
        assert shown(app, "before: - (not asked)", "after: b", "models/done", "Enter: Runs")
        for _ in range(4):
            await pilot.press("pagedown")
        await settle(pilot, lambda: shown(app, "vllm serve models/done", "ollama create done"))
        await pilot.press("w")
        await settle(pilot, lambda: shown(app, "Written to runs/done/how-to-use.md"))
        assert (layout.run_dir / "how-to-use.md").is_file()


async def test_a_failed_verification_is_no_success(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    layout.verify_result.write_text(
        '{"ok": false, "checks": [{"name": "loads", "status": "failed", "message": "It does not load [/b]."}]}',
        encoding="utf-8",
    )
    app = app_at(tmp_path, "result", layout)
    async with app.run_test(size=(60, 20)) as pilot:
        await settle(pilot, lambda: shown(app, "has not passed its checks", "failed: It does not load [/b]."))
        assert not shown(app, "has passed all checks")


async def test_export_asks_for_valid_options(tmp_path: Path) -> None:
    app = app_at(tmp_path, "result", finished_run(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "passed all checks"))
        await pilot.press("x")
        await settle(pilot, lambda: shown(app, "Merge the adapter into the model again?", "is replaced"))
        await pilot.press("backspace", *"abc", "enter")
        await settle(pilot, lambda: shown(app, "Largest file: abc is no whole number"))
        chosen: list[ExportChoice | None] = []
        app.screen.dismiss(None)
        await pilot.pause()
        app.push_screen(ExportScreen(False), chosen.append)
        await pilot.pause()
        await pilot.press("backspace", "5", "tab", "2", "tab", "2", "enter")
        await pilot.pause()
        assert chosen == [ExportChoice(5, "auto", False)]


async def test_an_export_that_is_refused_says_why(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    layout.answers.write_text("version: 1\n", encoding="utf-8")
    app = app_at(tmp_path, "result", layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "passed all checks"))
        await pilot.press("x", "enter")
        await settle(pilot, lambda: app.screen.query_one("#next-text", Static).has_class("-error"))


@pytest.mark.parametrize("signs", [UNICODE, ASCII])
def test_what_a_card_does_not_tell_is_left_out(signs: object) -> None:
    from dataclasses import replace

    from sft_tui.tui.look.signs import Signs

    assert isinstance(signs, Signs)
    silent = replace(CARD, total_bytes=0, utilisation=None, power_w=None, temperature_c=None)
    text = gpu_text(silent, signs)
    assert "memory - (shared with the system)" in text and "%" not in text and "W" not in text and "None" not in text


def test_who_holds_the_memory_is_said_or_that_it_cannot_be_seen() -> None:
    from dataclasses import replace

    card = replace(CARD, processes=(GpuProcess(7, None, None, None), GpuProcess(8, "ann", f"python {NASTY}", 2**30)))
    text = "\n".join(line.plain for line in report_lines(GpuReport((card, CARD), "one card is lost"), UNICODE, 100))
    assert "pid 7" in text and "another user" in text and "1.0 GiB" in text and "[/b] [0]" in text
    assert "cannot be seen" in text and "one card is lost" in text and "\x1b" not in text
