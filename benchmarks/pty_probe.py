"""Runs a program in a pseudo-terminal and measures what it writes: time and bytes to a text on the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

_ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=:]*[ -/]*[@-~]|\x1b[P\]].*?(?:\x1b\\|\x07)|\x1b[()].")


@dataclass
class Session:
    """A program in a pseudo-terminal of 80x24. `seen` is all that it wrote."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    columns: int = 80
    rows: int = 24
    seen: bytearray = field(default_factory=bytearray)
    pid: int = 0
    fd: int = -1
    started: float = 0.0

    def __enter__(self) -> Session:
        self.started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
            os.chdir(self.cwd)
            os.execvpe(self.argv[0], self.argv, self.env)
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, seconds: float) -> int:
        """Read for `seconds`; the number of bytes that came."""
        before, end = len(self.seen), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _w, _x = select.select([self.fd], [], [], left)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    break
        return len(self.seen) - before

    def wait_for(self, text: str, timeout: float = 30.0) -> float:
        """Seconds from the start until `text` was written (escape sequences apart)."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            ready, _w, _x = select.select([self.fd], [], [], 0.5)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    break
                if text.encode() in _ESCAPES.sub(b"", bytes(self.seen)):
                    return time.monotonic() - self.started
        raise TimeoutError(f"{text!r} was not shown: {_ESCAPES.sub(b'', bytes(self.seen))[-400:]!r}")

    def send(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self.fd, keys.encode())

    def cpu_seconds(self) -> float:
        """CPU time that the program has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory that the program holds now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
