"""The log tail on a screen: follows, stays, counts, searches, and shows any bytes as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from sft_tui.tui.look.signs import ASCII, UNICODE, Signs
from sft_tui.tui.widgets.full_log import FullLog
from sft_tui.tui.widgets.log_tail import LogTail
from sft_tui.tui.widgets.log_view import LogView
from tests.tui.runs.apps import screen_text, settle

NASTY = [b"[/b]", b"[0]", b"[type=int", b"[bold red]", b"\x1b[31mred\x1b[0m", b"\x1b]8;;http://x\x07link\x1b]8;;\x07"]
NASTY += [
    b"\xff\xfe",
    "损失 苹果 １２".encode(),
    b"\x00\x07\x08",
    b"a\tb",
    b"\x1b[2J\x1b[H",
    "e\u0301\u202e".encode(),
    b"$error",
]


class LogApp(App[int]):
    """A log, and nothing else."""

    def __init__(self, path: Path, *, full: bool = False, signs: Signs = UNICODE) -> None:
        super().__init__()
        self.signs = signs
        self._path, self._full = path, full

    def compose(self) -> ComposeResult:
        yield FullLog(self._path, "x.log") if self._full else LogTail(self._path, "x.log")

    def on_mount(self) -> None:
        self.query_one(LogView).focus()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)


def write_lines(path: Path, count: int, start: int = 0) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write("".join(f"line {n}\n" for n in range(start, start + count)))


async def test_it_follows_until_one_scrolls_up_and_counts_what_came(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 100)
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        await settle(pilot, lambda: "line 99" in screen_text(app) and "following" in screen_text(app))
        write_lines(path, 5, 100)
        await settle(pilot, lambda: "line 104" in screen_text(app))
        await pilot.press("up", "up")
        assert app.view.lines[-1].text == "line 102"
        write_lines(path, 12, 105)
        await settle(pilot, lambda: "+12 lines" in screen_text(app))
        assert app.view.lines[-1].text == "line 102", "what is read stays where it is"
        await pilot.press("pageup")
        assert app.view.lines[-1].text == "line 93"
        await pilot.press("home")
        assert app.view.lines[0].text == "line 0"
        await pilot.press("end")
        await settle(pilot, lambda: "line 116" in screen_text(app) and "following" in screen_text(app))
        await pilot.press("up", "down")
        assert app.view.follow


async def test_truncation_and_replacement_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 100)
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        await settle(pilot, lambda: "line 99" in screen_text(app))
        await pilot.press("pageup")
        path.write_text("begun anew\n", encoding="utf-8")
        await settle(pilot, lambda: "begun anew" in screen_text(app) and "line 8" not in screen_text(app))
        assert app.view.follow
        path.unlink()
        await settle(pilot, lambda: "There is no log yet." in screen_text(app))


async def test_a_log_that_comes_later(tmp_path: Path) -> None:
    app = LogApp(tmp_path / "log")
    async with app.run_test(size=(60, 12)) as pilot:
        await settle(pilot, lambda: "There is no log yet." in screen_text(app))
        (tmp_path / "log").write_bytes(b"")
        await settle(pilot, lambda: "is empty so far" in screen_text(app))
        write_lines(tmp_path / "log", 2)
        await settle(pilot, lambda: "line 1" in screen_text(app))


async def test_search_upwards_on_and_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 5000)
    app = LogApp(path)
    async with app.run_test(size=(60, 14)) as pilot:
        await settle(pilot, lambda: "line 4999" in screen_text(app))
        await pilot.press("slash", *"Line 12", "enter")
        await settle(pilot, lambda: "line 1299" in screen_text(app))
        await pilot.press("n")
        await settle(pilot, lambda: _hit(app) == "line 1298")
        await pilot.press("N")
        await settle(pilot, lambda: _hit(app) == "line 1299")
        await pilot.press("escape")
        assert app.view.needle == ""
        await pilot.press("slash", *"nowhere", "enter")
        await settle(pilot, lambda: "nowhere is nowhere in the log" in screen_text(app))


def _hit(app: LogApp) -> str:
    start = app.query_one(LogTail)._hit_start
    return next((line.text for line in app.view.lines if line.start == start), "")


async def test_letters_belong_to_the_field_while_it_has_the_focus(tmp_path: Path) -> None:
    write_lines(tmp_path / "log", 3)
    app = LogApp(tmp_path / "log")
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("slash", "n", "N", "slash")
        assert app.query_one("#log-search").value == "nN/"  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert app.view.has_focus


async def test_line_numbers_and_going_to_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 20_000)
    app = LogApp(path, full=True)
    async with app.run_test(size=(70, 14)) as pilot:
        await settle(pilot, lambda: "line 19999" in screen_text(app))
        await pilot.press("g", *"12,346", "enter")
        await settle(pilot, lambda: "line 12,346 of 20,000" in screen_text(app))
        assert app.view.lines[0].text == "line 12345"
        await pilot.press("g", *"abc", "enter")
        await settle(pilot, lambda: "abc is no number of a line" in screen_text(app))
        await pilot.press("g", *"99999999", "enter")
        await settle(pilot, lambda: "of 20,000" in screen_text(app) and app.view.lines[-1].text == "line 19999")


@pytest.mark.parametrize("signs", [UNICODE, ASCII])
async def test_nothing_in_a_log_is_markup_or_moves_the_cursor(tmp_path: Path, signs: Signs) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(b"<" + line + b">" for line in NASTY) + b"\n")
    app = LogApp(path, signs=signs)
    async with app.run_test(size=(60, 24)) as pilot:
        await settle(pilot, lambda: "<[/b]>" in screen_text(app))
        text = screen_text(app)
        for shown in ("<[0]>", "<[type=int>", "<[bold red]>", "<red>", "<link>", "<损失 苹果 １２>", "<a", "<$error>"):
            assert shown in text
        assert not any(ord(c) < 32 and c != "\n" for c in text)
        for name in "[/b]", "red", "损失", "\\":
            app.view.highlight(name)
            await pilot.pause()
            assert "<[/b]>" in screen_text(app)


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_line_is_drawn_in_exactly_the_width(tmp_path: Path, raw: bytes) -> None:
    from rich.cells import cell_len
    from rich.segment import Segment
    from textual.strip import Strip

    from sft_tui.view.log_text import shown

    text = shown(raw.replace(b"\n", b""))
    for left in (0, 7):
        strip = Strip([Segment(text)]).crop_extend(left, left + 40, None)
        assert cell_len(strip.text) == 40


async def test_long_lines_scroll_sideways(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x" * 200 + "END\n" + "y" * 50_000 + "\n", encoding="utf-8")
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        await settle(pilot, lambda: "xxxx" in screen_text(app))
        await pilot.press(*["right"] * 6)
        assert "END" in screen_text(app)
        await pilot.press(*["left"] * 10)
        assert "END" not in screen_text(app)


async def test_a_search_after_an_abandoned_line_number_is_a_search(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_lines(path, 100)
    app = LogApp(path, full=True)
    async with app.run_test(size=(60, 12)) as pilot:
        await settle(pilot, lambda: "line 99" in screen_text(app))
        await pilot.press("g", "escape", "slash", *"line 42", "enter")
        await settle(pilot, lambda: "line 42" in screen_text(app))
        assert "is no number" not in screen_text(app)
