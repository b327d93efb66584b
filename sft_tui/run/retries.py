"""Trying a training again by itself: smaller after a GPU ran out of memory, later after a crash that may pass.

What is smaller is worked out by a process of its own (`sft_tui.run.oom`), which knows the estimator: the supervisor
does not load it.
"""

from __future__ import annotations

import os
import subprocess
import sys

from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan
from sft_tui.project.state import RunState
from sft_tui.run.lifecycle import read_plan

GPU_OOM = frozenset({"gpu-oom", "gpu-oom-later"})
"""Ids of the diagnoses that mean that a GPU's memory did not suffice."""
_MOST_SHRINKS = 3
_FIRST_WAIT_S = float(os.environ.get("SFT_TUI_CRASH_WAIT_S", "10"))
_LONGEST_WAIT_S = 600.0
_PATIENCE_S = 120.0


def waits_between(restarts: int) -> list[float]:
    """Seconds to wait before each of so many `restarts` after a crash: three times as long each time, 600 at most."""
    return [min(_FIRST_WAIT_S * 3**number, _LONGEST_WAIT_S) for number in range(max(restarts, 0))]


def crash_may_pass(state: RunState) -> bool:
    """Whether starting the training again may do: it did not fail for a reason that is known and can be mended."""
    return not any(diagnosis.get("fixes") for diagnosis in state.diagnoses[:1])


def smaller_plan(layout: RunLayout, plan: Plan, state: RunState, shrunk: int) -> tuple[Plan, str] | None:
    """The plan with the next smaller settings, which is in force then, and a sentence that says what changed.

    None where the training did not fail for memory, where nobody allowed it, or where nothing is left to try.
    """
    cause = state.diagnoses[0].get("id") if state.diagnoses else None
    if plan.on_failure.get("oom") != "retry" or cause not in GPU_OOM or shrunk >= _MOST_SHRINKS:
        return None
    argv = [sys.executable, "-m", "sft_tui.run.oom", str(layout.run_dir)]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    after = read_plan(layout) if done.returncode == 0 else None
    return None if after is None else (after, done.stdout.strip())
