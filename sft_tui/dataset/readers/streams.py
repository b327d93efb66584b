"""The bytes and the text of a source's file, out of its packing and its archive, with damage as a refusal."""

from __future__ import annotations

import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sft_tui.dataset.readers import encoding
from sft_tui.dataset.readers.archives import BROKEN, open_member
from sft_tui.dataset.readers.packing import buffered, decompressed
from sft_tui.dataset.readers.source_file import SourceFile, damaged, unreadable


@contextmanager
def reading(file: SourceFile) -> Iterator[None]:
    """Turn what can go wrong while `file` is read into a refusal."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, *BROKEN) as error:
        raise unreadable(file.path, error, damaged()) from None
    except OSError as error:
        raise unreadable(file.path, error.strerror or error) from None


class _Counted(io.RawIOBase):
    """A file that knows how many bytes were taken from it."""

    def __init__(self, path: Path) -> None:
        self.taken = 0
        self._stream = path.open("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer) or 0
        self.taken += count
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class TextStream:
    """The text of a file as UTF-8 chunks. `position` counts the bytes taken from the disk."""

    def __init__(self, file: SourceFile, *, whole: bool = True) -> None:
        self.file = file
        self.encoding = encoding.detect(lambda: raw_chunks(file), whole=whole)
        self._whole = whole
        self._counted: _Counted | None = None

    @property
    def position(self) -> int:
        """Bytes of the file read so far, compressed where it is."""
        return self._counted.taken if self._counted is not None else 0

    def chunks(self, size: int = encoding.CHUNK_BYTES) -> Iterator[bytes]:
        """The text from its start, in chunks of about `size` bytes."""
        self._counted = _Counted(self.file.path)
        with reading(self.file), _unpacked(self._counted, self.file) as stream:
            raw = encoding.read_chunks(stream, size)
            yield from encoding.as_utf8(raw, self.encoding, self._judge_rest)

    def _judge_rest(self, offset: int) -> encoding.Encoding:
        rest = _skip(raw_chunks(self.file), offset)
        found, _enough = encoding.gather(rest, None if self._whole else encoding.HEAD_BYTES)
        self.encoding = encoding.Encoding(encoding.judge(found) if found else "utf-8")
        return self.encoding


def _skip(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """`chunks` without their first `count` bytes."""
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(count - len(chunk), 0)


@contextmanager
def _unpacked(stream: io.RawIOBase, file: SourceFile) -> Iterator[BinaryIO]:
    """`stream`, which is that of `file`, without its packing, or of its member the bytes."""
    with ExitStack() as stack:
        stack.enter_context(stream)
        if file.member is not None:
            yield stack.enter_context(open_member(buffered(stream), file.member))
        elif file.compression is not None:
            yield stack.enter_context(decompressed(buffered(stream), file.compression))
        else:
            yield stream  # type: ignore[misc]


def raw_chunks(file: SourceFile, size: int = encoding.CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of `file` without its compression, not decoded. Refuses one that is damaged or cut short."""
    with reading(file), _unpacked(_Counted(file.path), file) as stream:
        yield from encoding.read_chunks(stream, size)
