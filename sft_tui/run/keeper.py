"""Keeps one stage: `python -I -S keeper.py READY_FD MARK RUN_DIR MARKER LOCK PROGRAM [ARGUMENT ...]`.

It starts the program in a session of its own, waits for it, ends whatever the program has left behind, in whatever
session, and writes how it ended into the file MARKER in RUN_DIR. It needs nobody: when the supervisor is killed, it
goes on. It is the parent of every process that loses its own (a subreaper), so that none gets away. It holds the file
LOCK in RUN_DIR locked, as does the program, so that none is started beside it. RUN_DIR `-`: no lock and no marker.

The program's number, or `-` and the error's number, goes into READY_FD. Standard library only, and little of that: it
lies in memory as long as the training lasts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time

RUN_VARIABLE = "SFT_TUI_RUN"
KEEPER_VARIABLE = "SFT_TUI_KEEPER"
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_MARKER_BYTES = 256
_LOCK_PATIENCE_S = 1.0
_LINGER_S = 1.0
"""What the program has left may end by itself so long, e.g. workers that notice that their parent is gone."""
_POLITE_S = 5.0
_KILL_S = 20.0
_EVERY_S = 0.05


class Keeper:
    """One program and its descendants."""

    def __init__(self, run_dir: str, marker: str, lock: str) -> None:
        self._marker = marker
        # by the open directory, so that a project that is renamed meanwhile is neither missed nor made again
        self._dir = None if run_dir == "-" else os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)
        self._lock = None if self._dir is None else _locked(lock, self._dir)
        self._waiting = self._prepare_marker()
        self._swept = 0

    def start(self, argv: list[str], mark: str) -> int:
        """The program's process number. Raises `OSError`."""
        env = {name: value for name, value in os.environ.items() if name != KEEPER_VARIABLE}
        if self._lock is not None:
            os.set_inheritable(self._lock, True)
        return os.posix_spawnp(argv[0], argv, env | {RUN_VARIABLE: mark}, setsid=True)

    def keep(self, program: int) -> int:
        """Wait for the end of `program`, then end what it left; its exit code as the shell counts."""
        status = None
        while status is None:
            pid, ended = os.waitpid(-1, 0)
            if pid == program:
                status = ended
        code = os.waitstatus_to_exitcode(status)
        self._sweep()
        return 128 - code if code < 0 else code

    def _sweep(self) -> None:
        """No descendant is left after this, unless the kernel itself cannot end one."""
        for number, patience in ((0, _LINGER_S), (signal.SIGTERM, _POLITE_S), (signal.SIGKILL, _KILL_S)):
            deadline = time.monotonic() + patience
            told: set[int] = set()
            while left := _descendants():
                if number:
                    for pid in left - told:
                        _tell(pid, number)
                    told |= left
                if time.monotonic() > deadline:
                    break
                time.sleep(_EVERY_S)
            self._swept += len(told) if number == signal.SIGTERM else 0
            if not left:
                return

    def _prepare_marker(self) -> int | None:
        """A file of the marker's size, so that the marker itself can be written on a full disk."""
        if self._dir is None:
            return None
        try:
            _make_dir(self._marker.rpartition("/")[0], self._dir)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            descriptor = os.open(self._marker + ".tmp", flags, 0o666, dir_fd=self._dir)
            os.write(descriptor, b" " * _MARKER_BYTES)
        except OSError:
            return None
        return descriptor

    def mark_end(self, code: int) -> None:
        """Write the marker: whole or not at all."""
        if self._waiting is None or self._dir is None:
            return
        text = f'{{"exit_code": {code}, "ended": {time.time():.3f}, "swept": {self._swept}}}'
        os.pwrite(self._waiting, text.ljust(_MARKER_BYTES - 1).encode("ascii") + b"\n", 0)
        os.fsync(self._waiting)
        os.rename(self._marker + ".tmp", self._marker, src_dir_fd=self._dir, dst_dir_fd=self._dir)

    def leave_no_marker(self) -> None:
        """Nothing has run."""
        if self._waiting is not None and self._dir is not None:
            os.unlink(self._marker + ".tmp", dir_fd=self._dir)


def _make_dir(folder: str, parent: int) -> None:
    try:
        os.mkdir(folder, dir_fd=parent)
    except FileExistsError:
        pass


def _locked(name: str, directory: int) -> int | None:
    """The lock file, locked; None on a file system that cannot. Raises `BlockingIOError` where another holds it."""
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666, dir_fd=directory)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_EVERY_S)
        except OSError:
            return None
        else:
            return descriptor


def _descendants() -> set[int]:
    """The living descendants of this process; its own children that have ended are buried."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return set()
    children: dict[int, list[int]] = {}
    dead: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                fields = stream.read().rpartition(b")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(name))
        if fields[0] in b"ZX":
            dead.add(int(name))
    found: set[int] = set()
    open_ends = [os.getpid()]
    while open_ends:
        below = children.get(open_ends.pop(), [])
        found.update(below)
        open_ends.extend(below)
    return found - dead


def _tell(pid: int, number: int) -> None:
    """Send the signal, and wake who is stopped."""
    try:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass  # it has ended


def _become_subreaper() -> None:
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # then what gets away is found by its environment


def main(words: list[str]) -> int:
    """Keep one program; ends as the program ended."""
    ready, mark, run_dir, marker, lock, *argv = words
    os.set_inheritable(int(ready), False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # a handler, which the program does not inherit, unlike "ignored"
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _become_subreaper()
    keeper = None
    try:
        keeper = Keeper(run_dir, marker, lock)
        program = keeper.start(argv, mark)
    except OSError as error:
        if keeper is not None:
            keeper.leave_no_marker()
        _answer(int(ready), f"-{error.errno or errno.EIO}")
        return 127
    _answer(int(ready), str(program))
    code = keeper.keep(program)
    keeper.mark_end(code)
    return code


def _answer(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode("ascii"))
        os.close(descriptor)
    except OSError:
        pass  # the supervisor is gone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
