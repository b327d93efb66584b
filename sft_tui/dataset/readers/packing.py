"""Compressed streams of one file: which packing it is, and its plain bytes. Nothing is unpacked to the disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import Any, BinaryIO, cast

_PACKINGS = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"))
_BUFFER_BYTES = 1 << 18


def packing_of(head: bytes) -> str | None:
    """How what begins with `head` is packed; None where it is not."""
    return next((kind for magic, kind in _PACKINGS if head.startswith(magic)), None)


def decompressed(stream: BinaryIO, packing: str | None) -> BinaryIO:
    """The plain bytes of `stream`, as much as is read of them. Raises OSError, EOFError, zlib.error and LZMAError."""
    if packing == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if packing == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(stream))
    if packing == "xz":
        return cast(BinaryIO, lzma.LZMAFile(stream))
    if packing == "zstd":
        return io.BufferedReader(_Zstd(stream), _BUFFER_BYTES)
    return stream


def buffered(stream: io.RawIOBase) -> io.BufferedReader:
    """`stream` in pieces as large as packed ones are read in."""
    return io.BufferedReader(stream, _BUFFER_BYTES)


class _Zstd(io.RawIOBase):
    """Zstandard frames one after the other; unlike the library's reader it notices a file that was cut short."""

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._stream = stream
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._error = zstandard.ZstdError
        self._frame = self._new()
        self._fresh = True
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            part = self._stream.read(1 << 16)
            if not part:
                if not self._fresh:
                    raise EOFError("compressed file ended before the end-of-stream marker was reached")
                return 0
            self._ready = self._unpack(part)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpack(self, part: bytes) -> bytes:
        found: list[bytes] = []
        try:
            while part:
                found.append(self._frame.decompress(part))
                self._fresh = self._frame.eof
                part = self._frame.unused_data if self._frame.eof else b""
                if self._frame.eof:
                    self._frame = self._new()
        except self._error as error:
            raise OSError(str(error)) from None
        return b"".join(found)
