"""Rules for every screen: text of others is never markup, states are words or signs, keys arrive, errors stay off."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.widget import Widget

from sft_tui.machine.gpus import GpuReport
from sft_tui.plan.assess import Assessment
from sft_tui.problems import Problem, Refusal
from sft_tui.tui.app import SftApp
from sft_tui.tui.look.signs import ASCII, UNICODE
from sft_tui.tui.navigation import SCREENS
from sft_tui.tui.steps import STEPS
from sft_tui.tui.widgets.choice import Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.widgets.fold import Fold, FoldHeading
from sft_tui.tui.widgets.list_box import ListBox
from sft_tui.tui.widgets.tabs import TabBar
from tests.tui.helpers import TWO_CARDS, filled, lines, settle, shown, text, wizard

WIZARD_STEPS = [name for name, _label in STEPS if name != "run"]
NASTY = (
    "[/b]",
    "[0]",
    "[type=int",
    "[@click=app.bell]x",
    "\x1b[31mred\x1b[0m",
    "a\tb\r\nc",
    "\x07\x9b",
    "你好[/]",
    "‮abc",
)


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_text_of_others_is_shown_as_it_is_and_never_parsed(tmp_path: Path, size: tuple[int, int]) -> None:
    project = tmp_path / "[b]pro[0]"
    project.mkdir()
    draft = filled(project, data__instruction="[/b] [type=int", data__system="\x1b[31m[0]", train__run_name="[/b]")
    name = "rows [0] [type=int.jsonl"
    rows = [{"question": f"{text} {i}", "answer[/b]": text} for i, text in enumerate(NASTY * 4)]
    (project / name).write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    draft.set("data.source", name)
    draft.set("data.columns", {"input": "question", "output": "answer[/b]"})
    app = wizard(project, draft=draft, report=TWO_CARDS)
    async with app.run_test(size=size) as pilot:
        for step in WIZARD_STEPS:
            app.show_step(step)
            await settle(pilot)
            assert step == shown(app).STEP
            assert not [c for line in lines(app) for c in line if ord(c) < 32], step
            if step == "preview":
                seen = text(app)
                assert "answer[/b]" in seen and "[/b] 0" in seen
                for _row in range(len(NASTY)):
                    await pilot.press("right")
                assert not [c for line in lines(app) for c in line if ord(c) < 32]
        await pilot.press("f4" if shown(app).STEP == "data" else "f1")
        await settle(pilot)


async def test_messages_of_others_are_never_parsed(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(60, 20)) as pilot:
        app.show_step("review")
        await settle(pilot)
        screen = shown(app)
        problems = tuple(Problem("x", f"bad {value}", hint=value, key=value) for value in NASTY)
        screen._not_started(problems)  # type: ignore[attr-defined]
        await settle(pilot)
        assert "bad [/b]" in text(app)
        screen._has_assessed(app.draft.data, (Assessment(problems=problems), ""))  # type: ignore[attr-defined]
        await settle(pilot)
        for value in NASTY:
            screen.say(value, "error")
            await pilot.pause()


async def test_paths_and_reasons_of_the_machine_are_never_parsed(tmp_path: Path) -> None:
    (tmp_path / "[b]dir[0]").mkdir()
    (tmp_path / "[type=int.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    app = wizard(tmp_path, report=GpuReport((), "[/b] no driver [0]", "x"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("gpu")
        await settle(pilot)
        assert "[/b] no driver [0]" in text(app)
        app.show_step("data")
        await settle(pilot)
        await pilot.press("[")
        await settle(pilot)
        assert "[type=int.csv" in text(app)
        await pilot.press("f4")
        await settle(pilot)
        assert "[b]dir[0]/" in text(app)


@pytest.mark.parametrize("signs", [UNICODE, ASCII])
async def test_states_can_be_told_apart_in_plain_text(tmp_path: Path, signs: object) -> None:
    """Switching or moving anything changes the characters on the screen, not only their colours."""
    app = wizard(tmp_path, draft=filled(tmp_path), report=TWO_CARDS, signs=ASCII if signs is ASCII else UNICODE)
    async with app.run_test(size=(80, 24)) as pilot:
        for step, key in (("welcome", "down"), ("gpu", "down"), ("model", "tab"), ("config", "tab")):
            app.show_step(step)
            await settle(pilot)
            before = text(app)
            await pilot.press(key)
            await settle(pilot)
            assert text(app) != before, step
        for kind, key in ((Toggle, "space"), (FoldHeading, "space"), (Chooser, "right")):
            for fold in app.screen.query(Fold):
                fold.set_open(True)
            await settle(pilot)
            app.screen.set_focus(app.screen.query(kind).first(Widget))
            await settle(pilot)
            before = text(app)
            await pilot.press(key)
            await settle(pilot)
            assert text(app) != before, kind


async def test_ascii_screens_hold_nothing_but_ascii(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path), report=TWO_CARDS, signs=ASCII)
    async with app.run_test(size=(80, 24)) as pilot:
        for step in WIZARD_STEPS:
            app.show_step(step)
            await settle(pilot)
            odd = {c for line in lines(app) for c in line if ord(c) > 126}
            assert not odd, (step, odd)


def test_every_choice_is_one_of_our_own_widgets() -> None:
    """Textual's RadioButton, Checkbox, Switch and Select show their state by colour alone."""
    for name, _class in SCREENS.values():
        source = Path(str(import_module(f"sft_tui.tui.{name}").__file__)).read_text(encoding="utf-8")
        for word in ("RadioButton", "RadioSet", "Checkbox", "Switch(", "Select(", "LoadingIndicator", "ProgressBar("):
            assert word not in source, (name, word)


