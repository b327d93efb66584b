"""Background work: whatever the order in which answers arrive, only the one to the newest question is heard."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path
from queue import Queue

import pytest
from textual.pilot import Pilot

from sft_tui.answers import Answers
from sft_tui.dataset import PreviewPage, SourceInfo
from sft_tui.machine.gpus import GpuReport
from sft_tui.plan.assess import Assessor
from sft_tui.plan.need import MemoryNeed
from sft_tui.problems import Problem, refuse
from sft_tui.tui.jobs import CrashHook, Job
from sft_tui.tui.services import Machine
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.wizard.draft import Draft
from sft_tui.tui.wizard.model_check import ModelFinding
from tests.tui.helpers import FakeServices, WizardApp, card, filled, shown, text, thirty_rows, wizard, write_rows

FOUR_CARDS = GpuReport(tuple(card(index, 1.0) for index in range(4)), driver="580.65")


async def until(pilot: Pilot[int], said: str, seconds: float = 60) -> None:
    """Wait for `said` on the screen."""
    deadline = time.monotonic() + seconds
    while said not in text(pilot.app):  # type: ignore[arg-type]
        assert time.monotonic() < deadline, f"{said!r} is not there:\n{text(pilot.app)}"  # type: ignore[arg-type]
        await pilot.pause(0.02)


@pytest.mark.parametrize("seed", range(5))
async def test_only_the_newest_answer_is_heard(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    app = wizard(tmp_path)
    heard: list[int] = []
    gates = [threading.Event() for _ in range(12)]

    def wait(number: int, job: Job) -> int:
        gates[number].wait(60)
        job.tell(-number)
        return number

    async with app.run_test(size=(80, 24)) as pilot:
        jobs = shown(app).jobs
        for number in range(len(gates)):
            jobs.start("x", partial(wait, number), heard.append, told=heard.append)
            for _step in range(rng.randrange(3)):
                gates[rng.randrange(number + 1)].set()
            await pilot.pause()
        order = list(range(len(gates)))
        rng.shuffle(order)
        for number in order:
            gates[number].set()
            await pilot.pause()
        while jobs.busy("x"):
            await pilot.pause(0.01)
        assert heard[-1] == len(gates) - 1
        assert heard == sorted(heard, key=abs), "an older answer came after a newer one"
        assert all(earlier < len(gates) - 1 for earlier in heard[:-1])


async def test_work_that_must_be_alone_is_alone_and_the_newest_is_done_last(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    heard: list[int] = []
    done: list[int] = []
    lock, gate = threading.Lock(), threading.Event()

    def work(number: int, _job: Job) -> int:
        assert lock.acquire(blocking=False), "two at once"
        gate.wait(60)
        done.append(number)
        lock.release()
        return number

    async with app.run_test(size=(80, 24)) as pilot:
        jobs = shown(app).jobs
        for number in range(9):
            jobs.start("x", partial(work, number), heard.append, alone=True)
        gate.set()
        while jobs.busy("x"):
            await pilot.pause(0.01)
    assert (done, heard) == ([0, 8], [8])


async def test_a_refusal_goes_to_who_asked_and_an_old_one_to_nobody(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    refused: list[str] = []
    gate = threading.Event()

    def hear(problems: tuple[Problem, ...]) -> None:
        refused.extend(problem.code for problem in problems)

    def work(name: str, _job: Job) -> None:
        gate.wait(60)
        raise refuse(name, name)

    async with app.run_test(size=(80, 24)) as pilot:
        jobs = shown(app).jobs
        for name in ("old", "new"):
            jobs.start("x", partial(work, name), lambda _: None, refused=hear)
        gate.set()
        while jobs.busy("x"):
            await pilot.pause(0.01)
        await pilot.pause(0.05)
    assert refused == ["new"]


class SlowServices(FakeServices):
    """Answers late and out of order: the first answer of each kind comes when the test says so."""

    def __init__(self, report: GpuReport = FOUR_CARDS) -> None:
        super().__init__(report)
        self.gate = threading.Event()
        self.asked: dict[str, int] = {}
        self.answered: dict[str, int] = {}

    def _late(self, kind: str) -> None:
        count = self.asked[kind] = self.asked.get(kind, 0) + 1
        if count == 1:
            self.gate.wait(120)
        self.answered[kind] = self.answered.get(kind, 0) + 1

    def look_at_model(self, text: str, draft: Draft, machine: Machine) -> ModelFinding:
        self._late("model")
        return super().look_at_model(text, draft, machine)

    def inspect_source(self, source: str, base: Path, project: Path, sheet: str | None = None) -> SourceInfo:
        self._late("source")
        return super().inspect_source(source, base, project, sheet)

    def memory(self, data: dict[str, object], answers_path: Path) -> MemoryNeed:
        self._late("memory")
        return super().memory(data, answers_path)

    def preview(self, answers: Answers, base: Path, project: Path, start: int, count: int) -> PreviewPage:
        self._late("preview")
        return super().preview(answers, base, project, start, count)


def slow(project: Path, draft: Draft | None = None) -> tuple[WizardApp, SlowServices]:
    """A wizard whose first answers come late."""
    services = SlowServices()
    return WizardApp(project, services=services, draft=draft), services


async def test_an_old_look_at_another_model_does_not_replace_the_newer_one(tmp_path: Path) -> None:
    app, services = slow(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        await pilot.pause()
        await pilot.press(*"nowhere/at/all", "tab")
        while not services.asked.get("model"):
            await pilot.pause(0.01)
        await pilot.press("shift+tab", "end", *["backspace"] * 14, *"Qwen/Qwen2.5-7B-Instruct", "tab")
        await until(pilot, "on the hub as Qwen")
        services.gate.set()
        while services.answered["model"] < 2:
            await pilot.pause(0.01)
        await pilot.pause(0.1)
        assert "on the hub as Qwen" in text(app) and "does not exist" not in text(app)


async def test_the_columns_are_those_of_the_file_that_was_typed_last(tmp_path: Path) -> None:
    thirty_rows(tmp_path)
    write_rows(tmp_path / "other.csv", [("x", "y")] * 5, ("ask", "tell"))
    app, services = slow(tmp_path)
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("data")
        await pilot.pause()
        await pilot.press(*"rows.csv", "enter")
        while not services.asked.get("source"):
            await pilot.pause(0.01)
        app.screen.query_one("#source-input", LineInput).value = "other.csv"
        await pilot.pause()
        shown(app).primary()
        await until(pilot, "5 rows")
        services.gate.set()
        while services.answered["source"] < 2:
            await pilot.pause(0.01)
        await pilot.pause(0.1)
        assert "5 rows" in text(app) and "tell" in text(app) and "What is" not in text(app)


async def test_memory_of_other_cards_does_not_stand_beside_these(tmp_path: Path) -> None:
    app, services = slow(tmp_path, filled(tmp_path, hardware__gpus=[0], model__path="Qwen/Qwen2.5-7B-Instruct"))
    async with app.run_test(size=(80, 30)) as pilot:
        app.show_step("gpu")
        while not services.asked.get("memory"):
            await pilot.pause(0.01)
        await pilot.press("7")
        services.gate.set()
        await until(pilot, "The processor")
        while shown(app).jobs.busy("estimate"):
            await pilot.pause(0.01)
        assert "of 79.0 GiB" not in text(app), "that was the card's"


async def test_one_assessment_at_a_time_and_the_last_key_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    most: list[int] = []
    real = Assessor.assess

    def assess(self: Assessor, *arguments: object, **more: object) -> object:
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.05)
        try:
            return real(self, *arguments, **more)  # type: ignore[arg-type]
        finally:
            at_once.pop()

    monkeypatch.setattr(Assessor, "assess", assess)
    app = wizard(tmp_path, draft=filled(tmp_path), report=FOUR_CARDS)
    async with app.run_test(size=(80, 40)) as pilot:
        app.show_step("config")
        await until(pilot, "effective batch size")
        for key in ("tab", "9", "backspace", "2", "9"):
            await pilot.press(key)
            await pilot.pause(0.16)
        await until(pilot, "effective batch size")
        while shown(app).waiting:  # type: ignore[attr-defined]
            await pilot.pause(0.01)
        assert max(most) == 1


async def test_leaving_waits_for_nothing(tmp_path: Path) -> None:
    app, services = slow(tmp_path, filled(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_step("model")
        while not services.asked.get("model"):
            await pilot.pause(0.01)
        await pilot.press("f10")
        await pilot.pause()
    assert services.answered.get("model") is None and app.return_code == 0
    waited_for = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    assert not waited_for, "the interpreter waits for these"
    services.gate.set()


def test_nobody_waits_for_a_thread_that_died_with_the_terminal(tmp_path: Path) -> None:
    class Writer(threading.Thread):
        def __init__(self) -> None:
            super().__init__(daemon=True)
            self._queue: Queue[str] = Queue(1)

        def run(self) -> None:
            self._queue.get()
            raise OSError(5, "Input/output error")

    hook = CrashHook(wizard(tmp_path))
    hook.install()
    try:
        writer = Writer()
        writer.start()
        filler = threading.Thread(target=lambda: deque(map(writer._queue.put, "x" * 50), 0), daemon=True)
        filler.start()
        filler.join(60)
        assert not filler.is_alive()
    finally:
        hook.remove()
