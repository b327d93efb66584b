"""The top line of a run's screens: which run, how it stands, what time it is."""

from __future__ import annotations

import time

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from sft_tui.tui.look.text import one_line
from sft_tui.tui.runs.stage_bar import status_sign, status_style
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.view.outcome import stage_name, status_word
from sft_tui.view.watch import Snapshot


class RunHeader(Widget):
    """`sft-tui  apples  * running: train    12:41:07`. The clock is only there while something happens."""

    def __init__(self, run: str) -> None:
        super().__init__(id="run-header")
        self._run = run
        self._state: tuple[str, str] = ("", "")
        self._clock = ""

    def show(self, snapshot: Snapshot, now: float) -> None:
        """Show how `snapshot` stands at epoch `now`."""
        signs = signs_of(self)
        word = status_word(snapshot.status)
        if snapshot.alive and snapshot.stage:
            word += f": {stage_name(snapshot.stage)}"
        state = (f"{status_sign(snapshot.status, signs)} {word}", status_style(snapshot.status))
        clock = time.strftime("%H:%M:%S", time.localtime(now)) if snapshot.alive else ""
        if (state, clock) != (self._state, self._clock):
            self._state, self._clock = state, clock
            self.refresh()

    def render(self) -> Content:
        """One line for the present width."""
        state, style = self._state
        room = self.size.width - cell_len(state) - len(self._clock) - 14
        run = one_line(self._run, max(8, room), signs_of(self).ellipsis)
        gap = " " * max(1, self.size.width - 9 - 2 - cell_len(run) - 2 - cell_len(state) - len(self._clock) - 1)
        return Content.assemble((" sft-tui ", "reverse"), "  ", (run, "bold"), "  ", (state, style), gap, self._clock)
