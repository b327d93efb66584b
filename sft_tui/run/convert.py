"""The convert stage of a run, as a process of its own: `python -m sft_tui.run.convert RUN_DIR`."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft_tui.dataset.output.samples import shared_samples
from sft_tui.dataset.request import ConvertRequest, Progress
from sft_tui.dataset.rows.unused import mapping_line, unused_note
from sft_tui.factory.dataset_info import FILE_NAME
from sft_tui.i18n import _
from sft_tui.plan.conversion import PROOF_SUFFIX, convert_and_register, fingerprint, requests_of, written_files
from sft_tui.plan.data_lengths import lengths_of_plan
from sft_tui.problems import ExitCode, Refusal
from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import read_json
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.project.plan_record import plan_from_json

_SECONDS_BETWEEN_EVENTS = 2.0


def main(run_dir: str) -> int:
    """Convert what the plan in `run_dir` says; exit 0, 2 or 3. What happened is printed, for the stage's log.

    All paths are relative to the project, where a stage is started: they hold also when it is moved meanwhile.
    """
    layout = RunLayout(Path(run_dir).parent.parent, Path(run_dir).name)
    plan = plan_from_json(read_json(layout.plan), layout.project)
    requests = requests_of(plan)
    new = False
    for request in requests:
        if _already_done(request):
            path = request.out_dir / f"{request.name}_{request.side}.jsonl"
            _say(_("Already converted: {path}").format(path=path))
            continue
        new = True
        try:
            _convert(request, layout)
        except Refusal as refusal:
            for problem in refusal.problems:
                _say(str(problem))
            return int(refusal.exit_code)
    if new and len(requests) > 1:
        for note in shared_samples([(request.source, written_files(request)) for request in requests]):
            _say(str(note))
            with contextlib.suppress(OSError):
                event = make_event("warning", id=note.code, message=note.message, hint=note.hint)
                append_event(layout.events, event)
    if plan.gpus and new:
        found = lengths_of_plan(plan, count=True)
        if found is not None:
            _say(_("No sample has more than {count} tokens.").format(count=found.longest))
    return int(ExitCode.DONE)


def _convert(request: ConvertRequest, layout: RunLayout) -> None:
    """Convert one source and say what came of it. Raises `Refusal`."""
    _say(_("Converting {source}").format(source=request.source))
    request = replace(request, overwrite=_is_only_ours(layout, str(request.name)))
    result = convert_and_register(request, _reporter(layout))
    _say(mapping_line(result.mapping))
    for note in (*unused_note(result.unused), *result.notes):
        _say(str(note))
    dropped = ", ".join(f"{reason}: {count}" for reason, count in result.dropped.items() if count)
    summary = _("{train} rows for training, {test} kept for testing, dropped: {dropped}")
    _say(summary.format(train=result.train_rows, test=result.test_rows, dropped=dropped or _("none")))
    _say(_("Written: {path}").format(path=result.train))


def _already_done(request: ConvertRequest) -> bool:
    """Whether the rows are there as they would be now, and registered: a conversion may have been killed in between."""
    proof = read_json(request.out_dir / f"{request.name}{PROOF_SUFFIX}")
    if not isinstance(proof, dict) or proof.get("fingerprint") != fingerprint(request):
        return False
    known = read_json(request.out_dir / FILE_NAME)
    train = f"{request.name}_{request.side}"
    return (request.out_dir / f"{train}.jsonl").is_file() and isinstance(known, dict) and train in known


def _is_only_ours(layout: RunLayout, dataset: str) -> bool:
    """Whether the data that are there under the name were converted for this run alone: then they may be replaced."""
    if not (layout.project / "data" / f"{dataset}{PROOF_SUFFIX}").is_file():
        return False
    others = (read_json(other.plan) for other in runs_of(layout.project) if other.name != layout.name)
    return not any(isinstance(plan, dict) and dataset in _datasets(plan) for plan in others)


def _datasets(plan: dict[str, Any]) -> set[object]:
    """The names of the data sets that `plan` converts."""
    more = plan.get("more_conversions") or ()
    return {plan.get("dataset"), *(made.get("name") for made in more if isinstance(made, dict))}


def _reporter(layout: RunLayout) -> Any:
    last = [time.monotonic()]

    def report(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] < _SECONDS_BETWEEN_EVENTS:
            return
        last[0] = now
        total = progress.bytes_total
        percent = round(100 * progress.bytes_read / total, 1) if total else None
        event = make_event("progress", stage="convert", rows=progress.rows, percent=percent, step=progress.rows)
        with contextlib.suppress(OSError):  # a full disk is told of where the rows are written
            append_event(layout.events, event)
        _say(_("{rows} rows").format(rows=progress.rows))

    return report


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
