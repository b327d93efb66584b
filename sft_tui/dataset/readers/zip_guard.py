"""What a zip container says of itself before it is unpacked: a few MB must not become gigabytes of memory."""

from __future__ import annotations

import zipfile
from pathlib import Path

from sft_tui.dataset.readers.source_file import unreadable
from sft_tui.i18n import _
from sft_tui.units import GIB

_MOST_RATIO = 100
"""Sheets shrink to a tenth or a thirtieth; zeros to a thousandth."""
_RATIO_FROM_BYTES = 64 << 20
_MOST_SHARED_BYTES = 512 << 20
"""Of the texts that all sheets share, which are held in memory as a whole."""


def guard_workbook(path: Path) -> None:
    """Refuse a workbook whose directory declares more than its bytes can honestly hold, or too many shared texts.

    What unpacks it reads no more of a part than the directory declares, so that these sizes bound the memory. Parts may
    overlap in the file: the sum is compared with the whole file.

    Raises:
        Refusal: as said above.
        zipfile.BadZipFile, OSError: it is no zip container, or cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    total = sum(part.file_size for part in parts)
    if total > _RATIO_FROM_BYTES and total > _MOST_RATIO * path.stat().st_size:
        reason = _("unpacked it would be {gib} GiB, {ratio} times its size: no workbook is like that")
        text = reason.format(gib=round(total / GIB, 1), ratio=total // max(path.stat().st_size, 1))
        raise unreadable(path, text, code="archive_bomb")
    shared = max((part.file_size for part in parts if _is_held(part.filename.lower())), default=0)
    if shared > _MOST_SHARED_BYTES:
        text = _("its texts are {gib} GiB unpacked, too many to hold in memory").format(gib=round(shared / GIB, 1))
        raise unreadable(path, text, _("Save the sheet as .csv or .parquet."), code="workbook_too_large")


def _is_held(name: str) -> bool:
    """Whether the part `name` is held in memory as a whole: shared texts, and all of what calamine reads."""
    return name.endswith(("sharedstrings.xml", ".bin")) or name == "content.xml"
