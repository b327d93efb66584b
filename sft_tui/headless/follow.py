"""Following a run by its files to its end, whoever listens."""

from __future__ import annotations

import time
from dataclasses import replace

from sft_tui.headless.output import nobody_reads, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode
from sft_tui.project.events import Event, EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, Status, present_status, read_state
from sft_tui.run.adoption import looked_after
from sft_tui.view.outcome import exit_code_of

_POLL_S = 0.25
_GRACE_S = 1.0
"""The last event comes a moment after the state that it tells of, if it comes."""
_PATIENCE_S = 5.0
"""A run seems lost for as long as it takes another supervisor to adopt it; its files may be unreadable for as long."""
_LOOK_S = 3.0
"""A lost supervisor is looked for this often."""
_START_S = 30.0
"""A run that was written and never started does not start any more after this."""


class Listener:
    """Hears of a run while it is followed, and says nothing. `as_json`: what it says goes to programs, on stdout."""

    as_json = False

    def tell(self, event: Event) -> None:
        """Something has happened."""

    def look(self) -> None:
        """Some time has passed."""

    def end(self, layout: RunLayout, state: RunState) -> None:
        """The run has ended."""


def follow(layout: RunLayout, reader: EventReader, listener: Listener, *, timeout_s: float | None = None) -> int:
    """Let `listener` hear of a run until it ends; its exit code.

    Who leaves before (Ctrl-C, TERM, HUP, a reader that goes away, `timeout_s`) leaves the run alone, and gets 130.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        state = _to_the_end(layout, reader, listener, deadline)
    except (KeyboardInterrupt, _Left):
        say_detached(layout)
        return int(ExitCode.INTERRUPTED)
    if state is None:
        say(_("{path} is gone; what became of the run cannot be told.").format(path=layout.run_dir))
        return int(ExitCode.INTERRUPTED)
    listener.end(layout, state)
    return exit_code_of(state)


class _Left(Exception):
    """Who followed does not any more."""


def _to_the_end(layout: RunLayout, reader: EventReader, listener: Listener, deadline: float | None) -> RunState | None:
    """The run's last state; None where its files went away. Raises `KeyboardInterrupt` or `_Left`."""
    told: Event | None = None
    look_again = 0.0
    still: float | None = None  # since when nothing seems to happen any more
    while True:
        state = read_state(layout)  # before the events: what led to it is in them
        if state is not None and time.monotonic() >= look_again:
            state, look_again = looked_after(layout, state), time.monotonic() + _LOOK_S
        for event in reader.poll():
            listener.tell(event)
            told = event if event.get("type") == "run_finished" else None
        listener.look()
        now = time.monotonic()
        if nobody_reads(as_json=listener.as_json) or (deadline is not None and now > deadline):
            raise _Left
        patience = _patience_s(state, told)
        if patience is None:
            still = None
        else:
            still = still or now
            if now - still >= patience:
                return _as_told(state, told)
        time.sleep(_POLL_S)


def _patience_s(state: RunState | None, told: Event | None) -> float | None:
    """How long to wait for what may still come where a run seems to have ended; None while it goes on."""
    status = Status.LOST if state is None else present_status(state)
    if status is Status.PENDING and state is not None and state.supervisor is None:
        return _START_S
    if status is Status.LOST:
        return _GRACE_S if told is not None else _PATIENCE_S
    if status.final:
        return 0.0 if told is not None else _GRACE_S
    return None


def _as_told(state: RunState | None, told: Event | None) -> RunState | None:
    """The last state; where it could not be written (a full disk), as the last event has it."""
    if state is None or told is None or state.status.final or told.get("status") not in list(Status):
        return state
    status, code = Status(told["status"]), told.get("exit_code")
    return replace(state, status=status, exit_code=code, message=told.get("message"))


def say_detached(layout: RunLayout) -> None:
    """Say that the run goes on without this terminal, and how to look and to stop."""
    say(_("The run {run} goes on without this terminal.").format(run=layout.name))
    say(_("  look:  sft-tui attach {run}    all runs: sft-tui runs").format(run=layout.name))
    say(_("  stop:  sft-tui stop {run}").format(run=layout.name))
    say(_("  (in {project})").format(project=layout.project))
