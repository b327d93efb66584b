"""Starting, adopting, signalling and ending the processes of stages, each under a keeper (`keeper.py`)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sft_tui.project.files import open_append, read_json
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.run import keeper
from sft_tui.run.leftovers import Ending, Mark, end_all, keepers, leftovers, tell


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended, by its marker: as the shell counts, when (epoch s), and how many processes it had left."""

    exit_code: int
    ended: float
    swept: int


def read_exit(marker: Path) -> Exit | None:
    """What the marker says; None where there is none: the attempt goes on, or nobody saw its end."""
    data = read_json(marker)
    try:
        return Exit(int(data["exit_code"]), float(data["ended"]), int(data["swept"]))
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


class StageProcess:
    """A stage's process: one that was started here, or one that an earlier supervisor started and left running.

    It has ended when nothing of it lives any more, its descendants included.
    """

    def __init__(self, reference: ProcessRef, mark: Mark | None, kept_by: subprocess.Popen[bytes] | None) -> None:
        self.reference = reference
        self._mark = mark
        self._child = kept_by
        self._keeper = None if kept_by is None else ProcessRef.of(kept_by.pid)
        self._living: list[ProcessRef] = [reference]

    @classmethod
    def start(
        cls, argv: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, mark: Mark | None = None
    ) -> StageProcess:
        """Start `argv` in a session of its own, with output appended to `log` and nothing to read.

        `mark` says whose it is: then its end leaves a marker. Raises `OSError`; `BlockingIOError` where something of
        that run is still at work.
        """
        if mark is not None:
            mark.marker.unlink(missing_ok=True)
        ready, answer = os.pipe()
        try:
            with open_append(log) as stream:
                kept_by = subprocess.Popen(
                    [*_kept(answer, mark), *argv],
                    cwd=cwd,
                    env={**os.environ, **env, keeper.KEEPER_VARIABLE: str(mark or "")},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    pass_fds=(answer,),
                    start_new_session=True,
                )
            os.close(answer)
            told = os.read(ready, 64).decode("ascii")
        finally:
            os.close(ready)
        pid = int(told or "-5")  # EIO: the keeper was ended before it could start anything
        if pid < 0:
            kept_by.wait()
            raise OSError(-pid, os.strerror(-pid))
        return cls(ProcessRef.of(pid), mark, kept_by)

    @classmethod
    def adopt(cls, reference: ProcessRef, marker: Path) -> StageProcess:
        """A process that an earlier supervisor started; `marker` is where its end will be written."""
        return cls(reference, Mark.of_marker(marker), None)

    def moved_to(self, run_dir: Path) -> None:
        """The run's directory has another path now."""
        if self._mark is not None:
            self._mark = replace(self._mark, run_dir=run_dir)

    @property
    def exit(self) -> Exit | None:
        """What its marker says; None while it runs, or where its keeper was killed."""
        return None if self._mark is None else read_exit(self._mark.marker)

    @property
    def exit_code(self) -> int | None:
        """As the shell counts (128 + signal); None while it runs, and where nobody has seen its end."""
        seen = self.exit
        if seen is not None:
            return seen.exit_code
        code = None if self._child is None else self._child.returncode
        return code if code is not None and code >= 0 else None

    def poll(self) -> bool:
        """Whether it has ended, with all that it started."""
        if self._child is not None:
            code = self._child.poll()
            if code is None and not self.reference.alive():
                self._child.send_signal(signal.SIGCONT)  # a keeper that was stopped shall see the end
            if code is None or code >= 0:
                return code is not None
        if self.exit is not None:
            return True
        if not any(process.alive() for process in self._living):
            self._living = [*self._all(), *self._keepers()]
        return not self._living

    def has_left_nobody(self, works: Callable[[Sequence[str]], bool]) -> bool:
        """Whether the program and its keeper are gone, and none of what they have left is one that `works`."""
        if self.reference.alive() or self._keepers():
            return False
        return not any(works(_command(process.pid)) for process in self._all())

    def signal(self, number: int, choose: Callable[[Sequence[str]], bool] | None = None) -> int:
        """Send signal `number` to those of its processes whose command line `choose` accepts, or to itself.

        Who was stopped is woken, so that it arrives. Returns how many processes it was sent to.
        """
        chosen = [process for process in self._all() if choose(_command(process.pid))] if choose else []
        return len(tell(chosen or [self.reference], number))

    def pids(self) -> frozenset[int]:
        """Itself and its descendants, as far as they can be seen."""
        return frozenset(process.pid for process in (self.reference, *self._descendants()) if process.alive())

    def memory_bytes(self) -> int:
        """The main memory that it and its descendants have now; what they share counts once. 0 where unknown."""
        import psutil

        total = 0
        for pid in self.pids():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                with contextlib.suppress(psutil.Error, AttributeError):
                    total += process.memory_full_info().pss
                    continue
                total += process.memory_info().rss  # of a process that may not be looked into
        return total

    def end(self, patience_s: float = 10.0) -> Ending:
        """End it and everything that it started, in whatever session: politely first, after `patience_s` s for good."""
        ending = end_all(self._all, self._keepers, patience_s)
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(1)
        return ending

    def _all(self) -> list[ProcessRef]:
        """Everything of it that lives, without its keeper."""
        mark = self._mark
        found = {self.reference, *self._descendants(), *(leftovers(mark.run_dir, mark.stage) if mark else ())}
        return [process for process in found if process.alive()]

    def _keepers(self) -> list[ProcessRef]:
        if self._keeper is None and self._mark is not None:
            self._keeper = next(iter(keepers(self._mark.run_dir, self._mark.stage)), None)
        return [self._keeper] if self._keeper is not None and self._keeper.alive() else []

    def _descendants(self) -> list[ProcessRef]:
        import psutil

        found: list[ProcessRef] = []
        for top in self._keepers() or [self.reference]:
            if not top.alive():
                continue  # its number may belong to somebody else by now
            with contextlib.suppress(psutil.Error):
                found += [ProcessRef.of(child.pid) for child in psutil.Process(top.pid).children(recursive=True)]
        return found


def _command(pid: int) -> list[str]:
    import psutil

    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def _kept(answer: int, mark: Mark | None) -> list[str]:
    """The command line of a keeper, without that of the program it shall keep."""
    words = [sys.executable, "-I", "-S", keeper.__file__, str(answer), str(mark or "-")]
    if mark is None:
        return [*words, "-", "-", "-"]
    layout = RunLayout.of_run_dir(mark.run_dir)
    return [*words, str(mark.run_dir), mark.marker.relative_to(mark.run_dir).as_posix(), layout.trainer_lock.name]
