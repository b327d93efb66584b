"""How long the samples of a source are in tokens: what a training needs depends on the longest of them.

Counted with the model's own tokenizer, and kept in the user's cache, so that a plan finds them in a millisecond.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import os
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory.frames import frame_of
from sft_tui.plan.conversion import fingerprint, read_proof
from sft_tui.problems import Refusal
from sft_tui.project.files import write_atomically
from sft_tui.project.places import cache_directory

if TYPE_CHECKING:
    from sft_tui.dataset.readers.batch import Record
    from sft_tui.dataset.request import ConvertRequest
    from sft_tui.factory.options import Template
    from sft_tui.project.plan_record import Plan

LARGEST_SOURCE_BYTES = 64 << 20
"""Larger sources are not read for this before they are converted."""
_COUNTED_BYTES = 12 << 20
"""Of the longest rows so many bytes are counted, which takes about three seconds; the rest cannot be longer in tokens
than the longest of them is in bytes."""
_SAMPLED_ROWS = 400
_SPARE_TOKENS = 16
"""What a template that is known only by its texts may add."""
_MOST_KEPT_FILES = 200
_VERSION = 1
_BEYOND_TEXT = (b'"images":', b'"videos":', b'"audios":', b'"tools":')
"""Keys of rows whose tokens are not those of their texts: LLaMA-Factory makes more of them."""


@dataclass(frozen=True, slots=True)
class DataLengths:
    """Lengths in tokens, with the template. No sample is longer than `longest`; one is as long if `exact`.

    `sample` holds the lengths of some samples drawn at random, `rows` counts all of them.
    """

    longest: int
    exact: bool
    rows: int
    sample: tuple[int, ...]

    @property
    def mean(self) -> float | None:
        """The mean length of the samples that were drawn."""
        return sum(self.sample) / len(self.sample) if self.sample else None

    @property
    def known(self) -> tuple[int, ...]:
        """The lengths that the estimator should know of: those of the sample, and the longest."""
        return (*self.sample, self.longest)


def of_all(found: Sequence[DataLengths | None]) -> DataLengths | None:
    """The lengths of the samples of several data sets together; None where those of one are not known."""
    known = [lengths for lengths in found if lengths is not None]
    if len(known) < len(found) or len(known) < 2:
        return known[0] if len(known) == len(found) and known else None
    rows = sum(lengths.rows for lengths in known)
    sample: list[int] = []
    for lengths in known:  # each with its share, as far as they were drawn
        sample += lengths.sample[: max(1, round(_SAMPLED_ROWS * lengths.rows / max(rows, 1)))]
    longest = max(lengths.longest for lengths in known)
    return DataLengths(longest, all(lengths.exact for lengths in known), rows, tuple(sample))


def known_lengths(request: ConvertRequest, model: Path | None, template: Template | None) -> DataLengths | None:
    """What was counted before for this source, model and template; None where nothing was, or something changed."""
    place = _place(request, model, template)
    return _read(place) if place is not None else None


def count_lengths(
    request: ConvertRequest, model: Path | None, template: Template | None, python: str | None = None
) -> DataLengths | None:
    """The lengths of what `request` writes, from the cache or counted: up to some seconds, the first time.

    Rows come from the conversion where it was done, otherwise from a source of at most `LARGEST_SOURCE_BYTES`. None
    where they cannot be known: no `tokenizer.json`, no library `tokenizers` here nor with `python`, images or tools.
    """
    place = _place(request, model, template)
    if place is None or model is None or template is None:
        return None
    found = _read(place)
    if found is not None:
        return found
    from sft_tui.dataset.reading import with_late_columns
    from sft_tui.dataset.stats.token_lengths import python_with_tokenizers

    counter = python_with_tokenizers(model, python)
    if counter is None or not (model / "tokenizer.json").is_file():
        return None

    def count(late: Record | None) -> DataLengths | None:
        with ExitStack() as stack:
            lines = _lines(request, stack, late)
            return _count(lines, model, template, counter) if lines is not None else None

    with contextlib.suppress(Refusal, OSError, ValueError, KeyError):  # no run ends for this
        found = with_late_columns(count)
        if found is not None:
            _keep(place, found)
    return found


def lengths_of_plan(plan: Plan, *, count: bool = False) -> DataLengths | None:
    """The lengths of the samples that `plan` trains on, as they are known, or counted if asked."""
    from sft_tui.factory.probe import load_factory
    from sft_tui.plan.conversion import requests_of

    here = Path(plan.project) / plan.model
    model = here if here.is_dir() else None
    python = str(plan.environment["python"]) if "/" in str(plan.environment["python"]) else None
    template = load_factory(python).templates.get(plan.template)
    requests = [request for request in requests_of(plan) if request.side == "train"]
    if count:
        return of_all([count_lengths(request, model, template, python) for request in requests])
    return of_all([known_lengths(request, model, template) for request in requests])


def _lines(request: ConvertRequest, stack: ExitStack, late: Record | None) -> Iterable[bytes] | None:
    """The rows as they are written, one a line; None where it would take too long. Raises `Refusal`."""
    proof = read_proof(request.out_dir, request.name) if request.name else None
    if proof is not None and proof[0] == fingerprint(request):
        files = [path for path in (proof[1].train, proof[1].test) if path is not None]
        return (line for path in files for line in stack.enter_context(path.open("rb")))
    from sft_tui.dataset.readers.files import resolve
    from sft_tui.dataset.readers.source_file import HUB

    if request.source.startswith(HUB):
        return None
    if sum(file.path.stat().st_size for file in resolve(request.source)) > LARGEST_SOURCE_BYTES:
        return None
    from sft_tui.dataset.reading import Reading

    plain = replace(request, test_size=0, dedupe=False)
    reading = stack.enter_context(Reading(plain, Path(tempfile.gettempdir()), late=late))
    reading.plan()
    return _lines_of(reading.blocks())


def _lines_of(blocks: Iterator[tuple[Any, Any]]) -> Iterator[bytes]:
    for chunk, _numbers in blocks:
        yield from bytes(chunk.lines).splitlines(keepends=True)


def _count(lines: Iterable[bytes], model: Path, template: Template, python: str) -> DataLengths | None:
    from sft_tui.dataset.stats.token_lengths import TokenCounter

    rows = _Rows()
    for line in lines:
        if any(key in line for key in _BEYOND_TEXT):
            return None
        rows.add(line)
    if not rows.count:
        return None
    frame = frame_of(template)
    fixed = len(str(frame).encode())

    def counted(some: Iterable[bytes]) -> list[int]:
        with TokenCounter(python, model, 1 << 30, frame) as counter:
            counter.feed(b"".join(some))
            return [length for length, times in counter.result().histogram for _time in range(times)]

    whole = counted(rows.longest)
    sample = random.Random(0).sample(whole, min(_SAMPLED_ROWS, len(whole)))
    if rows.longest_left_out:
        sample = counted(rows.sample)
    longest = max(max(whole, default=0) + _SPARE_TOKENS, rows.longest_left_out and rows.longest_left_out + fixed)
    return DataLengths(longest, not rows.longest_left_out, rows.count, tuple(sample))


class _Rows:
    """The longest rows up to a number of bytes, and some rows at random."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_left_out = 0
        self.sample: list[bytes] = []
        self._kept: list[tuple[int, int, bytes]] = []
        self._bytes = 0
        self._random = random.Random(0)

    @property
    def longest(self) -> list[bytes]:
        """The rows that were kept because they are long."""
        return [line for _length, _number, line in self._kept]

    def add(self, line: bytes) -> None:
        """One more row."""
        if not line.endswith(b"\n"):
            line += b"\n"
        self.count += 1
        if len(self.sample) < _SAMPLED_ROWS:
            self.sample.append(line)
        elif (place := self._random.randrange(self.count)) < _SAMPLED_ROWS:
            self.sample[place] = line
        heapq.heappush(self._kept, (len(line), self.count, line))
        self._bytes += len(line)
        while self._bytes > _COUNTED_BYTES:
            shortest = heapq.heappop(self._kept)[0]
            self._bytes -= shortest
            self.longest_left_out = max(self.longest_left_out, shortest)


def _place(request: ConvertRequest, model: Path | None, template: Template | None) -> Path | None:
    """Where the lengths of this source, model and template are kept; None where there is nothing to count with."""
    if model is None or template is None:
        return None
    tokenizer = model / "tokenizer.json"
    try:
        status = tokenizer.stat()
        mark = fingerprint(request)
    except (OSError, Refusal):
        return None
    parts = (_VERSION, mark, os.fspath(tokenizer.resolve()), status.st_size, status.st_mtime_ns, frame_of(template))
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return cache_directory() / "lengths" / f"{key}.json"


def _read(path: Path) -> DataLengths | None:
    import orjson

    try:
        found = orjson.loads(path.read_bytes())
        lengths = DataLengths(
            int(found["longest"]), bool(found["exact"]), int(found["rows"]), tuple(map(int, found["sample"]))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return lengths if lengths.longest > 0 else None


def _keep(path: Path, found: DataLengths) -> None:
    import orjson

    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, orjson.dumps(asdict(found)), private=True)
        kept = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
        for old in kept[_MOST_KEPT_FILES:]:
            old.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class MeanTokens:
    """Tokens a sample on average of the examples in `source`: `counted`, or guessed from the letters of some rows."""

    source: str
    mean: float
    counted: bool
