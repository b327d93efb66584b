"""Columns and rows of a Parquet file from its footer, without a library: importing one takes longer than a check.

The footer is a Thrift structure in the compact protocol: https://parquet.apache.org/docs/file-format/metadata/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAX_FOOTER = 32 << 20
_PHYSICAL = {0: "bool", 1: "number", 2: "number", 4: "number", 5: "number", 6: "text", 7: "text"}


@dataclass(frozen=True, slots=True)
class ParquetFooter:
    """The top-level columns with their kinds (`text`, `number`, `bool`, `nested`) and the number of rows."""

    columns: dict[str, str]
    rows: int


class _Compact:
    """Reads Thrift's compact protocol; structures become dictionaries by field number."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.raw[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return None
        if kind == 8:
            size = self.varint()
            self.at += size
            return self.raw[self.at - size : self.at]
        if kind in (9, 10):
            return self.sequence()
        if kind == 12:
            return self.structure()
        raise ValueError(kind)

    def sequence(self) -> list[Any]:
        head = self.byte()
        size, kind = head >> 4, head & 0x0F
        if size == 15:
            size = self.varint()
        if size > len(self.raw):
            raise ValueError(size)
        return [self.byte() == 1 if kind in (1, 2) else self.value(kind) for _i in range(size)]

    def structure(self) -> dict[int, Any]:
        out: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            out[number] = self.value(head & 0x0F)
        return out


def read_footer(path: Path) -> ParquetFooter | None:
    """The footer of the file at `path`; None where the file is no complete Parquet file."""
    size = path.stat().st_size
    if size < 12:
        return None
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(size - 8)
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if head != b"PAR1" or tail[4:] != b"PAR1" or not 0 < length <= min(size - 12, _MAX_FOOTER):
            return None
        file.seek(size - 8 - length)
        raw = file.read(length)
    try:
        meta = _Compact(raw).structure()
        return ParquetFooter(_top_level(meta[2]), int(meta[3]))
    except (IndexError, KeyError, ValueError, TypeError, RecursionError):
        return None


def _top_level(elements: list[dict[int, Any]]) -> dict[str, str]:
    """The direct children of the root, which is the first element; children follow their parent."""
    columns: dict[str, str] = {}
    at, left = 1, int(elements[0].get(5, 0))
    for _i in range(left):
        element = elements[at]
        kind = "nested" if element.get(5) else _PHYSICAL.get(element.get(1, -1), "number")
        columns[element[4].decode("utf-8", "replace")] = kind
        at = _skip(elements, at)
    return columns


def _skip(elements: list[dict[int, Any]], at: int) -> int:
    following = at + 1
    for _i in range(int(elements[at].get(5, 0) or 0)):
        following = _skip(elements, following)
    return following
