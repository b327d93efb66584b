"""The run screen over made-up run directories: what it shows, what it asks, what it leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from textual.widgets import Static

from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import Status, read_state, write_state
from sft_tui.tui.app import SftApp
from sft_tui.tui.runs.run import RunScreen
from sft_tui.tui.widgets.bars import Primary
from tests.tui.runs.apps import run_app, screen_text, settle
from tests.tui.runs.run_dirs import LOG, OOM, OOM_LOG, loss_at, make_run

SIZES = [(80, 24), (60, 20), (140, 40)]


def shown(app: SftApp, *texts: str) -> bool:
    """Whether each of `texts` is on the screen."""
    screen = screen_text(app)
    return all(text in screen for text in texts)


@pytest.mark.parametrize("size", SIZES)
async def test_a_training_at_each_size(tmp_path: Path, size: tuple[int, int]) -> None:
    app = run_app(make_run(tmp_path))
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: shown(app, "2.99 → 1.34", "***** Running training *****"))
        for text in ("apples", "running: train", "✓ convert", "▸ train", "epoch 1.36/3", "step 128/282", "45%"):
            assert text in screen_text(app)
        for text in ("loss 1.340 ▼", "eval 1.472", "lr 5.5e-5", "tokens/s 8,412", "ETA 0:04:5", "18.0/79.6 GiB"):
            assert text in screen_text(app)
        assert "attach" in screen_text(app), "it says how to come back"
        primary = app.screen.query_one(Primary).region
        assert primary.height >= 1 and app.screen.region.contains_region(primary)
        assert app.focused is not None and app.screen.region.contains_region(app.focused.region)


async def test_no_figure_is_invented_before_the_first_step(tmp_path: Path) -> None:
    app = run_app(make_run(tmp_path, steps=0))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "no step logged yet"))
        assert shown(app, "epoch -/3", "step -", "loss -", "eval - (at step 50)", "lr -")
        assert "%" not in screen_text(app).split("train.log")[0].replace("97%", "")


async def test_ascii_has_no_sign_beyond_ascii(tmp_path: Path) -> None:
    app = run_app(make_run(tmp_path, log="plain\n"), ascii=True)
    async with app.run_test(size=(140, 40)) as pilot:
        await settle(pilot, lambda: shown(app, "2.99 -> 1.34"))
        text = screen_text(app).replace("─", "").replace("中文", "")
        assert text.isascii(), sorted({c for c in text if not c.isascii()})


async def test_a_run_on_the_cpu_says_so(tmp_path: Path) -> None:
    app = run_app(make_run(tmp_path, gpus=()))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "CPU: this run uses no GPU"))


async def test_stop_asks_and_leaves_a_request(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "running: train"))
        await pilot.press("s")
        await settle(pilot, lambda: shown(app, "Stop apples and save?"))
        await pilot.press("escape")
        await settle(pilot, lambda: shown(app, "running: train"))
        assert not list(layout.requests.glob("*.json"))
        await pilot.press("x", "enter")
        await settle(pilot, lambda: shown(app, "Asked to stop"))
        (request,) = layout.requests.glob("*.json")
        assert read_json(request)["kind"] == "stop_now"
        await pilot.press("s", "y")
        await settle(pilot, lambda: len(list(layout.requests.glob("*.json"))) == 2)


async def test_detach_leaves_and_says_how_to_come_back(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    before = layout.state.read_bytes()
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "running: train"))
        await pilot.press("d")
        await pilot.pause()
    assert app.return_code == 0 and any("attach apples" in line for line in app.farewell)
    assert layout.state.read_bytes() == before


async def test_warnings_and_a_missing_supervisor_are_said(tmp_path: Path) -> None:
    from sft_tui.project.identity import ProcessRef

    layout = make_run(tmp_path, alive=False)
    state = read_state(layout)
    assert state is not None
    state.stages["train"].process = ProcessRef.of(os.getpid())
    write_state(layout, state)
    append_event(layout.events, make_event("warning", id="loss_zero", message="The loss is 0 [/b]", hint="Look at it"))
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "! The loss is 0 [/b] Look at it", "r takes it over again"))
        assert shown(app, "r Resume")


async def test_new_metrics_and_stages_appear(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "2.99 → 1.34"))
        record = {"current_steps": 130, "total_steps": 282, "loss": 0.777, "lr": 1e-5, "epoch": 1.4}
        with (layout.save_dir / "trainer_log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        await settle(pilot, lambda: shown(app, "loss 0.777", "2.99 → 0.78", "step 130/282"))
        state = read_state(layout)
        assert state is not None
        layout.stage_log("export").write_text("merging now\n", encoding="utf-8")
        state.stage = "export"
        state.stages["train"].status, state.stages["export"].status = Status.FINISHED, Status.RUNNING
        write_state(layout, state)
        await settle(pilot, lambda: shown(app, "running: export", "export.log", "merging now", "training has ended"))


async def test_it_leads_to_the_result_when_everything_is_done(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "running: train"))
        state = read_state(layout)
        assert state is not None
        state.status = Status.FINISHED
        write_state(layout, state)
        await settle(pilot, lambda: shown(app, "Everything is done", "Enter: Result"))
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "apples: result"))
        await pilot.press("escape")
        await settle(pilot, lambda: shown(app, "Runs in"))


def failed(project: Path) -> RunLayout:
    message = "Training failed: it ended with exit code 1. The log is logs/apples/train.log."
    return make_run(project, status=Status.FAILED, log=OOM_LOG, diagnoses=(OOM,), message=message)


@pytest.mark.parametrize("size", SIZES)
async def test_a_failure_says_what_why_and_what_to_do(tmp_path: Path, size: tuple[int, int]) -> None:
    app = run_app(failed(tmp_path))
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: shown(app, "Training failed: it ended with exit code 1."))
        assert shown(app, "✗ train failed", "Why: The GPU ran out of memory", "[/b]", "Enter: Change and resume")
        for _ in range(30):
            await pilot.press("down")
        assert shown(app, "torch.OutOfMemoryError", "logs/apples/train.log")
        await pilot.press("2")
        await settle(pilot, lambda: shown(app, "Change this and resume?", "- cutoff_len: 2048", "+ cutoff_len: 1024"))
        await pilot.press("escape", "7")
        assert isinstance(app.screen, RunScreen)


async def test_a_change_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path) -> None:
    layout = failed(tmp_path)
    layout.answers.write_text("version: 1\nmodel: {path: nowhere}\n", encoding="utf-8")
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "Training failed"))
        await pilot.press("enter")
        await settle(pilot, lambda: shown(app, "+ per_device_train_batch_size: 1"))
        await pilot.press("enter")
        await settle(pilot, lambda: app.screen.query_one("#next-text", Static).has_class("-error"))
        assert shown(app, "data")


async def test_an_unknown_failure_shows_the_log_and_leads_to_the_answers(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, log=LOG + "Boom: [/b] strange\n", message="Training failed.")
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "The cause is not one of those known", "Boom: [/b] strange"))
        assert shown(app, "Enter: Edit answers")


@pytest.mark.parametrize(("status", "text"), [(Status.LOST, "was restarted"), (Status.STOPPED, "Stopped as asked")])
async def test_an_interrupted_or_stopped_run_can_go_on(tmp_path: Path, status: Status, text: str) -> None:
    message = "Stopped as asked. What was learned so far is saved." if status is Status.STOPPED else None
    app = run_app(make_run(tmp_path, status=status, message=message))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, text, "Enter: Resume", "e Edit answers"))


async def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    app = run_app(RunLayout(tmp_path, "ghost"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "There is no run ghost", "Enter: Runs"))


async def test_overlays_open_and_close(tmp_path: Path) -> None:
    app = run_app(make_run(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "running: train"))
        await pilot.press("c")
        await settle(pilot, lambda: shown(app, "smoothed", "┤"))
        await pilot.press("escape", "g")
        await settle(pilot, lambda: shown(app, "GPU 0 H100", "Looking does not use a card"))
        await pilot.press("escape", "l")
        await settle(pilot, lambda: shown(app, "2 train", "5 supervisor (none)"))
        await pilot.press("1")
        await settle(pilot, lambda: shown(app, "convert.log", "$ convert"))
        await pilot.press("escape")
        await settle(pilot, lambda: shown(app, "running: train"))


async def test_the_language_can_be_switched_on_the_way(tmp_path: Path) -> None:
    app = run_app(make_run(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "running: train"))
        await pilot.press("f2")
        await settle(pilot, lambda: shown(app, "128/282"))
        assert isinstance(app.screen, RunScreen) and app.language == "zh_CN"


async def test_two_screens_on_one_run_show_the_same_and_change_nothing(tmp_path: Path) -> None:
    layout = make_run(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first, second = run_app(layout), run_app(layout)
    async with first.run_test(size=(80, 24)) as one, second.run_test(size=(80, 24)) as two:
        await settle(one, lambda: shown(first, "2.99 → 1.34"))
        await settle(two, lambda: shown(second, "2.99 → 1.34"))
        assert screen_text(first) == screen_text(second)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


async def test_a_broken_loss_is_shown_as_such(tmp_path: Path) -> None:
    layout = make_run(tmp_path, steps=20)
    with (layout.save_dir / "trainer_log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"current_steps": 22, "total_steps": 282, "loss": NaN, "lr": 1e-5, "epoch": 0.2}\n')
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "loss NaN", f"{loss_at(2, 282):.2f} → NaN"))
        await pilot.press("c")
        await settle(pilot, lambda: shown(app, "smoothed"))


async def test_a_failed_export_is_tried_again_or_looked_at(tmp_path: Path) -> None:
    app = run_app(make_run(tmp_path, status=Status.FAILED, stage="export", steps=282, message="The export failed."))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "The export failed.", "Enter: Try again", "What was trained is saved"))
        await pilot.press("o")
        await settle(pilot, lambda: shown(app, "apples: result"))


async def test_a_new_warning_rings_once_and_an_old_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = make_run(tmp_path)
    append_event(layout.events, make_event("warning", id="disk", message="Little disk", hint="Free some"))
    app = run_app(layout)
    rung: list[int] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(1))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "! Little disk Free some"))
        assert not rung
        append_event(layout.events, make_event("warning", id="loss_nan", message="The loss is nan", hint="Stop it"))
        await settle(pilot, lambda: shown(app, "! The loss is nan Stop it (and 1 earlier)"))
        await pilot.pause(1.2)
        assert len(rung) == 1
        append_event(layout.events, make_event("warning", id="disk", message="Hardly any disk", hint="Free some"))
        await settle(pilot, lambda: shown(app, "! Hardly any disk Free some (and 2 earlier)"))
        assert len(rung) == 2


async def test_a_training_that_lacked_memory_can_be_started_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = make_run(tmp_path, status=Status.FAILED, message="GPU 0 has 2.0 GiB of memory free.", steps=0)
    state = read_state(layout)
    assert state is not None
    state.exit_code = 3
    write_state(layout, state)
    launched: list[bool] = []
    monkeypatch.setattr("sft_tui.run.lifecycle._launch", lambda at: launched.append(bool(read_json(at.plan)["force"])))
    app = run_app(layout)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: shown(app, "GPU 0 has 2.0 GiB", "there is no log of it", "f Start anyway"))
        await pilot.press("f")
        await settle(pilot, lambda: shown(app, "Start all the same?"))
        await pilot.press("enter")
        await settle(pilot, lambda: bool(launched))
    assert launched == [True]
