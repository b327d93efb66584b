"""Who a process is, so that no later one with the same number, and no clock that was set, can be taken for it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


class Standing(StrEnum):
    """Whether a process lives."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"  # of another computer or another container: it cannot be seen from here


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """One process: its number, its start in ticks since the boot, and the boot, host and pid namespace these belong to.

    `started` (epoch seconds) is all that files of older versions have, and all there is without a /proc.
    """

    pid: int
    start_ticks: int = 0
    boot_id: str = ""
    host: str = ""
    pid_ns: str = ""
    started: float | None = None

    @classmethod
    def of(cls, pid: int) -> ProcessRef:
        """A reference to the process that has `pid` now; one that is dead where nobody has."""
        here = _here()
        if not here[0]:
            return cls(pid, started=_create_time(pid) or 0.0)
        found = _stat(pid)
        return cls(pid, found[1] if found else -1, *here)

    @classmethod
    def from_json(cls, data: Any) -> ProcessRef | None:
        """The inverse of `dataclasses.asdict`, of older versions too; None for None.

        Raises `ValueError`, `TypeError`, `KeyError` or `OverflowError` for what is no process.
        """
        if not data:
            return None
        started = data.get("started")
        return cls(
            int(data["pid"]),
            int(data.get("start_ticks", 0)),
            str(data.get("boot_id", "")),
            str(data.get("host", "")),
            str(data.get("pid_ns", "")),
            None if started is None else float(started),
        )

    def standing(self) -> Standing:
        """Whether exactly this process still runs; one that has ended and waits for its parent does not."""
        if not self.boot_id:
            return self._standing_by_clock()
        boot_id, host, pid_ns = _here()
        if self.boot_id != boot_id:
            return Standing.DEAD if self.host == host else Standing.UNKNOWN
        if self.pid_ns != pid_ns:
            return Standing.UNKNOWN
        return Standing.ALIVE if self._runs(_stat(self.pid)) else Standing.DEAD

    def alive(self) -> bool:
        """Whether exactly this process surely runs."""
        return self.standing() is Standing.ALIVE

    def may_live(self) -> bool:
        """Whether it runs or nobody here can tell: then nothing may be done that it would stand in the way of."""
        return self.standing() is not Standing.DEAD

    @property
    def before_boot(self) -> bool:
        """Whether it ran on this computer before it was started the last time."""
        return self.boot_id not in ("", _here()[0]) and self.host == _here()[1]

    @property
    def elsewhere(self) -> str:
        """The computer that it belongs to, where that is not this one."""
        boot_id, host, _pid_ns = _here()
        return "" if self.boot_id in ("", boot_id) or self.host == host else self.host

    def _runs(self, found: tuple[str, int] | None) -> bool:
        return found is not None and found[1] == self.start_ticks and found[0] not in "ZX"

    def _standing_by_clock(self) -> Standing:
        found = _stat(self.pid)
        created = _create_time(self.pid)
        if created is None or (found is not None and found[0] in "ZX") or self.started is None:
            return Standing.DEAD
        return Standing.ALIVE if abs(created - self.started) < 2 else Standing.DEAD


@functools.cache
def _here() -> tuple[str, str, str]:
    """This boot, this host, this pid namespace; an empty text for what cannot be told."""
    try:
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        pid_ns = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return "", os.uname().nodename, ""
    return boot_id, os.uname().nodename, pid_ns


def _stat(pid: int) -> tuple[str, int] | None:
    """A process's state letter and its start in ticks since the boot (fields 3 and 22 of proc(5)'s stat)."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 1 :].split()
    return fields[0].decode("ascii"), int(fields[19])


def _create_time(pid: int) -> float | None:
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError, OverflowError):
        return None
