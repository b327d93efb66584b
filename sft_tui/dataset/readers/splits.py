"""Which files of a source hold rows for testing, told from their names, and what a saved data set consists of."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sft_tui.dataset.readers.source_file import SourceFile, stem_of
from sft_tui.dataset.rows.marks import FILE_SPLIT
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

_STATE = "state.json"
_WORDS = re.compile(
    r"(?:^|(?<=[-._ 0-9]))"
    r"(train(?:ing)?(?![a-z])|(?:test(?:ing)?|valid(?:ation)?|val|dev|eval(?:uation)?)(?![a-z])|训练|测试|验证|评估)",
    re.IGNORECASE,
)
_SHARD = re.compile(r"集?(?:[-_.]?\d+)*(?:-of-\d+)?(?:-[0-9a-f]{16})?")
_TRAIN = ("train", "训练")
_SHOWN = 5


def saved_files(folder: Path) -> list[str] | None:
    """The names of the files of a data set that `save_to_disk` wrote to `folder`; None where that is something else."""
    try:
        state = json.loads((folder / _STATE).read_bytes())
        return [str(entry["filename"]) for entry in state["_data_files"]]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def with_splits(files: Sequence[SourceFile], roots: Sequence[Path | None]) -> list[SourceFile]:
    """`files` with a column for the split that their names tell, training files first.

    They are returned as they are where the names do not tell files for training from others: a directory in which all
    is called test is meant as it was given. A file whose name says nothing is for training. `roots` holds the directory
    that was given for each file, whose own name does not count (None: the file itself was given).
    """
    if len(files) < 2:
        return list(files)
    common = Path(os.path.commonpath([file.path.absolute().parent for file in files]))
    words = [_split_of(file.path.absolute(), root or common) for file, root in zip(files, roots, strict=True)]
    named = any(word and _is_train(word) for word, _alone in words)
    sides = [word.lower() if word and (named or alone) else "train" for word, alone in words]
    if len({_is_train(side) for side in sides}) < 2:
        return list(files)
    marked = [replace(f, partitions={**f.partitions, FILE_SPLIT: s}) for f, s in zip(files, sides, strict=True)]
    return sorted(marked, key=_is_tested)


def split_note(files: Sequence[SourceFile]) -> Problem:
    """What is said where the names of the files divide the rows."""
    tested = ["/".join(file.path.parts[-2:]) for file in files if _is_tested(file)]
    names = ", ".join(tested[:_SHOWN]) + (", ..." if len(tested) > _SHOWN else "")
    message = _(
        "The names of the files divide the rows: {train} files are for training, {test} for testing ({names}); "
        "the rows of those go into the test file."
    )
    text = message.format(train=len(files) - len(tested), test=len(tested), names=names)
    hint = _('To train on all of them: --split-column "".')
    return Problem("split_files", text, Severity.INFO, key="data.columns.split", hint=hint)


def _is_tested(file: SourceFile) -> bool:
    return not _is_train(str(file.partitions.get(FILE_SPLIT, "train")))


def _is_train(word: str) -> bool:
    return word.lower().startswith(_TRAIN)


def _split_of(path: Path, root: Path) -> tuple[str | None, bool]:
    """The word for a split nearest to the end of `path` below `root`, and whether that part of it says nothing else."""
    *folders, name = path.relative_to(root.absolute()).parts
    for part in (name, *reversed(folders)):
        stem = stem_of(part)
        found = {match[1].lower(): match for match in _WORDS.finditer(stem)}
        if len(found) > 1:
            return None, False
        for word, match in found.items():
            return word, not match.start(1) and _SHARD.fullmatch(stem[match.end(1) :]) is not None
    return None, False
