"""What kind of data file something is: by its content first, by its name second; and why some are not read."""

from __future__ import annotations

import re
import zlib

from sft_tui.dataset.readers import encoding
from sft_tui.dataset.readers.packing import packing_of
from sft_tui.dataset.readers.source_file import PAGES, SUFFIXES, SourceFile, unreadable
from sft_tui.i18n import _

TEXT_KINDS = ("csv", "json")
TABLES = ("orc", "stata", "sas", "spss", "xml", "html")
"""Kinds that `TableReader` reads."""
WORKBOOKS = ("xlsx", "sheets")
HEAD_BYTES = 8 << 10
"""So many bytes tell the kind."""
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
    if kind in ("zip", "7z", "rar", "tar", "gzip", "bzip2", "xz", "zstd"):
        return _("it is a {kind} archive").format(kind=kind), _("Unpack it and give the files in it.")
    return _("it is a file of type {kind}").format(kind=kind), _("Save the data as CSV, JSON Lines, parquet or xlsx.")


def kind_of(file: SourceFile, magic: bytes) -> str:
    """The kind by content first, by suffix second."""
    foreign = next((kind for head, kind in _FOREIGN if magic.startswith(head)), None)
    text = magic.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:15].lower().startswith((b"<!doctype html", b"<html")):
        if file.named and file.suffix in (*PAGES, ".xls") and not file.compression:
            return "html"
        foreign = "html"
    if magic[257:262] == b"ustar":
        foreign = "tar"
    if magic[:4] == b"PK\x03\x04":
        book = workbook_kind(file)
        if book is not None:
            return book
        foreign = "zip"
    if file.member is not None:
        foreign = foreign or packing_of(magic)
    if foreign:
        reason, hint = _foreign_sentence(foreign)
        raise unreadable(file.path, reason, hint)
    binary = next((kind for head, kind in _BINARY if magic.startswith(head)), None)
    if magic[:4] == _STREAM and SUFFIXES.get(file.suffix) == "arrow":
        binary = "arrow"
    if SUFFIXES.get(file.suffix) == "stata" and magic[:1] in _OLD_STATA and magic[1:3] in (b"\1\1", b"\2\1"):
        binary = "stata"
    if binary:
        if file.compression:
            raise unreadable(file.path, _("it is a compressed {kind} file").format(kind=binary), _("Unpack it first."))
        return binary
    named = SUFFIXES.get(file.suffix)
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


def workbook_kind(file: SourceFile) -> str | None:
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
