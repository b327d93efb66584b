"""What can be refused before a conversion reads anything: options, names, targets."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sft_tui.dataset.output import split
from sft_tui.dataset.readers.source_file import HUB, SourceFile, stem_of
from sft_tui.dataset.request import FORMATS, IN_ARCHIVE, REASONINGS, SAMPLINGS, ConvertRequest
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problems, refuse

_NAME = re.compile(r"[\w-]+", re.ASCII)
_NOT_NAME = re.compile(r"[^\w-]+")


@dataclass(frozen=True, slots=True)
class Target:
    """The files that a conversion writes."""

    name: str
    train: Path
    test: Path

    @property
    def paths(self) -> dict[int, Path]:
        """The path of each side of the split."""
        return {split.TRAIN: self.train, split.TEST: self.test}


def check_request(request: ConvertRequest) -> None:
    """Refuse options that cannot be meant, all of them at once."""
    problems = Problems()
    if request.format not in FORMATS:
        message = _("There is no format {format}; it is one of: {known}")
        problems.error("bad_format", message.format(format=request.format, known=", ".join(FORMATS)), key="data.format")
    if request.max_samples is not None and request.max_samples < 1:
        message = _("--max-samples is {value}, but at least one record must be read.").format(value=request.max_samples)
        hint = _("Leave it away to read all records.")
        problems.error("bad_max_samples", message, key="data.max_samples", hint=hint)
    if request.sample not in SAMPLINGS:
        message = _("There is no sampling {value}; it is one of: {known}")
        problems.error(
            "bad_sample", message.format(value=request.sample, known=", ".join(SAMPLINGS)), key="data.sample"
        )
    if request.reasoning not in REASONINGS:
        message = _("--reasoning is {value}; it is one of: {known}")
        text = message.format(value=request.reasoning, known=", ".join(REASONINGS))
        problems.error("bad_reasoning", text, key="data.reasoning")
    size = request.test_size
    good = 0 < size < 1 if isinstance(size, float) else size >= 0
    if isinstance(size, bool) or not good or (isinstance(size, float) and math.isnan(size)):
        message = _("--test-size is {value}; it must be a share between 0.0 and 1.0 or a number of rows.")
        hint = _("Examples: 0.1 for a tenth of the rows, 200 for 200 rows, 0 for none.")
        problems.error("bad_test_size", message.format(value=size), key="data.test_size", hint=hint)
    if request.name is not None and not is_name(request.name):
        message = _("{name} cannot be the name of a dataset: letters, digits, - and _ are allowed.")
        hint = _("For example --name {name}.").format(name=clean_name(request.name))
        problems.error("bad_name", message.format(name=repr(request.name)), key="data.name", hint=hint)
    problems.raise_if_any()


def is_name(name: str) -> bool:
    """Whether LLaMA-Factory can take `name` for a dataset: letters (of any script), digits, `-`, `_`."""
    return bool(name) and _NOT_NAME.search(name) is None


def clean_name(text: str) -> str:
    """`text` with everything that no name may hold turned into `_`."""
    return _NOT_NAME.sub("_", text.strip()).strip("_") or "dataset"


def default_name(source: str) -> str:
    """The stem of the source's file, cleaned."""
    if source.startswith(HUB):
        return clean_name(source.removeprefix(HUB).split("@")[0].rstrip("/").rsplit("/", 1)[-1])
    stem = Path(source.rpartition(IN_ARCHIVE)[2]).absolute().name
    return clean_name(stem_of(stem) or stem)


def find_target(request: ConvertRequest, files: Sequence[SourceFile]) -> Target:
    """The files to write. Refuses a source that would be written over, and a directory that is none."""
    name = request.name or default_name(request.source)
    other = "test" if request.side == "train" else "train"
    target = Target(name, *(request.out_dir / f"{name}_{side}.jsonl" for side in (request.side, other)))
    for parent in (request.out_dir, *request.out_dir.absolute().parents):
        if parent.exists() and not parent.is_dir():
            message = _("{path} is no directory.").format(path=parent)
            hint = _("Choose another directory with --out.")
            raise refuse("not_a_directory", message, exit_code=ExitCode.PREFLIGHT, path=str(parent), hint=hint)
    if request.overwrite:
        return target
    sides = (target.train, target.test) if request.test_size else (target.train,)
    for path in sides:
        if path.exists() and any(file.path.exists() and path.samefile(file.path) for file in files):
            message = _("{path} is the source itself.").format(path=path)
            hint = _("Give another --name, or --overwrite to replace the source.")
            raise refuse("source_is_target", message, path=str(path), key="data.name", hint=hint)
    return target
