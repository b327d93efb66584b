"""The files of the program: replaced so that a reader sees the old or the new content, opened so that nobody is led
astray by a link that another user planted in a shared project, and read whatever they hold.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sft_tui.i18n import _

MAX_JSON_BYTES = 64 << 20
"""A JSON file of more is none of ours."""
TEMPORARY = ".sft-tui-tmp"
"""How the names of half-written files end."""


class NotAPlainFile(OSError):
    """There is a link, a pipe or the like where a plain file was expected; `strerror` says so in a sentence's half."""


@contextmanager
def replacing(path: Path, *, private: bool = False, follow: bool = True, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream whose bytes take the place of `path` in one step at the end of the block.

    What is replaced keeps its mode and, where that is allowed, its owner; a new file follows the umask; with `private`
    only its owner may read it. Through a symbolic link its target is replaced, unless `follow` is false (for files of
    our own, where a link is a trap): then the link goes. `durable` waits until file and name are on the disk. Raises
    `OSError`, and passes on what the block raises; then `path` is as it was and nothing is left beside it.
    """
    target = Path(os.path.realpath(path)) if follow and path.is_symlink() else path
    beside = target.with_name(f".{os.urandom(8).hex()}{TEMPORARY}")
    with os.fdopen(_create(beside, target, private, follow), "wb") as stream:
        try:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            beside.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
    if durable:
        with contextlib.suppress(OSError):  # the new content is there, and some file systems cannot do this
            sync_directory(target.parent)


def _create(beside: Path, target: Path, private: bool, follow: bool) -> int:
    """Open the new file `beside` with the mode and the owner that it will have in the place of `target`."""
    try:
        earlier = target.stat() if follow else target.lstat()
    except FileNotFoundError:
        earlier = None
    if earlier is not None and stat.S_ISLNK(earlier.st_mode):
        earlier = None
    if earlier is not None and not stat.S_ISREG(earlier.st_mode):
        raise NotAPlainFile(errno.EINVAL, _("it is not a plain file"), str(target))
    mode = 0o600 if private else earlier.st_mode & 0o777 if earlier else 0o666
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    if earlier is not None:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, -1, earlier.st_gid)
        with contextlib.suppress(OSError):
            os.fchown(descriptor, earlier.st_uid, -1)
        with contextlib.suppress(OSError):  # of a file system that has no modes
            os.fchmod(descriptor, mode)
    return descriptor


def write_atomically(
    path: Path, content: str | bytes, *, private: bool = False, follow: bool = True, durable: bool = True
) -> None:
    """Replace `path` by `content` (a text as UTF-8) as `replacing` does; its directory is made where it is missing."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, private=private, follow=follow, durable=durable) as stream:
        stream.write(data)


def write_json(path: Path, data: Any, *, private: bool = False, follow: bool = True, durable: bool = True) -> None:
    """Replace `path` by `data` as JSON; bytes of paths that are no UTF-8 survive."""
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(path, content, private=private, follow=follow, durable=durable)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` last. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_append(path: Path, *, fresh: bool = False) -> io.FileIO:
    """Open `path` for appending, unbuffered; `fresh` empties it. What is there must be a plain file, no link.

    Raises `NotAPlainFile`, or another `OSError`.
    """
    return _open_own(path, os.O_APPEND | (os.O_TRUNC if fresh else 0))


def open_lock(path: Path) -> io.FileIO:
    """Open `path` to lock it, under the same conditions as `open_append`; what it holds stays."""
    return _open_own(path, 0)


def _open_own(path: Path, flags: int) -> io.FileIO:
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not make us wait
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            text = _("it is a symbolic link, which could lead out of the project")
            raise NotAPlainFile(errno.ELOOP, text, str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAPlainFile(errno.EINVAL, _("it is not a plain file"), str(path))
    return io.FileIO(descriptor, "ab" if flags & os.O_APPEND else "r+b")


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None where there is none that can be read: torn, too deep, too large, no plain file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_JSON_BYTES:
            return None
        content = path.read_bytes()
    except (OSError, ValueError):  # a path may hold a NUL
        return None
    return parse_json(content)


def parse_json(content: bytes) -> Any:
    """The value that `content` is as JSON in UTF-8, or None where it is none that can be read."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def set_aside(directory: Path) -> Path:
    """Rename `directory` to the first free `<name>.before-N` beside it, and return that. Raises `OSError`."""
    return directory.rename(free_beside(directory))


def free_beside(directory: Path) -> Path:
    """The first free `<name>.before-N` beside `directory`."""
    number = 1
    while (free := directory.with_name(f"{directory.name}.before-{number}")).exists():
        number += 1
    return free
