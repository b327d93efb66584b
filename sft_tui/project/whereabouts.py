"""Where a run's directory lies: known again after it was moved, and told from a copy of it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.project.layout import RunLayout


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The directory `runs/<run>` that a run was last written in: its path, its device and inode, and the computer."""

    path: str
    device: int
    inode: int
    host: str

    @classmethod
    def of(cls, run_dir: Path) -> Whereabouts | None:
        """Where `run_dir` lies now; None where there is no such directory."""
        try:
            status = run_dir.stat()
        except OSError:
            return None
        return cls(os.path.realpath(run_dir), status.st_dev, status.st_ino, socket.gethostname())

    @classmethod
    def from_json(cls, data: Any) -> Whereabouts | None:
        """The inverse of `dataclasses.asdict`; None for None, and for what nobody can make sense of."""
        try:
            return cls(str(data["path"]), int(data["device"]), int(data["inode"]), str(data["host"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def is_here(self, run_dir: Path) -> bool:
        """Whether `run_dir` is this very directory, moved or not, and no copy.

        A device's number changes with a reboot and between computers, a path by moving: one of the two is enough.
        """
        now = Whereabouts.of(run_dir)
        if now is None or now.inode != self.inode:
            return False
        return now.device == self.device or now.path == self.path or now.host != self.host


class Anchor:
    """Holds on to the directory of a run while its project may be renamed."""

    def __init__(self, layout: RunLayout) -> None:
        """Raises `OSError` where there is no such directory."""
        self._name = layout.name
        self._descriptor = os.open(layout.run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def layout(self) -> RunLayout | None:
        """Where the run is now; None where its directory was removed, or renamed without its project."""
        path = Path(os.readlink(f"/proc/self/fd/{self._descriptor}"))  # noqa: PTH115 - one call, twice a second
        try:
            there = os.path.samestat(path.stat(), os.fstat(self._descriptor))
        except OSError:
            return None
        return RunLayout(path.parent.parent, path.name) if there and path.name == self._name else None
