"""Long work in daemon threads: quitting never waits for it, and what it finds comes back as messages."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump


class Crashed(Message):
    """Something unexpected happened in a thread; the app ends with a report about it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Task:
    """One piece of work. The thread looks at `cancelled` from time to time and hands over frozen messages by `post`."""

    def __init__(self, owner: MessagePump) -> None:
        self._owner = owner
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the work any more."""
        return self._cancelled.is_set() or not self._owner.is_running

    def cancel(self) -> None:
        """Nobody waits for the work any more."""
        self._cancelled.set()

    def post(self, message: Message) -> None:
        """Give `message` to the widget that asked, if it is still there."""
        if not self.cancelled:
            self._owner.post_message(message)


def in_background(owner: MessagePump, work: Callable[..., None], *arguments: Any) -> Task:
    """Call `work(task, *arguments)` in a thread of its own."""
    task = Task(owner)
    context = contextvars.copy_context()
    arguments = (work, task, *arguments)
    threading.Thread(target=context.run, args=arguments, daemon=True, name=work.__name__).start()
    return task


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
        if isinstance(failure.exc_value, Exception) and self._app.is_running:
            self._app.post_message(Crashed(failure.exc_value))
