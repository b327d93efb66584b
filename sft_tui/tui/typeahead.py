"""Keys that are typed after Enter or Esc wait until the screen is there to which these lead, and are typed there."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from textual import events
from textual.timer import Timer
from textual.widget import Widget

from sft_tui.tui.screen import BaseScreen

if TYPE_CHECKING:
    from sft_tui.tui.app import SftApp

LOOK_S = 0.01
LONGEST_S = 10.0
"""So long keys wait at most."""
ALWAYS = ("f10", "ctrl+q", "ctrl+c")
LEADING = ("enter", "escape")


class TypeAhead:
    """Knows whether the way of the last Enter or Esc is at its end, and holds what is typed until then."""

    def __init__(self, app: SftApp) -> None:
        self._app = app
        self._held: deque[events.Key] = deque()
        self._timer: Timer | None = None
        self._since = 0.0
        self._quiet = 0

    @property
    def holding(self) -> bool:
        """Whether keys are being held."""
        return self._timer is not None

    def hold(self, key: events.Key) -> bool:
        """Whether `key` is held; otherwise it is to be handled now, and if it leads on, the next ones are held."""
        if key.key in ALWAYS:
            return False
        if self._timer is not None:
            if key.key != "escape" or not self._waits:
                self._held.append(key)
                return True
            self._end()
            self._held.clear()  # they were for the screen that Esc gives up
        if key.key in LEADING:
            self._begin()
        return False

    @property
    def _waits(self) -> bool:
        """Whether the screen is still finding out whether Enter goes on from it."""
        screen = self._app.screen
        return isinstance(screen, BaseScreen) and screen.waits

    def _begin(self) -> None:
        self._since, self._quiet = time.monotonic(), 0
        self._timer = self._app.set_interval(LOOK_S, self._look)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = None

    async def _look(self) -> None:
        """Ten times in a tenth of a second: whether everything that the key has set going has come to rest."""
        if self._timer is None:
            return
        self._quiet = 0 if self._at_work() else self._quiet + 1
        if self._quiet >= 2 or time.monotonic() - self._since > LONGEST_S:
            self._end()
            while self._held and self._timer is None:
                key = self._held.popleft()
                if key.key in LEADING:
                    self._begin()
                await self._app.type_key(key)

    def _at_work(self) -> bool:
        screen = self._app.screen
        if isinstance(screen, BaseScreen) and not screen.ready:
            return True
        focused = screen.focused
        on_the_way = [self._app, screen, *([focused, *focused.ancestors] if isinstance(focused, Widget) else [])]
        return any(node.message_queue_size for node in on_the_way)
