"""Leaving when told to, by Ctrl-C, TERM or HUP, also where the exception that says so gets lost on its way.

Python drops an exception that is raised in the callback of a weak reference or in a destructor, and there are many of
those while modules are imported. Who is about to start something asks once more.
"""

from __future__ import annotations

import signal

_told = False


def watch() -> None:
    """Have those signals raise `KeyboardInterrupt`; what is ignored (under nohup) stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _leave)


def _leave(_number: int, _frame: object) -> None:
    global _told
    _told = True
    raise KeyboardInterrupt


def leave_if_told() -> None:
    """Raise `KeyboardInterrupt` if such a signal has come."""
    if _told:
        raise KeyboardInterrupt
