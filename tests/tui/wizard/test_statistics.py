"""The statistics over the preview: counted once, cancelled at once, set by a number, rows by a letter."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sft_tui.dataset import Progress
from sft_tui.problems import refuse
from sft_tui.tui.app import SftApp
from sft_tui.tui.look.signs import ASCII, UNICODE
from sft_tui.tui.wizard.preview import PreviewScreen
from sft_tui.tui.wizard.statistics import StatisticsScreen
from sft_tui.tui.wizard.statistics_words import Job, guess_tokens, spark
from tests.tui.helpers import FakeServices, WizardApp, filled, settle, shown, text, write_rows

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sft_tui.dataset.stats.data_statistics import Statistics

ROWS = [
    *[(f"What is {i} plus one?", f"It is {i + 1}, as everybody knows who can count.") for i in range(40)],
    ("Who wrote this [/b]?", "ok"),
    ("Where to write to?", "Write to jane.doe@example.com and wait for an answer."),
    ("Yes?", "a"),
]


def doubtful(project: Path) -> WizardApp:
    """The wizard with forty good rows and three doubtful ones."""
    draft = filled(project)
    write_rows(project / "rows.csv", ROWS)
    return WizardApp(project, services=CountingServices(), draft=draft, language="en")


class CountingServices(FakeServices):
    """The real statistics; remembers how often they were asked for."""

    asked = 0

    def statistics(self, job: Job, progress: Callable[[Progress], None]) -> Statistics:
        """As the real one."""
        self.asked += 1
        return super().statistics(job, progress)


async def opened(app: SftApp, pilot: Pilot[int]) -> None:
    """The statistics, from the preview."""
    app.show_step("preview")
    await settle(pilot)
    await pilot.press("t")
    await settle(pilot)
    assert isinstance(app.screen, StatisticsScreen)


async def test_they_show_lengths_doubts_and_suggestions_and_are_counted_once(tmp_path: Path) -> None:
    app = doubtful(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        seen = text(app)
        assert "43 samples" in seen and "Latin 100%" in seen
        assert "half of the samples have up to" in seen and "of the tokens" in seen
        assert "a  answers that are nearly empty: 2 (rows 41, 43)" in seen
        assert "b  likely personal data: mail addresses: 1 (rows 42)" in seen
        assert "1  cutoff_len: 128 (now " in seen
        assert "jane.doe" not in seen
        assert app.mean_tokens is not None and app.mean_tokens.counted and 10 < app.mean_tokens.mean < 200
        await pilot.press("escape", "t")
        await settle(pilot)
        assert "43 samples" in text(app)
    assert isinstance(app.services, CountingServices) and app.services.asked == 1


async def test_a_changed_file_is_counted_anew(tmp_path: Path) -> None:
    app = doubtful(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("escape")
        write_rows(tmp_path / "rows.csv", ROWS[:20])
        await pilot.press("t")
        await settle(pilot)
        assert "20 samples" in text(app)
        await pilot.press("r")
        await settle(pilot)
        assert "20 samples" in text(app)
    assert isinstance(app.services, CountingServices) and app.services.asked == 3


async def test_a_number_sets_a_suggestion_says_so_and_takes_it_back(tmp_path: Path) -> None:
    app = doubtful(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("1")
        assert app.draft.get("train.cutoff_len") == 128
        assert "✓ 1  cutoff_len: 128 is set" in text(app) and "Set: cutoff_len: 128" in text(app)
        await pilot.press("1")
        assert app.draft.get("train.cutoff_len") is None
        assert "Taken back: cutoff_len" in text(app)
        await pilot.press("1", "escape", "enter")
        await settle(pilot)
        assert shown(app).STEP == "config"
    assert app.draft.get("train.cutoff_len") == 128


async def test_a_letter_goes_to_the_rows_and_n_on_to_the_next(tmp_path: Path) -> None:
    app = doubtful(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("a")
        await settle(pilot)
        assert isinstance(app.screen, PreviewScreen)
        assert "Row 41" in text(app) and "nearly empty 1/2" in text(app) and "n Next of these" in text(app)
        await pilot.press("n")
        await settle(pilot)
        assert "Row 43" in text(app) and "2/2" in text(app)
        await pilot.press("n")
        await settle(pilot)
        assert "Row 41" in text(app)


class SlowServices(FakeServices):
    """Statistics that never end by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.ended = threading.Event(), threading.Event()

    def statistics(self, job: Job, progress: Callable[[Progress], None]) -> Statistics:
        """Call `progress` until it raises."""
        try:
            for rows in range(1_000_000_000):
                progress(Progress(rows, 50, 100))
                self.began.set()
                threading.Event().wait(0.01)
        finally:
            self.ended.set()
        raise AssertionError


async def test_escape_cancels_the_counting(tmp_path: Path) -> None:
    services = SlowServices()
    app = WizardApp(tmp_path, services=services, draft=filled(tmp_path), language="en")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("preview")
        await settle(pilot)
        await pilot.press("t")
        assert services.began.wait(10)
        await pilot.pause(0.6)
        assert "looking at the rows" in text(app) and "50%" in text(app) and "Enter: Cancel" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, PreviewScreen)
        assert services.ended.wait(10)
    assert app.statistics == {}


class RefusingServices(FakeServices):
    """Statistics that cannot be had."""

    def statistics(self, job: Job, progress: Callable[[Progress], None]) -> Statistics:
        """Refuse."""
        raise refuse("no_token_counts", "The tokens cannot be counted: [/b]", hint="Look at the tokenizer.")


async def test_why_there_are_none_is_said(tmp_path: Path) -> None:
    app = WizardApp(tmp_path, services=RefusingServices(), draft=filled(tmp_path), language="en")
    async with app.run_test(size=(60, 20)) as pilot:
        await opened(app, pilot)
        assert "The tokens cannot be counted: [/b] Look at the tokenizer." in text(app)


async def test_without_a_model_the_rest_is_shown(tmp_path: Path) -> None:
    draft = filled(tmp_path)
    draft.set("model.path", "Qwen/Qwen2.5-0.5B-Instruct")
    app = WizardApp(tmp_path, services=FakeServices(), draft=draft, language="en")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        assert "30 samples" in text(app) and "tokens: -" in text(app)
        assert app.mean_tokens is not None and not app.mean_tokens.counted


def test_the_guess_of_tokens_knows_chinese() -> None:
    assert guess_tokens([]) is None
    latin, han = guess_tokens(["word " * 80]), guess_tokens(["字" * 400])
    assert latin is not None and han is not None and 100 < latin < 150 < 250 < han < 350


def test_the_row_of_blocks_has_a_mark_for_every_length() -> None:
    from sft_tui.dataset.stats.token_lengths import TokenLengths

    tokens = TokenLengths(1001, ((10, 1000), (99, 1)), 2048, 0.0, 0.5, 100, True)
    for signs in (UNICODE, ASCII):
        row = spark(tokens, signs, 10)
        assert len(row) == 10 and row[1] == signs.blocks[-1] and row[9] == signs.blocks[1] and row[5] == " "
