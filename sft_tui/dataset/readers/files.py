"""From the words of a user to files: paths, globs, directories, partitions, members of archives."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from sft_tui.dataset.readers.archives import MOST_MEMBERS, Member, archive_kind, members, split_member
from sft_tui.dataset.readers.kinds import HEAD_BYTES, kind_of, workbook_kind
from sft_tui.dataset.readers.packing import packing_of
from sft_tui.dataset.readers.source_file import HUB, SourceFile, is_archive_name, is_data, unreadable
from sft_tui.dataset.readers.splits import saved_files, with_splits
from sft_tui.dataset.readers.streams import raw_chunks, reading
from sft_tui.dataset.request import IN_ARCHIVE, named_files
from sft_tui.i18n import _
from sft_tui.problems import Refusal, nearest, refuse
from sft_tui.units import GIB

_NAMES_SHOWN = 8
_PARTITION = re.compile(r"^([^=/]+)=(.*)$")
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def missing_source(source: str) -> Refusal:
    """The refusal of a source that is not there, with the nearest names beside it."""
    path = Path(source)
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, names)
    hint = (
        _("Did you mean {names}?").format(names=", ".join(str(path.parent / name) for name in close))
        if close
        else _("Give a file, a directory, a pattern such as data/*.jsonl, ARCHIVE!FILE, or hub:NAME.")
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
        if source.startswith("https://"):
            hint = _("{hint}; or write `download: true` under `data` of an answers file.").format(hint=hint)
    else:
        hint = _("Copy it to this machine and give the file.")
    return refuse("source_is_address", message.format(source=source), key="data.source", hint=hint)


def resolve(source: str, left: list[str] | None = None) -> list[SourceFile]:
    """The files that `source` names, in path order. Refuses what is missing, empty or of no kind that can be read.

    Of a directory's files those that cannot be read are left out; `left` takes a sentence for each.
    """
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
            if left is not None:
                left.append(refusal.problems[0].message)
            continue
        if file is not None:
            files.append(file)
            roots.append(root)
    if not files:
        raise first or unreadable(source, _("it is empty"), code="empty_source")
    return with_splits(files, roots)


def is_there(source: str) -> bool:
    """Whether `source` is that of a hub, a pattern, or names files that exist, or one in an archive that does."""
    if source.startswith(HUB) or glob.has_magic(source) or os.path.lexists(source):
        return True
    return split_member(source) is not None or all(Path(part).exists() for part in named_files(source))


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
    elif path.exists() or split_member(source) is not None:
        yield path, None
    elif glob.has_magic(source) and (matches := sorted(glob.glob(source, recursive=True))):  # noqa: PTH207
        for match in matches:
            yield from _paths(match)
    elif "," in source and all(Path(part).exists() for part in named_files(source)):
        for part in named_files(source):
            yield from _paths(part)
    else:
        raise missing_source(source)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in saved_files(Path(folder)) or names if "state.json" in names else names:
            path = Path(folder, name)
            if name.endswith(".convert.json"):
                continue
            if (is_data(name) or is_archive_name(name)) and path.is_file():
                yield path


def _source_file(path: Path, root: Path | None, *, strict: bool) -> SourceFile | None:
    inside = None if path.exists() else split_member(str(path))
    path, wanted = inside or (path, None)
    try:
        if not path.is_file():
            raise unreadable(path, _("it is not a regular file"))
        size = path.stat().st_size
        with path.open("rb") as stream:
            magic = stream.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error.strerror or error) from None
    if not magic:
        if strict:
            raise unreadable(path, _("it is empty"), code="empty_source")
        return None
    packed = packing_of(magic)
    file = SourceFile(path, "csv", packed, size, _partitions(path, root) if root else {}, root is None)
    if packed:
        magic = _head(file)
    archive = archive_kind(magic, packed)
    if archive and not (archive == "zip" and workbook_kind(file)):
        if root is not None:
            raise unreadable(path, _("it is an archive, and no file in it was named"))
        file = replace(file, compression=archive, member=_member(file, wanted))
        magic = _head(file)
    elif wanted is not None:
        raise missing_source(f"{path}{IN_ARCHIVE}{wanted}")
    return replace(file, kind=kind_of(file, magic))


def _head(file: SourceFile) -> bytes:
    """How the bytes of a packed file begin. Refuses one that holds nothing."""
    with reading(file):
        head = next(raw_chunks(file, HEAD_BYTES), b"")[:HEAD_BYTES]
    if not head:
        raise unreadable(file.path, _("it is empty"), code="empty_source")
    return head


def _member(file: SourceFile, wanted: str | None) -> str:
    """The name of the data file in an archive: the one that is wanted, or the only one."""
    held = _members(file)
    data = [member for member in held if is_data(member.name)] or held
    found = [member for member in held if wanted == member.name] if wanted is not None else data
    names = ", ".join(member.name for member in data[:_NAMES_SHOWN]) + (", ..." if len(data) > _NAMES_SHOWN else "")
    if not found:
        if not held:
            raise unreadable(file.path, _("it is empty"), code="empty_source")
        message = _("{path} holds no {name}; it holds: {names}").format(path=file.path, name=wanted, names=names)
        raise refuse("missing_source", message, key="data.source")
    if len(found) > 1:
        message = _("{path} holds several files: {names}").format(path=file.path, names=names)
        hint = _("Name one of them: {example}").format(example=f"{file.path}{IN_ARCHIVE}{found[0].name}")
        raise refuse("several_files", message, key="data.source", hint=hint)
    return found[0].name


def _members(file: SourceFile) -> list[Member]:
    """The files in an archive. Refuses one that holds too many, or declares more than its bytes can honestly hold."""
    held: list[Member] = []
    total = 0
    with reading(file):
        for member in members(file.path):
            held.append(member)
            total += member.bytes
            if Member(member.name, total).is_bomb(file.bytes):
                reason = _("unpacked it would be {gib} GiB or more, {ratio} times its size: no data is like that")
                text = reason.format(gib=round(total / GIB, 1), ratio=total // max(file.bytes, 1))
                raise unreadable(file.path, text, code="archive_bomb")
            if len(held) > MOST_MEMBERS:
                reason = _("it holds more than {count} files").format(count=MOST_MEMBERS)
                raise unreadable(file.path, reason, _("Unpack it and give the files in it."))
    return held


def _partitions(path: Path, root: Path) -> dict[str, str | None]:
    parts = (_PARTITION.match(part) for part in path.relative_to(root).parts[:-1])
    return {
        unquote(match[1]): None if match[2] == _NO_PARTITION else unquote(match[2])
        for match in parts
        if match is not None
    }
