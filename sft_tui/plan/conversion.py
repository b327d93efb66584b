"""Converting as a stage of a run: the data, its entry in the register and the proof of both, all or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.dataset import Columns, ConvertRequest, ConvertResult, Progress
from sft_tui.dataset.request import UnusedColumn
from sft_tui.factory.dataset_info import entries_for, read_dataset_info, register
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.files import read_json, write_atomically, write_json

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset.readers.source_file import SourceFile
    from sft_tui.factory.options import Template
    from sft_tui.project.plan_record import Plan

PROOF_SUFFIX = ".convert.json"
_VERSION = 2
_NOT_IN_FINGERPRINT = ("out_dir", "name", "overwrite", "train_python")


def conversion_request(
    answers: Answers,
    source: str,
    out_dir: Path,
    name: str,
    template: Template | None = None,
    train_python: str | None = None,
) -> ConvertRequest:
    """The conversion that the answers ask for; `train_python` is only needed for a source on a hub.

    With `reasoning: auto`, reasoning is kept where `template` has a place for it (or is unknown).
    """
    data = answers.data
    return ConvertRequest(
        source=source,
        out_dir=out_dir,
        name=name,
        format=data.format,
        columns=Columns(**data.columns.model_dump()),
        instruction=data.instruction,
        system=data.system,
        max_samples=data.max_samples,
        sample=data.sample,
        test_size=data.test_size,
        seed=data.seed,
        dedupe=data.dedupe,
        strict=data.strict,
        sheet=data.sheet,
        train_python=train_python if source.startswith("hub:") else None,
        **reasoning_for(data.reasoning, template),
        mask_history=answers.train.get("mask_history") is True,
    )


def reasoning_for(wanted: str, template: Template | None) -> dict[str, Any]:
    """What a `ConvertRequest` says of reasoning that is `wanted` (auto, keep or drop) under `template`."""
    keeps = template is None or template.reasoning if wanted == "auto" else wanted == "keep"
    words = template.thought_words[:2] if template is not None and template.reasoning else ()
    thought = (words[0], words[-1]) if keeps and words else None
    return {"reasoning": "keep" if keeps else "drop", "thought": thought}


def convert_and_register(request: ConvertRequest, progress: Callable[[Progress], None] | None = None) -> ConvertResult:
    """Convert, register in `dataset_info.json`, and leave `<name>.convert.json` as the proof.

    Raises `Refusal` with everything as it was before.
    """
    from sft_tui.dataset.engine import Conversion
    from sft_tui.dataset.output.spool import writing

    read_dataset_info(request.out_dir)
    mark = fingerprint(request)
    before = [path for other in request.before for path in written_files(other).values()]
    with Conversion(request, progress, before) as conversion:
        name = conversion.target.name
        if fingerprint(request) != mark:
            message = _("{source} was changed while it was read: nothing was kept.").format(source=request.source)
            raise refuse(
                "source_changed",
                message,
                key="data.source",
                hint=_("Wait until it is complete, then convert it again."),
                exit_code=ExitCode.PREFLIGHT,
            )
        result = conversion.commit()
        proof = request.out_dir / f"{name}{PROOF_SUFFIX}"
        earlier = proof.read_bytes() if proof.exists() else None
        try:
            with writing(request.out_dir):
                _write_proof(proof, mark, result)
                register(request.out_dir, entries_for(name, result))
        except BaseException:
            with contextlib.suppress(OSError):
                if earlier is None:
                    proof.unlink(missing_ok=True)
                else:
                    write_atomically(proof, earlier)
            conversion.rollback()
            raise
    return result


def _write_proof(path: Path, mark: str, result: ConvertResult) -> None:
    proof = {"version": _VERSION, "fingerprint": mark, "result": result.as_json()}
    write_json(path, proof)


def fingerprint(request: ConvertRequest) -> str:
    """A hash of the source (names, sizes, times of change) and of every option that has a say in the data.

    Two requests with the same fingerprint produce the same data. Raises `Refusal` for a source that is not there.
    """
    from sft_tui.dataset.readers.files import resolve
    from sft_tui.dataset.readers.source_file import HUB

    options = dataclasses.asdict(request)
    for key in _NOT_IN_FINGERPRINT:
        del options[key]
    if request.source.startswith(HUB):
        files: list[Any] = [request.source]
    else:
        files = [_stamp(file) for file in resolve(request.source)]
    options["source"] = files
    del options["before"]
    if request.before:  # what they hold is not written once more
        options["before"] = [fingerprint(other) for other in request.before]
    if options["side"] == "train":  # as before there were others
        del options["side"]
    text = json.dumps({"version": _VERSION, **options}, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def _stamp(file: SourceFile) -> list[Any]:
    status = file.path.stat()
    more = [*sorted(file.partitions.items()), *filter(None, (file.member,))]
    return [file.path.name, status.st_size, status.st_mtime_ns, *more]


def read_proof(out_dir: Path, name: str) -> tuple[str, ConvertResult] | None:
    """Fingerprint and result of the conversion that wrote dataset `name`; None without a proof or without its files."""
    proof = read_json(out_dir / f"{name}{PROOF_SUFFIX}")
    try:
        result = _result_of(proof["result"], out_dir)
        mark = str(proof["fingerprint"])
    except (ValueError, KeyError, TypeError):
        return None
    if not result.train.is_file() or (result.test is not None and not result.test.is_file()):
        return None
    return mark, result


def written_files(request: ConvertRequest) -> dict[str, Path]:
    """The files that the conversion `request` has written, by their sides."""
    proof = read_proof(request.out_dir, request.name or "")
    if proof is None:
        return {}
    result = proof[1]
    return {request.side: result.train} | ({"test": result.test} if result.test is not None else {})


def _result_of(data: dict[str, Any], out_dir: Path) -> ConvertResult:
    """What a proof says; its files are beside it, wherever it was moved to."""
    return ConvertResult(
        written=int(data["written"]),
        train_rows=int(data["train_rows"]),
        test_rows=int(data["test_rows"]),
        dropped=dict(data["dropped"]),
        dropped_rows={reason: tuple(rows) for reason, rows in data["dropped_rows"].items()},
        format=str(data["format"]),
        train=out_dir / Path(data["train"]).name,
        test=out_dir / Path(data["test"]).name if data["test"] is not None else None,
        seconds=float(data["seconds"]),
        columns=dict(data["columns"]),
        tags=dict(data["tags"]),
        mapping=dict(data.get("mapping") or {}),
        unused=tuple(UnusedColumn(c["name"], c["looks_like"]) for c in data.get("unused_columns") or ()),
    )


def numbered(stem: str) -> Iterator[str]:
    """`stem`, `stem-2`, `stem-3` and so on."""
    yield stem
    yield from (f"{stem}-{number}" for number in count(2))


def free_name(out_dir: Path, stem: str, mark: str, taken: Collection[str] = ()) -> str:
    """The first of `numbered` names that is unused or was made by the fingerprint `mark`, and is not `taken`."""
    entries = read_dataset_info(out_dir)
    for name in numbered(stem):
        if name in taken:
            continue
        proof = read_proof(out_dir, name)
        if proof is not None and proof[0] == mark:
            return name
        parts = (f"{name}_train", f"{name}_test")
        used = any(part in entries or (out_dir / f"{part}.jsonl").exists() for part in parts)
        if not used and not (out_dir / f"{name}{PROOF_SUFFIX}").exists():
            return name
    raise AssertionError


def requests_of(plan: Plan) -> list[ConvertRequest]:
    """The conversions of a plan, in the order in which they are done."""
    found = [request_from_json(data, Path(plan.project)) for data in (plan.conversion, *plan.more_conversions)]
    return sorted(found, key=lambda request: request.side == "train")


def request_from_json(data: dict[str, Any], project: Path) -> ConvertRequest:
    """The conversion in a plan; its `out_dir`, and a `source` within the project, are relative to the project."""
    from sft_tui.dataset.readers.source_file import HUB

    thought = data.get("thought")
    source = data["source"] if data["source"].startswith(HUB) else str(project / data["source"])
    request = ConvertRequest(**{**data, "columns": Columns(**data["columns"]), "source": source})
    return replace(
        request,
        out_dir=project / request.out_dir,
        thought=tuple(thought) if thought else None,
        before=tuple(request_from_json(other, project) for other in data.get("before", ())),
    )
