"""`sft-tui logs RUN`: what a stage has printed, without what a terminal would act on."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_run
from sft_tui.headless.find import find_run
from sft_tui.headless.follow import Listener, follow
from sft_tui.headless.output import nobody_reads, put, put_json
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.events import Event, EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import STAGES
from sft_tui.project.state import RunState
from sft_tui.view.log_file import LogFile

_AT_ONCE = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `logs`."""
    parser.add_argument("-f", "--follow", action="store_true", help=_("go on until the run has ended"))
    parser.add_argument(
        "--stage", choices=STAGES, help=_("whose log (default: the stage that is at work, or was last)")
    )
    add_run(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Whose log."""

    run: str
    stage: str | None
    follow: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Print a log; with `follow` go on with those of the next stages, and the exit code is the run's."""
    layout, state = find_run(request.dir, request.run)
    stage = request.stage or state.stage or STAGES[0]
    path = layout.stage_log(stage)
    if not request.follow and not path.is_file():
        raise refuse("no_log", _("There is no log {path} yet.").format(path=path), path=str(path))
    logs = _Logs(layout, stage, only=request.stage is not None, as_json=request.json)
    if request.follow:
        return follow(layout, EventReader(layout.events, from_end=True), logs)
    logs.look()
    logs.finish()
    return int(ExitCode.DONE)


class _Logs(Listener):
    """Prints what is new in the log of a stage; unless `only` that one is wanted, of the present stage."""

    def __init__(self, layout: RunLayout, stage: str, *, only: bool, as_json: bool) -> None:
        self._layout, self._stage, self._only, self._json = layout, stage, only, as_json
        self._log = LogFile(layout.stage_log(stage))
        self._at, self._generation = 0, self._log.generation

    as_json = True  # what it says is data

    def tell(self, event: Event) -> None:
        """Go on with the log of a stage that starts."""
        stage = event.get("stage")
        if event.get("type") == "stage_started" and stage in STAGES and stage != self._stage and not self._only:
            self.finish()
            self._stage, self._log, self._at = stage, LogFile(self._layout.stage_log(stage)), 0
            self._generation = self._log.generation

    def look(self) -> None:
        """Print the lines that have become whole."""
        self._log.refresh()
        if self._log.generation != self._generation:  # another attempt writes a log of its own
            self._generation, self._at = self._log.generation, 0
        while (lines := self._log.after(self._at, _AT_ONCE)) and not nobody_reads(as_json=True):
            whole = [line for line in lines if not line.partial]
            self._put([line.text for line in whole])
            self._at = whole[-1].end if whole else self._at
            if len(whole) < len(lines):
                break

    def _put(self, texts: list[str]) -> None:
        if self._json:
            for text in texts:
                put_json({"stage": self._stage, "line": text})
        elif texts:
            put("\n".join(texts))

    def finish(self) -> None:
        """Print what is left, the unfinished line included."""
        self.look()
        self._put([line.text for line in self._log.after(self._at, _AT_ONCE)])
        self._log.close()

    def end(self, layout: RunLayout, state: RunState) -> None:
        """Nothing comes any more."""
        self.finish()
