"""One file in a zip or tar archive: which one, and its bytes. Nothing is unpacked to the disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from sft_tui.dataset.readers.packing import decompressed, packing_of
from sft_tui.dataset.request import IN_ARCHIVE

MOST_MEMBERS = 10_000
"""An archive with more files is refused."""
_RATIO_FROM_BYTES = 64 << 20
_MOST_RATIO = 200
"""Texts shrink to a tenth, very regular ones to a hundredth; zeros to a thousandth."""
BROKEN = (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError)
"""What the libraries raise on damaged archives, unknown compressions and passwords, besides OSError and EOFError."""
_ZIP, _TAR = b"PK\x03\x04", slice(257, 262)


class Member(NamedTuple):
    """A file in an archive, with its bytes unpacked as the archive declares them; no more of them are read."""

    name: str
    bytes: int

    def is_bomb(self, archive_bytes: int) -> bool:
        """Whether it declares more than an archive of that size can honestly hold."""
        return self.bytes > _RATIO_FROM_BYTES and self.bytes > _MOST_RATIO * archive_bytes


def archive_kind(head: bytes, packing: str | None) -> str | None:
    """zip or tar for what begins with `head` out of its packing; None for no archive. A workbook is a zip here."""
    if head[_TAR] == b"ustar":
        return "tar"
    return "zip" if head.startswith(_ZIP) and packing is None else None


def split_member(source: str) -> tuple[Path, str] | None:
    """`data.zip!train.csv` as the archive and the name in it; None where nothing before a `!` is a file."""
    archive, mark, name = source.partition(IN_ARCHIVE)
    return (Path(archive), name) if mark and Path(archive).is_file() else None


def members(path: Path) -> Iterator[Member]:
    """The files in the archive, one after the other. Raises OSError, EOFError and what is `BROKEN`."""
    with path.open("rb") as stream:
        if stream.peek(4).startswith(_ZIP):
            with zipfile.ZipFile(stream) as archive:
                infos = archive.infolist()
                yield from (Member(info.filename, info.file_size) for info in infos if not info.is_dir())
            return
        with _tar(stream) as tar:
            yield from (Member(info.name, info.size) for info in tar if info.isfile())


@contextmanager
def open_member(stream: BufferedReader, name: str) -> Iterator[BinaryIO]:
    """The bytes of the file `name` of the archive in `stream`."""
    if stream.peek(4).startswith(_ZIP):
        with zipfile.ZipFile(stream) as archive, archive.open(name) as plain:
            yield cast(BinaryIO, plain)
        return
    with _tar(stream) as tar:
        for info in tar:
            if info.name == name and info.isfile() and (found := tar.extractfile(info)) is not None:
                yield cast(BinaryIO, found)
                return
    raise EOFError(name)


def _tar(stream: BufferedReader) -> tarfile.TarFile:
    """The tar archive in `stream`, read once from its start. It is unpacked here: tarfile would hold all at once."""
    return tarfile.open(fileobj=decompressed(stream, packing_of(stream.peek(6))), mode="r|")
