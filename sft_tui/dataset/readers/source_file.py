"""What a file of a source is: its name, its kind by that name, and the refusals that name it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, refuse

HUB = "hub:"
SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".tab": "csv", ".psv": "csv",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".geojson": "json",
    ".parquet": "parquet", ".pq": "parquet", ".parq": "parquet",
    ".xlsx": "xlsx", ".xlsm": "xlsx", ".arrow": "arrow", ".feather": "arrow",
    ".xls": "sheets", ".xlsb": "sheets", ".ods": "sheets", ".orc": "orc", ".dta": "stata",
    ".sas7bdat": "sas", ".xpt": "sas", ".sav": "spss", ".zsav": "spss", ".xml": "xml",
}  # fmt: skip
PACKED = {
    ".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2", ".xz": "xz",
}  # fmt: skip
NOT_DATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source. `kind` is csv, json, parquet, arrow, one of WORKBOOKS or of TABLES.

    `partitions` holds the columns that its path tells; `named` is whether the user gave this very file, not a directory
    that it was found in; `member` is the file's name in the archive at `path` (`compression` is zip or tar then).
    """

    path: Path
    kind: str
    compression: str | None
    bytes: int
    partitions: dict[str, str | None] = field(default_factory=dict)
    named: bool = False
    member: str | None = None

    @property
    def suffix(self) -> str:
        """The suffix that tells the kind, in lower case, without that of a compression."""
        suffixes = [s.lower() for s in Path(self.member or self.path).suffixes]
        return next((s for s in reversed(suffixes) if s not in PACKED), "")


PAGES = (".html", ".htm")
"""Web pages, whose tables are read where one is named; a directory may hold some beside its data."""
_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz")
_DATA_NAME = re.compile(f"({'|'.join(map(re.escape, (*SUFFIXES, *PACKED, *_ARCHIVES, *PAGES)))})+$", re.IGNORECASE)


def stem_of(name: str) -> str:
    """The file name `name` without the suffixes that tell what it is: `apples.jsonl.gz` is `apples`."""
    return _DATA_NAME.sub("", name)


def is_readable_name(name: str) -> bool:
    """Whether a file of this name may be a source: a data file, packed or not, an archive, or a page with a table."""
    return suffix_kind(Path(name)) is not None or is_archive_name(name) or name.lower().endswith(PAGES)


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is an archive, out of which a file must be named."""
    return name.lower().endswith((*_ARCHIVES, *(".tar" + suffix for suffix in PACKED)))


def suffix_kind(path: Path) -> str | None:
    """The kind of data that the name of `path` tells, whatever packs it; None for none that is known."""
    suffixes = [s.lower() for s in path.suffixes]
    known = next((s for s in reversed(suffixes) if s not in PACKED), "")
    return SUFFIXES.get(known)


def is_data(name: str) -> bool:
    """Whether the path `name` is that of a data file, as the names of a directory are judged."""
    path = Path(name)
    hidden = any(part.startswith((".", "_")) for part in path.parts if part != ".")
    return not hidden and path.name not in NOT_DATA and suffix_kind(path) is not None


def unreadable(path: Path | str, reason: object, hint: str | None = None, code: str = "unreadable_source") -> Refusal:
    """The refusal of a file that cannot be read."""
    message = _("Cannot read {path}: {reason}").format(path=path, reason=reason)
    return refuse(code, message, exit_code=ExitCode.PREFLIGHT, path=str(path), key="data.source", hint=hint)


def damaged() -> str:
    """The hint for a file that breaks off or makes no sense."""
    return _("The file is damaged or half downloaded: get it again.")
