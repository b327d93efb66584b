"""Temporary files that vanish with the process that made them, and their publication under a name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.files import TEMPORARY

if TYPE_CHECKING:
    import numpy as np

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_COPY_BYTES = 4 << 20
_YOUNG_S = 60
_MOST_PARTS = 500


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turn what can go wrong while something is written to `directory` into a refusal."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = _("The disk of {path} is full: {reason}").format(path=directory, reason=error.strerror)
            hint = _("Make room, or choose another directory with --out.")
            raise refuse("disk_full", message, exit_code=ExitCode.PREFLIGHT, path=str(directory), hint=hint) from None
        message = _("Cannot write to {path}: {reason}").format(path=directory, reason=error.strerror or error)
        hint = _("Choose another directory with --out.")
        raise refuse("cannot_write", message, exit_code=ExitCode.PREFLIGHT, path=str(directory), hint=hint) from None


def existing_parent(directory: Path) -> Path:
    """`directory`, or its nearest ancestor that exists: there is room on the same disk, and nothing is made yet."""
    directory = directory.absolute()
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory


def clean_stale(directory: Path) -> None:
    """Remove temporary files of processes that are gone.

    A living one holds a lock on a file that it fills; one that it only renames is younger than a minute.
    """
    if not directory.is_dir():
        return
    for path in directory.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            if time.time() - path.stat().st_mtime < _YOUNG_S:
                continue
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


class Spool:
    """A file without a name where the file system can do that (nothing stays after a kill), else one with a lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.size = 0
        self._path: Path | None = None
        try:
            self._fd = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
                raise
            self._path = directory / f".{secrets.token_hex(8)}{TEMPORARY}"
            self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        view = memoryview(data)
        while view:
            done = os.pwrite(self._fd, view, self.size)
            self.size += done
            view = view[done:]

    def reserve(self, size: int) -> int:
        """The place of the next `size` bytes, which `write_at` fills, perhaps later."""
        offset = self.size
        self.size += size
        return offset

    def write_at(self, offset: int, parts: Sequence[bytes | memoryview]) -> None:
        """Fill a reserved place with `parts`, with few calls."""
        for start in range(0, len(parts), _MOST_PARTS):
            some = parts[start : start + _MOST_PARTS]
            view = memoryview(b"")
            done = os.pwritev(self._fd, some, offset)
            offset += done
            if done < sum(map(len, some)):
                view = memoryview(b"".join(some))[done:]
            while view:
                done = os.pwrite(self._fd, view, offset)
                offset += done
                view = view[done:]

    def start_sync(self, offset: int, size: int) -> None:
        """Let the kernel begin to bring these bytes to the disk, so that `sync` has less to wait for."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, offset, size, os.POSIX_FADV_DONTNEED)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`."""
        parts: list[bytes] = []
        while size > 0:
            part = os.pread(self._fd, size, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def sync(self) -> None:
        """Wait until all of it is on the disk."""
        os.fsync(self._fd)

    def same_as(self, path: Path) -> bool:
        """Whether `path` holds the same bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as stream:
            for offset in range(0, self.size, _COPY_BYTES):
                if stream.read(_COPY_BYTES) != self.read(offset, _COPY_BYTES):
                    return False
        return True

    def publish(self, target: Path) -> None:
        """Give the file its name, in place of what has it now, in one step; mode and symbolic link stay."""
        target = Path(os.path.realpath(target))
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(self._fd, target.stat().st_mode & 0o777)
        beside = target.parent / f".{secrets.token_hex(8)}{TEMPORARY}"
        if self._path is not None and self._path.parent == target.parent:
            self._path.replace(target)
            self._path = None
            return
        try:  # with a directory descriptor Python calls linkat, which alone can name a nameless file
            os.link(f"/proc/self/fd/{self._fd}", beside.absolute(), src_dir_fd=self._fd, follow_symlinks=True)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EXDEV, errno.EPERM):
                raise
            self._copy_to(beside)
        beside.replace(target)

    def _copy_to(self, path: Path) -> None:
        """Write the bytes to `path`, where the kernel cannot link them."""
        with path.open("xb") as stream:
            for offset in range(0, self.size, _COPY_BYTES):
                stream.write(self.read(offset, _COPY_BYTES))
            os.fchmod(stream.fileno(), os.fstat(self._fd).st_mode & 0o777)
            stream.flush()
            os.fsync(stream.fileno())

    def close(self) -> None:
        """Let go of the file; it vanishes unless it was published."""
        if self._fd >= 0:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


class Backup:
    """A second name for what `path` has now, to put it back if something fails; nothing where there is nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path = Path(os.path.realpath(path))
        self._beside: Path | None = None
        if not path.exists():
            return
        self._lock = path.open("rb")  # a link is as old as the file: without a lock it would seem to be stale
        with contextlib.suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._beside = path.parent / f".{secrets.token_hex(8)}{TEMPORARY}"
        try:
            self._beside.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copy(path, self._beside)

    def put_back(self) -> None:
        """Give `path` again what it had. Raises `OSError`."""
        if self._beside is None:
            self._path.unlink(missing_ok=True)
            return
        self._beside.replace(self._path)
        self._lock.close()

    def drop(self) -> None:
        """Forget what `path` had. Raises `OSError`."""
        if self._beside is not None:
            self._lock.close()
            self._beside.unlink(missing_ok=True)


class Numbers:
    """A long list of numbers on the disk: appended to in order, read back in chunks. Keeps memory flat."""

    def __init__(self, directory: Path, dtype: Any) -> None:
        import numpy as np

        self.dtype = np.dtype(dtype)
        self.count = 0
        self._spool = Spool(directory)

    def append(self, values: np.ndarray) -> None:
        """Add `values` at the end."""
        import numpy as np

        self._spool.write(np.ascontiguousarray(values, self.dtype).tobytes())
        self.count += len(values)

    def chunks(self, count: int = 1 << 18) -> Iterator[np.ndarray]:
        """All values, at most `count` at a time."""
        import numpy as np

        width = self.dtype.itemsize
        for start in range(0, self.count, count):
            yield np.frombuffer(self._spool.read(start * width, count * width), self.dtype)

    def close(self) -> None:
        """Let go of the file."""
        self._spool.close()
