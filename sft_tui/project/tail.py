"""Following a file that others append to: the one reader behind events, the trainer's figures and its console log."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

MAX_READ_BYTES = 8 * 1024 * 1024
_MAX_LINE_BYTES = 1024 * 1024
_FINGERPRINT_BYTES = 64


class Tail:
    """New complete lines of a growing file, at each `poll`; cheap where nothing has changed (one `stat`).

    A half line waits for its rest. A file that was replaced or cut is read from its start; one that is gone, or on a
    disk that does not answer now, has no new lines. With `from_end` only what comes after now is read.
    """

    def __init__(self, path: Path | str, *, from_end: bool = False) -> None:
        self.path = os.fspath(path)
        self.resets = 0
        """How often the file was replaced or truncated, and read from its start again."""
        self._inode: tuple[int, int] | None = None
        self._offset = 0
        self._rest = b""
        self._before = b""
        if from_end:
            with contextlib.suppress(OSError):
                status = os.stat(self.path)  # noqa: PTH116
                self._inode, self._offset = (status.st_dev, status.st_ino), status.st_size

    def poll(self) -> list[bytes]:
        """The lines that were completed since the last call, without their ends, at most `MAX_READ_BYTES` at once."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - a plain call twice a second
            if (status.st_dev, status.st_ino) == self._inode and status.st_size == self._offset:
                return []
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            return self._read(descriptor, os.fstat(descriptor))
        except OSError:
            return []
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int, status: os.stat_result) -> list[bytes]:
        if not stat.S_ISREG(status.st_mode):
            return []
        inode = (status.st_dev, status.st_ino)
        if inode != self._inode or status.st_size < self._offset or self._was_rewritten(descriptor):
            self.resets += self._inode is not None
            self._inode, self._offset, self._rest, self._before = inode, 0, b"", b""
        data = os.pread(descriptor, MAX_READ_BYTES, self._offset)
        self._offset += len(data)
        self._before = (self._before + data)[-_FINGERPRINT_BYTES:]
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            self._rest = b""
        return lines

    def _was_rewritten(self, descriptor: int) -> bool:
        """Whether other bytes than those that were read last stand before the place where reading goes on."""
        return os.pread(descriptor, len(self._before), self._offset - len(self._before)) != self._before
