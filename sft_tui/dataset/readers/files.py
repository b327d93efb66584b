"""From the words of a user to files: paths, globs, directories, partitions, compression, what kind each file is."""

from __future__ import annotations

import glob
import gzip
import io
import os
import re
import shlex
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from sft_tui.dataset.readers import encoding
from sft_tui.dataset.readers.splits import saved_files, with_splits
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, nearest, refuse

HUB = "hub:"
TEXT_KINDS = ("csv", "json")
TABLES = ("orc", "stata", "sas", "spss", "xml")
"""Kinds that `TableReader` reads."""
WORKBOOKS = ("xlsx", "sheets")
_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".tab": "csv", ".psv": "csv",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".geojson": "json",
    ".parquet": "parquet", ".pq": "parquet", ".parq": "parquet",
    ".xlsx": "xlsx", ".xlsm": "xlsx", ".arrow": "arrow", ".feather": "arrow",
    ".xls": "sheets", ".xlsb": "sheets", ".ods": "sheets", ".orc": "orc", ".dta": "stata",
    ".sas7bdat": "sas", ".xpt": "sas", ".sav": "spss", ".zsav": "spss", ".xml": "xml",
}  # fmt: skip
_PACKED = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_NOT_DATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
_PARTITION = re.compile(r"^([^=/]+)=(.*)$")
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source. `kind` is csv, json, parquet, arrow, one of WORKBOOKS or of TABLES.

    `partitions` holds the columns that its path tells; `named` is whether the user gave this very file, not a directory
    that it was found in.
    """

    path: Path
    kind: str
    compression: str | None
    bytes: int
    partitions: dict[str, str | None] = field(default_factory=dict)
    named: bool = False

    @property
    def suffix(self) -> str:
        """The suffix that tells the kind, in lower case, without that of a compression."""
        suffixes = [s.lower() for s in self.path.suffixes]
        return next((s for s in reversed(suffixes) if s not in _PACKED), "")


def missing_source(source: str) -> Refusal:
    """The refusal of a source that is not there, with the nearest names beside it."""
    path = Path(source)
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, names)
    hint = (
        _("Did you mean {names}?").format(names=", ".join(str(path.parent / name) for name in close))
        if close
        else _("Give a file, a directory, a pattern such as data/*.jsonl, or hub:NAME.")
    )
    return refuse("missing_source", _("There is no {source}.").format(source=source), key="data.source", hint=hint)


_HUB_PAGE = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf-mirror\.com|modelscope\.cn)/datasets/([^/?#]+/[^/?#]+)/?$"
)


def _address(source: str) -> Refusal:
    """The refusal of an address, with the way to its data."""
    message = _("{source} is an address; only files on this machine are read, nothing is fetched.")
    page = _HUB_PAGE.match(source)
    if source.startswith("file://"):
        hint = _("Give the path: {path}").format(path=unquote(source.removeprefix("file://")))
    elif page is not None:
        hint = _("To read this data set, give hub:{name}").format(name=page[1])
        if "modelscope" in source:
            hint = _("{hint}, and set USE_MODELSCOPE_HUB=1.").format(hint=hint)
    elif source.startswith(("http://", "https://")):
        hint = _("Download it and give the file, for example with: curl -fLO {source}").format(
            source=shlex.quote(source)
        )
    else:
        hint = _("Copy it to this machine and give the file.")
    return refuse("source_is_address", message.format(source=source), key="data.source", hint=hint)


def unreadable(path: Path | str, reason: object, hint: str | None = None, code: str = "unreadable_source") -> Refusal:
    """The refusal of a file that cannot be read."""
    message = _("Cannot read {path}: {reason}").format(path=path, reason=reason)
    return refuse(code, message, exit_code=ExitCode.PREFLIGHT, path=str(path), key="data.source", hint=hint)


def damaged() -> str:
    """The hint for a file that breaks off or makes no sense."""
    return _("The file is damaged or half downloaded: get it again.")


def resolve(source: str) -> list[SourceFile]:
    """The files that `source` names, in path order. Refuses what is missing, empty or of no kind that can be read."""
    if not source.strip():
        raise refuse("missing_source", _("No source is given."), key="data.source")
    if "://" in source and not os.path.lexists(source):
        raise _address(source)
    found = list(_paths(str(Path(source).expanduser())))
    files: list[SourceFile] = []
    roots: list[Path | None] = []
    first: Refusal | None = None
    for path, root in found:
        try:
            file = _source_file(path, root, strict=root is None)
        except Refusal as refusal:
            first = first or refusal
            if root is None:
                raise
            continue
        if file is not None:
            files.append(file)
            roots.append(root)
    if not files:
        raise first or unreadable(source, _("it is empty"), code="empty_source")
    return with_splits(files, roots)


def _paths(source: str) -> Iterator[tuple[Path, Path | None]]:
    """Each file with the directory that it was found in (None where the user named the file)."""
    path = Path(source)
    if path.is_dir():
        names = sorted(_walk(path))
        if not names:
            hint = _(
                "Files are read whose names end in .csv, .tsv, .json, .jsonl, .parquet, .arrow or .xlsx, and others."
            )
            raise unreadable(source, _("no data file is in this directory"), hint, code="empty_source")
        yield from ((name, path) for name in names)
    elif path.exists():
        yield path, None
    elif glob.has_magic(source) and (matches := sorted(glob.glob(source, recursive=True))):  # noqa: PTH207
        for match in matches:
            yield from _paths(match)
    elif "," in source and all(Path(part.strip()).exists() for part in source.split(",") if part.strip()):
        for part in source.split(","):
            if part.strip():
                yield from _paths(part.strip())
    else:
        raise missing_source(source)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in saved_files(Path(folder)) or names if "state.json" in names else names:
            path = Path(folder, name)
            if name.startswith((".", "_")) or name in _NOT_DATA or name.endswith(".convert.json"):
                continue
            if _suffix_kind(path) is not None and path.is_file():
                yield path


def _suffix_kind(path: Path) -> str | None:
    suffixes = [s.lower() for s in path.suffixes]
    known = next((s for s in reversed(suffixes) if s not in _PACKED), "")
    return _SUFFIXES.get(known)


def _source_file(path: Path, root: Path | None, *, strict: bool) -> SourceFile | None:
    try:
        if not path.is_file():
            raise unreadable(path, _("it is not a regular file"))
        size = path.stat().st_size
        with path.open("rb") as stream:
            magic = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error.strerror or error) from None
    if not magic:
        if strict:
            raise unreadable(path, _("it is empty"), code="empty_source")
        return None
    packed = "gzip" if magic[:2] == b"\x1f\x8b" else "zstd" if magic[:4] == b"\x28\xb5\x2f\xfd" else None
    file = SourceFile(path, "csv", packed, size, _partitions(path, root) if root else {}, root is None)
    if packed:
        with reading(file):
            magic = next(raw_chunks(file, _HEAD_BYTES), b"")[:_HEAD_BYTES]
        if not magic:
            raise unreadable(path, _("it is empty"), code="empty_source")
    return SourceFile(path, _kind(file, magic), packed, size, file.partitions, file.named)


def _partitions(path: Path, root: Path) -> dict[str, str | None]:
    parts = (_PARTITION.match(part) for part in path.relative_to(root).parts[:-1])
    return {
        unquote(match[1]): None if match[2] == _NO_PARTITION else unquote(match[2])
        for match in parts
        if match is not None
    }


_HEAD_BYTES = 8 << 10
_STREAM = b"\xff\xff\xff\xff"
"""How an Arrow file without a footer begins, as the library `datasets` writes it."""
_BINARY: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"), (b"PARE", "parquet"), (b"ARROW1", "arrow"), (b"ORC", "orc"),
    (b"\xd0\xcf\x11\xe0", "sheets"), (b"<stata_dta>", "stata"), (b"$FL2", "spss"), (b"$FL3", "spss"),
    (bytes(12) + b"\xc2\xea\x81\x60", "sas"), (b"HEADER RECORD*******LIBRARY", "sas"),
)  # fmt: skip
_OLD_STATA = tuple(bytes((version,)) for version in range(102, 116))
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "lfs"),
    (b"SQLite format 3", "sqlite"),
    (b"%PDF", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"FEA1", "feather 1"),
    (b"Obj\x01", "avro"),
)


def _foreign_sentence(kind: str) -> tuple[str, str]:
    """Why a file of this foreign kind is refused, and what to do."""
    if kind == "lfs":
        return _("it is a Git LFS pointer, not the data"), _("Fetch the data with: git lfs pull")
    if kind == "html":
        return _("it is a web page, not data"), _("Download the file itself (look for a raw or download link).")
    if kind == "pickle":
        return _("it is a pickle, which can run programs when it is read"), _("Save the data as parquet or JSON Lines.")
    if kind in ("zip", "bzip2", "xz", "7z", "rar", "tar"):
        return _("it is a {kind} archive").format(kind=kind), _("Unpack it and give the files in it.")
    return _("it is a file of type {kind}").format(kind=kind), _("Save the data as CSV, JSON Lines, parquet or xlsx.")


def _kind(file: SourceFile, magic: bytes) -> str:
    """The kind by content first, by suffix second."""
    foreign = next((kind for head, kind in _FOREIGN if magic.startswith(head)), None)
    text = magic.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:15].lower().startswith((b"<!doctype html", b"<html")):
        foreign = "html"
    if magic[257:262] == b"ustar":
        foreign = "tar"
    if magic[:4] == b"PK\x03\x04":
        book = _workbook_kind(file)
        if book is not None:
            return book
        foreign = "zip"
    if foreign:
        reason, hint = _foreign_sentence(foreign)
        raise unreadable(file.path, reason, hint)
    binary = next((kind for head, kind in _BINARY if magic.startswith(head)), None)
    if magic[:4] == _STREAM and _SUFFIXES.get(file.suffix) == "arrow":
        binary = "arrow"
    if _SUFFIXES.get(file.suffix) == "stata" and magic[:1] in _OLD_STATA and magic[1:3] in (b"\1\1", b"\2\1"):
        binary = "stata"
    if binary:
        if file.compression:
            raise unreadable(file.path, _("it is a compressed {kind} file").format(kind=binary), _("Unpack it first."))
        return binary
    named = _SUFFIXES.get(file.suffix)
    if named == "xml" and text.startswith(b"<") and not file.compression:
        return named
    if named not in (*TEXT_KINDS, None):
        reason = _("it is no {kind} file, although its name says so").format(kind=named)
        raise unreadable(file.path, reason, _("It may be damaged or half downloaded: get it again."))
    if encoding.is_no_text(magic):
        reason = _("it is no text, and no kind of data file that is known here")
        raise unreadable(file.path, reason, _("Save the data as CSV, JSON Lines, parquet or xlsx."))
    if named == "json":
        return "json"
    plain = text.replace(b"\x00", b"").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip()
    return "json" if plain[:1] == b"{" or re.match(rb"\[\s*[\[{\"]", plain) else "csv"


def _workbook_kind(file: SourceFile) -> str | None:
    """Which kind of workbook a zip container is; None where it is something else."""
    import zipfile

    try:
        with zipfile.ZipFile(file.path) as archive:
            names = archive.namelist()
            if "xl/workbook.bin" in names:
                return "sheets"
            if any(name.startswith("xl/") for name in names):
                return "xlsx"
            kind = archive.read("mimetype") if "mimetype" in names else b""
            return "sheets" if kind.startswith(b"application/vnd.oasis.opendocument.spreadsheet") else None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, zlib.error):
        return None


@contextmanager
def reading(file: SourceFile) -> Iterator[None]:
    """Turn what can go wrong while `file` is read into a refusal."""
    try:
        yield
    except (EOFError, zlib.error) as error:
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
        with reading(self.file), _unpacked(self._counted, self.file.compression) as stream:
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


class _Zstd(io.RawIOBase):
    """Zstandard frames one after the other; unlike the library's reader it notices a file that was cut short."""

    def __init__(self, stream: io.RawIOBase) -> None:
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


@contextmanager
def _unpacked(stream: io.RawIOBase, compression: str | None) -> Iterator[BinaryIO]:
    """`stream` without its compression, buffered."""
    if compression == "gzip":
        with stream, gzip.GzipFile(fileobj=cast(BinaryIO, io.BufferedReader(stream, 1 << 18))) as plain:
            yield cast(BinaryIO, plain)
    elif compression == "zstd":
        with stream, io.BufferedReader(_Zstd(stream), 1 << 18) as plain:
            yield cast(BinaryIO, plain)
    else:
        with stream:
            yield cast(BinaryIO, stream)


def raw_chunks(file: SourceFile, size: int = encoding.CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of `file` without its compression, not decoded. Refuses one that is damaged or cut short."""
    with reading(file), _unpacked(_Counted(file.path), file.compression) as stream:
        yield from encoding.read_chunks(stream, size)
