"""Finding and ending the processes of a run wherever they went: by a mark in their environment.

A rank that its launcher left behind has another parent, a session of its own and no entry in any file; its environment
still says which run it belongs to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sft_tui.i18n import _
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, Status
from sft_tui.run.keeper import KEEPER_VARIABLE, RUN_VARIABLE

_EVERY_S = 0.05
_KILL_S = 10.0
_KEEPER_PATIENCE_S = 5.0
_SHOWN = 5

Find = Callable[[], Iterable[ProcessRef]]


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose process it is: an attempt at a stage of the run in `run_dir`."""

    run_dir: Path
    stage: str
    attempt: int

    @classmethod
    def of_marker(cls, marker: Path) -> Mark:
        """The mark whose exit marker is `marker`."""
        stage, _dot, attempt = marker.stem.rpartition(".")
        return cls(marker.parent.parent, stage, int(attempt))

    @property
    def marker(self) -> Path:
        """The file that will say how the attempt ended."""
        return RunLayout.of_run_dir(self.run_dir).exit_marker(self.stage, self.attempt)

    def __str__(self) -> str:
        """`PROJECT|RUN|STAGE|ATTEMPT|DEVICE:INODE`; the last is the run directory's, which a renamed project keeps."""
        project, run = self.run_dir.parent.parent, self.run_dir.name
        return f"{project}|{run}|{self.stage}|{self.attempt}|{_inode(self.run_dir)}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How processes were ended: how many were `asked`, how many had to be `killed`, how many live all the same."""

    asked: int
    killed: int
    left: int


def leftovers(run_dir: Path, stage: str | None = None) -> list[ProcessRef]:
    """The living processes of the run in `run_dir` (of one stage of it), wherever they were reparented to."""
    return _marked(RUN_VARIABLE, run_dir, stage)


def keepers(run_dir: Path, stage: str | None = None) -> list[ProcessRef]:
    """The living keepers of the run (of one stage of it)."""
    return _marked(KEEPER_VARIABLE, run_dir, stage)


def sweep(run_dir: Path, stage: str | None = None, patience_s: float = 5.0) -> Ending:
    """End every process of the run (of one stage of it): politely first, after `patience_s` seconds for good."""
    return end_all(lambda: leftovers(run_dir, stage), lambda: keepers(run_dir, stage), patience_s)


def lock_is_held(layout: RunLayout) -> bool:
    """Whether a stage of the run is at work, in whatever container; False too where the file system has no locks."""
    try:
        descriptor = os.open(layout.trainer_lock, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def in_the_way(layout: RunLayout, state: RunState) -> str | None:
    """Why no stage of the run may be started now, in a sentence: something of it lives or may live. None: nothing."""
    living = [process.pid for process in leftovers(layout.run_dir)]
    running = [stage.process for stage in state.stages.values() if stage.status is Status.RUNNING and stage.process]
    living += [process.pid for process in running if process.alive() and process.pid not in living]
    if living:
        shown = ", ".join(str(pid) for pid in sorted(living)[:_SHOWN])
        text = _("Processes of {run} are still at work (pid {pids}). End them with: sft-tui stop {run} --now")
        return text.format(run=layout.name, pids=shown)
    if lock_is_held(layout):
        text = _("Something of {run} is still at work, perhaps in another container: {path} is locked.")
        return text.format(run=layout.name, path=layout.trainer_lock)
    elsewhere = next(
        (process.elsewhere for process in (state.supervisor, *running) if process and process.elsewhere), ""
    )
    if elsewhere and state.status.active:
        text = _("{run} was started on {host}. Whether it still runs there cannot be seen from here.")
        return text.format(run=layout.name, host=elsewhere)
    return None


def end_all(find: Find, keeping: Find, patience_s: float) -> Ending:
    """End all that `find` finds: TERM, and CONT for who is stopped; after `patience_s` seconds KILL until none is left.

    Then those that `keeping` finds have a moment to write down how it ended.
    """
    asked = tell(find(), signal.SIGTERM)
    _wait(asked, patience_s)
    killed: set[ProcessRef] = set()
    deadline = time.monotonic() + _KILL_S
    while (left := _look_twice(find)) and time.monotonic() < deadline:
        killed |= tell(left, signal.SIGKILL)
        _wait(left, _EVERY_S * 4)
    _wait(tell(keeping(), signal.SIGCONT), _KEEPER_PATIENCE_S)
    tell(keeping(), signal.SIGKILL)
    return Ending(len(asked | killed), len(killed), len(left))


def _look_twice(find: Find) -> list[ProcessRef]:
    """A process that just starts another program has no environment for a moment."""
    found = list(find())
    if not found:
        time.sleep(_EVERY_S)
        found = list(find())
    return found


def _wait(processes: Iterable[ProcessRef], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while any(process.alive() for process in processes) and time.monotonic() < deadline:
        time.sleep(_EVERY_S)


def tell(processes: Iterable[ProcessRef], number: int) -> set[ProcessRef]:
    """Send the signal to each that lives and wake it; those that were there to be told."""
    told: set[ProcessRef] = set()
    for process in processes:
        if not process.alive():
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)
            told.add(process)
            os.kill(process.pid, signal.SIGCONT)
    return told


def _marked(variable: str, run_dir: Path, stage: str | None) -> list[ProcessRef]:
    place, inode = f"{run_dir.parent.parent}|{run_dir.name}", _inode(run_dir)
    found: list[ProcessRef] = []
    for pid, mark in _marks(variable):
        where, of_stage, _attempt, of_inode = (*mark.rsplit("|", 3), "", "", "")[:4]
        if (where == place or of_inode == inode != "") and stage in (None, of_stage):
            found.append(ProcessRef.of(pid))
    return [process for process in found if process.alive()]


def _marks(variable: str) -> Iterator[tuple[int, str]]:
    """The marks of the living processes of this user."""
    start = f"{variable}=".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if start in environment:
            for line in environment.split(b"\0"):
                if line.startswith(start):
                    yield int(entry.name), os.fsdecode(line[len(start) :])


def _inode(run_dir: Path) -> str:
    try:
        found = run_dir.stat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"