ARRIVES = {
    *(f"f{i}" for i in range(1, 13)),
    *"abcdefghijklmnopqrstuvwxyz0123456789N",
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape", "tab", "space", "delete"),
    *("backspace", "slash", "question_mark", "shift+tab", "plus", "minus", "+", "-", "/", "?", "comma", "full_stop"),
    *("ctrl+q", "ctrl+c", "ctrl+o", "ctrl+p", "ctrl+s", "ctrl+j", "ctrl+up", "ctrl+down", "G", "g"),
}


def _bindings() -> list[tuple[str, Binding]]:
    classes: list[type] = [SftApp, Toggle, Chooser, FoldHeading, ListBox, TabBar]
    classes += [getattr(import_module(f"sft_tui.tui.{name}"), cls) for name, cls in SCREENS.values()]
    found = []
    for cls in classes:
        for binding in Binding.make_bindings(cls.__dict__.get("BINDINGS", [])):
            found.append((cls.__name__, binding))
    return found


def test_every_key_arrives_under_tmux_and_screen() -> None:
    bindings = _bindings()
    assert len(bindings) > 30
    for owner, binding in bindings:
        assert binding.key in ARRIVES, (owner, binding.key)
        assert binding.key not in ("ctrl+a", "ctrl+b", "ctrl+m", "ctrl+h", "ctrl+i"), owner


def test_every_shown_key_says_what_it_does() -> None:
    for owner, binding in _bindings():
        assert not binding.show or binding.description, (owner, binding.key)


async def test_nothing_blinks_and_nothing_is_animated(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.animation_level == "none"
        for step in WIZARD_STEPS:
            app.show_step(step)
            await settle(pilot)
            for field in app.screen.query(LineInput):
                assert not field.cursor_blink
            for widget in app.screen.query("*").results(Widget):
                assert not widget.auto_refresh


async def test_an_unexpected_error_writes_a_report_and_leaves_in_order(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    with pytest.raises(ZeroDivisionError):
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)

            def broken(_job: object) -> None:
                raise ZeroDivisionError("token=hf_abcdefghijklmnopqrstuvwxyz123456")

            shown(app).jobs.start("broken", broken, lambda _nothing: None)
            for _round in range(50):
                await pilot.pause(0.02)
    assert app.return_code == 1
    said = "\n".join(app.farewell)
    assert "Report:" in said and "Traceback" not in said
    report = Path(said.split("Report: ")[1].splitlines()[0])
    written = report.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in written and "hf_abcdef" not in written and str(Path.home()) not in written
    assert report.stat().st_mode & 0o077 == 0


async def test_ctrl_o_writes_a_report_and_says_where(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path, train__learning_rate="abc"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("config")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert "report" in text(app)
        report = Path(app.farewell[-1].split(": ", 1)[1])
        written = report.read_text(encoding="utf-8")
        assert "ConfigScreen" in written and "abc" in written and "What is" not in written


async def test_the_command_list_goes_anywhere(tmp_path: Path) -> None:
    app = wizard(tmp_path, draft=filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p")
        await settle(pilot)
        await pilot.press(*"settings", "enter")
        await settle(pilot)
        assert shown(app).STEP == "config"
        await pilot.press("ctrl+p")
        await settle(pilot)
        await pilot.press(*"theme: nord", "enter")
        await settle(pilot)
        assert app.theme == "nord"


async def test_a_refused_start_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    class Refusing(type(wizard(tmp_path).services)):  # type: ignore[misc]
        def start(self, found: Assessment, *, force: bool = False) -> None:
            raise Refusal([Problem("disk_full", "The disk [/b] is full.", hint="Free space.")])

    app = wizard(tmp_path, draft=filled(tmp_path))
    app.services = Refusing()
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("review")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "The disk [/b] is full." in text(app)
        assert "nothing was written" in text(app)
    assert app.opened is None and app.draft.get("data.source") == "rows.csv"


HEAVY = (
    "pandas",
    "pyarrow",
    "polars",
    "pynvml",
    "openpyxl",
    "torch",
    "transformers",
    "llamafactory",
    "plotext",
    "pydantic",
)


def test_the_first_frame_imports_nothing_heavy(tmp_path: Path) -> None:
    """A new process composes the first screen and prints which modules it has."""
    code = (
        "import asyncio, json, sys\n"
        "from pathlib import Path\n"
        "from sft_tui.tui.app import SftApp\n"
        "from sft_tui.tui.navigation import SCREENS\n"
        "from sft_tui.tui.services import Services\n"
        "class Quiet(Services):\n"
        "    def diagnose(self, project):\n"
        "        return iter(())\n"
        "async def main():\n"
        "    app = SftApp(Path(sys.argv[1]), services=Quiet())\n"
        "    async with app.run_test(size=(80, 24)) as pilot:\n"
        "        await pilot.pause()\n"
        "    screens = [m for m, _class in SCREENS.values() if f'sft_tui.tui.{m}' in sys.modules]\n"
        "    print(json.dumps([sorted(sys.modules), screens]))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    modules, screens = json.loads(done.stdout.splitlines()[-1])
    assert not [name for name in HEAVY if name in modules]
    assert screens == ["wizard.welcome"]


def test_ascii_signs_are_ascii_and_complete() -> None:
    for field in dataclasses.fields(ASCII):
        value = getattr(ASCII, field.name)
        assert not isinstance(value, str) or value.isascii(), field.name
        assert value != "" or getattr(UNICODE, field.name) == ""
