"""The one way to work in the background: daemon threads, for which quitting never waits, and answers that are not old.

A widget has `jobs = Jobs(self)` and says `jobs.start(kind, work, then)`: `work` runs in a thread, its result comes back
as `Done(kind, ticket, result)`, and `then` gets it on the event loop if nothing of that kind was started since.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from queue import Queue
from typing import Any, NoReturn, TypeVar

from textual.message import Message
from textual.message_pump import MessagePump

from sft_tui.problems import Problem, Refusal

R = TypeVar("R")


class Crashed(Message):
    """Something unexpected happened in a thread; the app ends with a report about it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Cancelled(Exception):
    """Nobody waits for the work any more."""


@dataclass(frozen=True, slots=True)
class Done:
    """What the work `ticket` of a kind has found; with `ends` it has ended, else that is how far it is."""

    kind: str
    ticket: int
    result: Any
    ends: bool = True


class Job:
    """One piece of work, as its thread sees it."""

    def __init__(self, jobs: Jobs, kind: str, ticket: int) -> None:
        self._jobs, self.kind, self.ticket = jobs, kind, ticket
        self._wake = threading.Event()
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the work any more."""
        return self._cancelled or not self._jobs.owner.is_running

    def check(self) -> None:
        """Raise `Cancelled` where nobody waits any more."""
        if self.cancelled:
            raise Cancelled

    def tell(self, result: Any) -> None:
        """Hand over how far it is; `told` gets it on the event loop."""
        if not self.cancelled:
            self._jobs.post(Done(self.kind, self.ticket, result, ends=False))

    def now_and_then(self, every_s: float = 0.5) -> Callable[[Any], None]:
        """A `tell` that passes on what comes at most once in `every_s`, and ends the work where nobody waits."""
        last = 0.0

        def tell(result: Any) -> None:
            nonlocal last
            self.check()
            if time.monotonic() - last >= every_s:
                last = time.monotonic()
                self.tell(result)

        return tell

    def watch(self, look: Callable[[], R], pause_s: Callable[[R], float], show: Callable[[R], Any]) -> NoReturn:
        """Tell what `show` makes of what `look` sees whenever it is another thing, until nobody waits any more."""
        last: R | None = None
        while True:
            self.check()
            now = look()
            if now != last:
                self.tell(show(now))
                last = now
            self._wake.wait(pause_s(now))
            self._wake.clear()

    def wake(self) -> None:
        """Let `watch` look again at once."""
        self._wake.set()

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._cancelled = True
        self._wake.set()


@dataclass(slots=True)
class _Work:
    """Work with what is to be done with its results; `job` while it is at it, `over` afterwards."""

    job: Job
    work: Callable[[Job], Any]
    then: Callable[[Any], Awaitable[None] | None]
    refused: Callable[[tuple[Problem, ...]], None] | None
    told: Callable[[Any], None] | None


class Jobs:
    """The background work of `owner`. Of each kind only the answer to the newest question is heard."""

    def __init__(self, owner: MessagePump) -> None:
        self.owner = owner
        self._newest: dict[str, _Work] = {}
        self._at_work: dict[str, _Work] = {}
        self._tickets = 0

    def start(
        self,
        kind: str,
        work: Callable[[Job], R],
        then: Callable[[R], Awaitable[None] | None],
        *,
        refused: Callable[[tuple[Problem, ...]], None] | None = None,
        told: Callable[[Any], None] | None = None,
        alone: bool = False,
    ) -> Job:
        """Call `work(job)` in a thread and `then` with its result; an older one of this kind is cancelled.

        A `Refusal` goes to `refused` (without one, to nobody), what the work tells meanwhile to `told`. With `alone`
        it begins when the older one has ended: one works at a time, and of those that wait only the newest is done.
        """
        self._tickets += 1
        self.cancel(kind)
        new = _Work(Job(self, kind, self._tickets), work, then, refused, told)
        self._newest[kind] = new
        if not (alone and kind in self._at_work):
            self._begin(new)
        return new.job

    def _begin(self, new: _Work) -> None:
        self._at_work[new.job.kind] = new
        context = contextvars.copy_context()
        name = f"job {new.job.kind}"
        threading.Thread(target=context.run, args=(self._run, new), daemon=True, name=name).start()

    def _run(self, work: _Work) -> None:
        """In the thread."""
        result: Any = None
        try:
            result = work.work(work.job)
        except Refusal as refusal:
            result = refusal
        except Cancelled:
            work.job.cancel()
        self.post(Done(work.job.kind, work.job.ticket, result))

    def post(self, done: Done) -> None:
        """From a thread: bring `done` to the event loop."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile: nobody is there to hear it
            self.owner.call_later(self._arrived, done)

    async def _arrived(self, done: Done) -> None:
        kind, newest = done.kind, self._newest.get(done.kind)
        if done.ends and kind in self._at_work and self._at_work[kind].job.ticket == done.ticket:
            del self._at_work[kind]
            if newest is not None and newest.job.ticket != done.ticket:
                self._begin(newest)
        if newest is None or newest.job.ticket != done.ticket:
            return  # an old answer
        if not done.ends:
            if newest.told is not None and not self._going_away:
                newest.told(done.result)
            return
        del self._newest[kind]
        if newest.job.cancelled or self._going_away:
            return
        if isinstance(done.result, Refusal):
            if newest.refused is not None:
                newest.refused(done.result.problems)
            return
        answer = newest.then(done.result)
        if answer is not None:
            await answer

    @property
    def _going_away(self) -> bool:
        """Whether the parts of the owner are being taken down already."""
        return not self.owner.app.is_running or bool(getattr(self.owner, "_pruning", False))

    def busy(self, kind: str) -> bool:
        """Whether the answer to the newest question of this kind is still to come."""
        return kind in self._newest

    def wake(self, kind: str) -> None:
        """Let the work of this kind look again at once."""
        if kind in self._newest:
            self._newest[kind].job.wake()

    def cancel(self, kind: str) -> None:
        """Nobody waits for this kind of work any more."""
        older = self._newest.pop(kind, None)
        if older is not None:
            older.job.cancel()

    def close(self) -> None:
        """Nobody waits for any work any more."""
        for kind in list(self._newest):
            self.cancel(kind)


class CrashHook:
    """While it is installed, an error in any thread goes to the app as `Crashed` instead of onto the screen."""

    def __init__(self, app: MessagePump) -> None:
        self._app = app
        self._before = threading.excepthook

    def install(self) -> None:
        """From now on."""
        self._before = threading.excepthook
        threading.excepthook = self._hook

    def remove(self) -> None:
        """As before."""
        threading.excepthook = self._before

    def _hook(self, failure: threading.ExceptHookArgs) -> None:
        unwritten = getattr(failure.thread, "_queue", None)
        if isinstance(unwritten, Queue):  # what wrote to a terminal that is gone: nobody may wait for room there
            with unwritten.mutex:
                unwritten.maxsize = sys.maxsize
                unwritten.not_full.notify_all()
        if isinstance(failure.exc_value, Exception) and self._app.is_running:
            self._app.post_message(Crashed(failure.exc_value))
