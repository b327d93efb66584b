"""Reads a log of any size within bounds: its head and its tail, in blocks."""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path
from typing import BinaryIO

from sft_tui.i18n import _
from sft_tui.problems import refuse

HEAD_BYTES = 512 * 1024
TAIL_BYTES = 4 * 1024 * 1024
CUT = "\n[... a part of the log is left out ...]\n"
_BLOCK_BYTES = 1024 * 1024


def read_log(path: Path) -> str:
    """The text of the log at `path`; of a large one the first 512 KiB and the last 4 MiB, cut at lines.

    Raises:
        Refusal: there is no such file, it may not be read, it is a directory or device, empty, or binary.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISFIFO(status.st_mode):
                return read_stream(file, str(path))
            if not stat.S_ISREG(status.st_mode):
                raise refuse(
                    "not_a_log",
                    _("{path} is not a file.").format(path=path),
                    hint=_("Name the text file with the output of the training."),
                )
            data, tail = _head_and_tail(file.fileno(), status.st_size)
    except FileNotFoundError:
        raise refuse(
            "no_log", _("There is no file {path}.").format(path=path), hint=_("Check the path of the log.")
        ) from None
    except IsADirectoryError:
        raise refuse(
            "log_is_directory",
            _("{path} is a directory, not a log.").format(path=path),
            hint=_("Name the file, for example logs/<run>/train.log."),
        ) from None
    except PermissionError:
        raise refuse(
            "log_unreadable",
            _("{path} may not be read by this user.").format(path=path),
            hint=_("Ask its owner for read permission, or copy the log."),
        ) from None
    except OSError as error:
        raise refuse(
            "log_unreadable", _("{path} cannot be read: {reason}.").format(path=path, reason=error.strerror)
        ) from None
    return _join(data, tail, str(path))


def read_stream(stream: BinaryIO, name: str) -> str:
    """The text that comes from a pipe (or a file as stdin), read to its end within the same bounds as a file.

    Raises:
        Refusal: it is empty or binary.
    """
    descriptor = _regular(stream)
    if descriptor is not None:
        return _join(*_head_and_tail(descriptor, os.fstat(descriptor).st_size), name)
    head = bytearray()
    tail: deque[bytes] = deque()
    tail_bytes, cut = 0, False
    while block := stream.read(_BLOCK_BYTES // 8):
        if len(head) < HEAD_BYTES:
            head += block
            continue
        tail.append(block)
        tail_bytes += len(block)
        while tail_bytes - len(tail[0]) > TAIL_BYTES:
            tail_bytes -= len(tail.popleft())
            cut = True
    joined = b"".join(tail)
    if not cut:
        return decode_log(bytes(head) + joined, name)
    return _join(bytes(head[: head.rfind(b"\n")]), joined[joined.find(b"\n") + 1 :], name)


def _regular(stream: BinaryIO) -> int | None:
    """The descriptor of a stream that is a plain file (`< train.log`), which need not be read through."""
    try:
        descriptor = stream.fileno()
        return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError:
        return None


def decode_log(data: bytes, name: str) -> str:
    """`data` as text; bytes that are no UTF-8 become replacement characters.

    Raises:
        Refusal: it is empty or binary (many NUL or control bytes).
    """
    data = data.lstrip(b"\x00")
    if not data.strip(b"\x00 \r\n\t"):
        raise refuse(
            "empty_log",
            _("{name} is empty.").format(name=name),
            hint=_("The process may have ended before it wrote anything: look at its exit code."),
        )
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    sample = data[:65536] + data[-65536:]
    control = sum(sample.count(bytes([code])) for code in (*range(1, 7), *range(14, 27), 127))
    if sample.count(0) > len(sample) // 10 or control > len(sample) // 20:
        raise refuse(
            "binary_log",
            _("{name} is a binary file, not a log.").format(name=name),
            hint=_("Name the text file with the output of the training."),
        )
    return data.replace(b"\x00", b"").decode("utf-8", errors="replace")


def _head_and_tail(descriptor: int, size: int) -> tuple[bytes, bytes]:
    if size <= HEAD_BYTES + TAIL_BYTES:
        return _read(descriptor, 0, HEAD_BYTES + TAIL_BYTES), b""
    head = _read(descriptor, 0, HEAD_BYTES)
    tail = _read(descriptor, size - TAIL_BYTES, TAIL_BYTES)
    head_end, tail_start = head.rfind(b"\n"), tail.find(b"\n")
    return head[: head_end if head_end > 0 else None], tail[tail_start + 1 :]


def _read(descriptor: int, offset: int, length: int) -> bytes:
    blocks: list[bytes] = []
    end = offset + length
    while offset < end and (block := os.pread(descriptor, min(_BLOCK_BYTES, end - offset), offset)):
        blocks.append(block)
        offset += len(block)
    return b"".join(blocks)


def _join(head: bytes, tail: bytes, name: str) -> str:
    head, tail = head.lstrip(b"\x00"), tail.lstrip(b"\x00")
    if not tail:
        return decode_log(head, name)
    if not head:
        return decode_log(tail, name)
    return decode_log(head, name) + CUT + decode_log(tail, name)
