"""Waiting until a card has the memory that a run needs, in turn with the other runs that wait for one.

Who waits leaves a ticket in a directory that all projects of a user share, with the cards that it could use; tickets of
processes that are gone do not count. The oldest ticket that could use a card goes first: a run with a smaller need does
not overtake one that fits, but none stands behind a run that waits for other cards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sft_tui.i18n import _
from sft_tui.machine.gpus import Gpu, GpuReport, choose_cards, read_gpus, usable
from sft_tui.plan.gpu_headroom import cards_of, least_free_bytes, wanted_free_bytes
from sft_tui.project.files import write_json
from sft_tui.project.identity import ProcessRef, Standing
from sft_tui.project.places import cache_directory
from sft_tui.project.plan_record import Plan
from sft_tui.units import GIB

_EVERY_S = 2.0
SETTLE_S = 20.0
"""After one run starts, others leave its cards alone for so long: its memory is not taken at once."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How the wait stands. `gpus` are the cards to use once the wait is over, empty before that.

    `waited_s` is how long it has lasted, `ahead` how many runs before this one wait for the same cards,
    `best_free_bytes` what the freest cards have now (of the scarcest of them), `needed_bytes` what each must have,
    `reason` why no card can be read.
    """

    waited_s: float
    needed_bytes: int
    best_free_bytes: int | None
    ahead: int
    gpus: tuple[Gpu, ...] = ()
    reason: str | None = None

    @property
    def over(self) -> bool:
        """Whether the cards are there."""
        return bool(self.gpus)


@dataclass(slots=True)
class Queue:
    """The tickets in `directory`, oldest first."""

    directory: Path
    _mine: Path | None = field(default=None)

    def enter(self, run: str, needed_bytes: int, cards: Sequence[str] | None = None) -> None:
        """Leave a ticket for this process and the `cards` that it could use, by UUID (None: any)."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        me = ProcessRef.of(os.getpid())
        self._mine = self.directory / f"{time.time_ns():020d}-{me.pid}.json"
        ticket = {"run": run, "process": asdict(me), "needed_bytes": needed_bytes, "cards": cards, "taken": None}
        write_json(self._mine, ticket, follow=False)

    def take(self, cards: Sequence[str]) -> None:
        """Mark the ticket as served with `cards`: others leave them alone for `SETTLE_S`."""
        if self._mine is not None and (ticket := _read(self._mine)) is not None:
            write_json(self._mine, {**ticket, "cards": list(cards), "taken": time.time()}, follow=False)

    def leave(self) -> None:
        """Remove the ticket."""
        if self._mine is not None:
            self._mine.unlink(missing_ok=True)
            self._mine = None

    def ahead(self, cards: Collection[str]) -> tuple[int, set[str]]:
        """How many living tickets are older than this one and could use some of `cards`, and which of these they could
        use or were given just now.
        """
        older, kept = 0, set[str]()
        for path in sorted(self.directory.glob("*.json")):
            ticket = _read(path)
            if ticket is None or path == self._mine:
                continue
            standing = _holder(ticket)
            if standing is Standing.DEAD:
                path.unlink(missing_ok=True)
                continue
            if standing is Standing.UNKNOWN:  # of another computer's cards, or a container that nobody can ask
                continue
            theirs = set(cards) & set(cards if ticket.get("cards") is None else ticket["cards"])
            if ticket.get("taken"):
                kept |= theirs if 0 <= time.time() - float(ticket["taken"]) < SETTLE_S else set()
            elif self._mine is None or path.name < self._mine.name:
                older += bool(theirs)
                kept |= theirs
        return older, kept


def queue_directory() -> Path:
    """Where the tickets of all projects are: in the user's cache."""
    return cache_directory() / "queue"


def waiting_run(ticket: Path) -> str | None:
    """The run that the file `ticket` stands for; None where its process is gone, or where it is no ticket."""
    found = _read(ticket)
    return None if found is None or _holder(found) is Standing.DEAD else str(found.get("run"))


def wait_for_memory(
    run: str,
    needed_bytes: int,
    *,
    count: int = 1,
    wanted: str | Sequence[int] = "auto",
    every_s: float = 5.0,
    read: Callable[[], GpuReport] = read_gpus,
    queue: Queue | None = None,
) -> Generator[Waiting, None, None]:
    """How the wait stands, each `every_s` seconds, until `count` cards have `needed_bytes` free; the last has them.

    `wanted` are the cards that may be used: any with `auto`, or their numbers. The caller gives up by closing the
    generator. A ticket that was served stays while this process lives, to keep others at a distance (`SETTLE_S`).
    """
    line = queue or Queue(queue_directory())
    report = read()
    named = None if wanted == "auto" else [gpu.uuid for gpu in usable(wanted, report.gpus)]
    line.enter(run, needed_bytes, named)
    number = count if isinstance(wanted, str) else len(set(wanted))
    started = time.monotonic()
    served = False
    try:
        while True:
            ahead, kept = line.ahead([gpu.uuid for gpu in usable(wanted, report.gpus)])
            left = [gpu for gpu in report.gpus if gpu.uuid not in kept]
            best = choose_cards(wanted, left, count)
            free = _scarcest(choose_cards(wanted, report.gpus, count), number)
            room = _scarcest(best, number)
            enough = room is not None and room >= needed_bytes
            if enough:
                line.take([gpu.uuid for gpu in best])
                served = True
            yield Waiting(time.monotonic() - started, needed_bytes, free, ahead, best if enough else (), report.reason)
            if enough:
                return
            time.sleep(every_s)
            report = read()
    finally:
        if not served:
            line.leave()


def _scarcest(cards: Sequence[Gpu], number: int) -> int | None:
    """What is free on each of `number` cards; None where there are not as many."""
    return min((gpu.free_bytes for gpu in cards), default=None) if len(cards) == number else None


def _read(path: Path) -> dict[str, Any] | None:
    import orjson

    try:
        ticket = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return ticket if isinstance(ticket, dict) else None


def _holder(ticket: dict[str, Any]) -> Standing:
    """Whether the process lives that left `ticket`; the older versions' tickets hold its fields themselves."""
    try:
        process = ProcessRef.from_json(ticket.get("process") or ticket)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return Standing.DEAD
    return Standing.DEAD if process is None else process.standing()


def wait_for_room(plan: Plan) -> Generator[Waiting, None, None]:
    """How the wait for the plan's memory stands, until it is over. The plan must have an estimate."""
    need = plan.estimate
    assert need is not None
    cards = cards_of(plan, read_gpus())
    total = min((gpu.total_bytes for gpu in cards), default=0)
    wanted = wanted_free_bytes(need, total) if total else least_free_bytes(need)
    named: str | tuple[int, ...] = "auto" if plan.any_gpu else plan.gpus
    return wait_for_memory(plan.run, wanted, count=max(1, len(plan.gpus)), wanted=named, every_s=_EVERY_S)


def waiting_text(waiting: Waiting) -> str:
    """What a waiting run waits for, and for how long it has."""
    fields: dict[str, Any] = {
        "minutes": f"{int(waiting.waited_s) // 60}:{int(waiting.waited_s) % 60:02}",
        "need": f"{waiting.needed_bytes / GIB:.1f}",
        "free": "?" if waiting.best_free_bytes is None else f"{waiting.best_free_bytes / GIB:.1f}",
    }
    text = _("Waiting for GPU memory since {minutes} (m:ss): {need} GiB must be free, {free} GiB are.").format(**fields)
    if waiting.ahead:
        text += " " + _("Runs before this one: {count}.").format(count=waiting.ahead)
    if waiting.reason:
        text += f" {waiting.reason}"
    return text
