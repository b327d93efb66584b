"""Starting, adopting, signalling and ending the processes of stages."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sft_tui.project.files import open_append
from sft_tui.project.identity import ProcessRef


class StageProcess:
    """A stage's process: one that was started here, or one that an earlier supervisor started and left running."""

    def __init__(self, reference: ProcessRef, child: subprocess.Popen[bytes] | None = None) -> None:
        self.reference = reference
        self._child = child

    @classmethod
    def start(cls, argv: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> StageProcess:
        """Start `argv` in a session of its own, with output appended to `log` and nothing to read. Raises `OSError`."""
        with open_append(log) as stream:
            child = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(ProcessRef.of(child.pid), child)

    def poll(self) -> bool:
        """Whether it has ended."""
        if self._child is not None:
            return self._child.poll() is not None
        return not self.reference.alive()

    @property
    def exit_code(self) -> int | None:
        """As the shell counts (128 + signal); None while it runs, and for an adopted one, which nobody can ask."""
        if self._child is None or self._child.returncode is None:
            return None
        code = self._child.returncode
        return 128 - code if code < 0 else code

    def signal(self, number: int, choose: Callable[[Sequence[str]], bool] | None = None) -> int:
        """Send signal `number` to those of its descendants whose command line `choose` accepts, or to itself.

        Returns how many processes it was sent to.
        """
        targets = self._descendants(choose) if choose else []
        sent = 0
        for pid in targets or [self.reference.pid]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
                sent += 1
        return sent

    def pids(self) -> frozenset[int]:
        """Itself and its descendants, as far as they can be seen."""
        return frozenset({self.reference.pid, *self._descendants(lambda _command: True)})

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

    def end(self, patience_s: float = 10.0) -> None:
        """End it and everything in its session: politely first, after `patience_s` seconds for good."""
        self._signal_group(signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self.poll():
                break
            time.sleep(0.1)
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.reference.pid, number)

    def _descendants(self, choose: Callable[[Sequence[str]], bool]) -> list[int]:
        import psutil

        chosen: list[int] = []
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.reference.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if choose(process.cmdline()):
                        chosen.append(process.pid)
        return chosen
