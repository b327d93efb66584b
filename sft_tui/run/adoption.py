"""What whoever looks at a run does for it: a supervisor for what a lost one has left."""

from __future__ import annotations

import contextlib

from sft_tui.problems import Refusal
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, read_state


def looked_after(layout: RunLayout, state: RunState) -> RunState:
    """`state`, or that of the supervisor that was started because the one of `state` was lost."""
    if not state.status.active or state.supervisor is None or state.supervisor.may_live():
        return state
    from sft_tui.run.lifecycle import ensure_supervised  # seldom needed, and far from light

    with contextlib.suppress(Refusal, OSError):  # it is shown as it is
        ensure_supervised(layout)
    return read_state(layout) or state
