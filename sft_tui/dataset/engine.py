"""The conversion: read, clean, write to a nameless file, choose, and only then give names."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sft_tui.dataset.checks import Target, check_request, find_target
from sft_tui.dataset.output import samples, split
from sft_tui.dataset.output.spool import Backup, Spool, clean_stale, existing_parent, writing
from sft_tui.dataset.readers.batch import Record
from sft_tui.dataset.reading import Reading, with_late_columns
from sft_tui.dataset.request import DUPLICATE, FIRST_ROWS, REASONS, ConvertRequest, ConvertResult, Progress
from sft_tui.dataset.rows.clean import written_columns
from sft_tui.dataset.rows.roles import TAGS
from sft_tui.dataset.tally import Tally
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, refuse
from sft_tui.project.files import sync_directory


class Conversion:
    """One conversion, up to the point where everything is written and nothing has a name yet.

    Use as a context manager: what was not committed vanishes at its end. With `dedupe`, samples that the files `before`
    hold are left out.
    """

    def __init__(
        self,
        request: ConvertRequest,
        progress: Callable[[Progress], None] | None = None,
        before: Sequence[Path] = (),
    ) -> None:
        self.request = request
        self._before = before
        self._directory = existing_parent(request.out_dir)
        self._progress = progress
        self._started = time.perf_counter()
        self._spools: list[Spool] = []
        self._backups: list[Backup] = []
        self._made: list[Path] = []
        self.outputs: dict[int, Spool] = {}
        self.result: ConvertResult

    def __enter__(self) -> Conversion:
        try:
            self.result = self._run()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all temporary files."""
        for spool in self._spools:
            spool.close()
        self._spools.clear()
        for backup in self._backups:
            with contextlib.suppress(OSError):
                backup.drop()
        self._backups.clear()

    def _spool(self) -> Spool:
        spool = Spool(self._directory)
        self._spools.append(spool)
        return spool

    def _run(self) -> ConvertResult:
        check_request(self.request)
        return with_late_columns(self._read)

    def _read(self, late: Record | None) -> ConvertResult:
        request = self.request
        for spool in self._spools:
            spool.close()
        self._spools.clear()
        with Reading(request, self._directory, self._progress, late) as reading:
            self.target: Target = find_target(request, reading.source.files)
            with writing(self._directory):
                reading.plan()
                for folder in {request.out_dir, self._directory}:
                    clean_stale(folder)
                self._lines = self._spool()
                reading.write_to(self._lines)
                self._refuse_drops(reading.tally)
                train_rows, test_rows = self._split(reading)
                for output in self.outputs.values():
                    output.sync()
            self._refuse_existing()
            return self._result(reading, train_rows, test_rows)

    def _result(self, reading: Reading, train_rows: int, test_rows: int) -> ConvertResult:
        tally = reading.tally
        return ConvertResult(
            written=train_rows + test_rows,
            train_rows=train_rows,
            test_rows=test_rows,
            dropped={reason: tally.counts[reason] for reason in REASONS if reason in tally.counts},
            dropped_rows={reason: tuple(tally.rows.get(reason, ())) for reason in REASONS if reason in tally.counts},
            format=reading.mapped.written,
            train=self.target.train,
            test=self.target.test if test_rows else None,
            seconds=time.perf_counter() - self._started,
            columns=written_columns(reading.mapped, reading.texts),
            tags=dict(TAGS) if reading.mapped.columns.messages else {},
            notes=(*reading.source.notes, *reading.notes, *tally.notes(self.request)),
            mapping=reading.mapped.columns.mapped(),
            unused=tuple(reading.unused),
        )

    def _refuse_drops(self, tally: Tally) -> None:
        path = self.request.source
        if self.request.strict and tally.counts:
            message = _("{count} of {read} records would be dropped ({reasons}); --strict allows none.").format(
                count=sum(tally.counts.values()), read=tally.read, reasons=tally.words()
            )
            hint = _("Correct these records, or leave --strict away.")
            raise refuse("dropped_rows", message, exit_code=ExitCode.PREFLIGHT, path=path, hint=hint)
        if tally.kept:
            return
        if not tally.read:
            message = _("{source} holds no records.").format(source=path)
            raise refuse("empty_source", message, exit_code=ExitCode.PREFLIGHT, path=path, key="data.source")
        message = _("None of the {read} records can be used ({reasons}).").format(
            read=tally.read, reasons=tally.words()
        )
        ways = (note.hint for note in tally.notes(self.request))
        hint = next(filter(None, ways), _("Look at them with: sft-tui preview {source}").format(source=path))
        raise refuse("no_rows", message, exit_code=ExitCode.PREFLIGHT, path=path, key="data.source", hint=hint)

    def _split(self, reading: Reading) -> tuple[int, int]:
        """The rows for training and testing, each in its file."""
        tally = reading.tally
        if not reading.choosing:
            self.outputs = {split.TRAIN: self._lines}
            return tally.kept, 0
        import numpy as np

        request = self.request
        if request.dedupe and self._before:
            self._leave_out_known(reading)
        sides = np.zeros(tally.kept, np.uint8)
        chooser = split.Chooser(reading.hashes, request.seed, self._directory)
        duplicates = chooser.duplicates(sides) if request.dedupe else 0
        if duplicates:
            tally.counts[DUPLICATE] = tally.counts.get(DUPLICATE, 0) + duplicates
            tally.rows[DUPLICATE] = sorted(tally.rows.get(DUPLICATE, []) + reading.first_duplicates(sides))[:FIRST_ROWS]
        rows = tally.kept - duplicates
        given = reading.mark_tests(sides)
        wanted = given or split.test_rows(request.test_size, rows)
        tested = given or (chooser.draw(sides, wanted, single=request.dedupe) if 0 < wanted < rows else wanted)
        if tested >= rows:
            raise _nothing_to_train_on(tested, rows, given=bool(given))
        if wanted and not tested:
            message = _("The {rows} rows are all the same: they cannot be divided into training and test rows.")
            raise refuse(
                "bad_test_size", message.format(rows=rows), key="data.test_size", hint=_("Leave --test-size away.")
            )
        if not duplicates and not tested:
            self.outputs = {split.TRAIN: self._lines}
            return rows, 0
        self.outputs = {split.TRAIN: self._spool()} | ({split.TEST: self._spool()} if tested else {})
        split.cut(self._lines, reading.lengths, sides, self.outputs, reading.pool)
        return rows - tested, tested

    def _leave_out_known(self, reading: Reading) -> None:
        """Leave out the samples that were written before, from other sources."""
        import numpy as np

        known = samples.written_hashes(self._before)
        sides = np.zeros(reading.tally.kept, np.uint8)
        sides[np.isin(samples.spooled_hashes(self._lines, reading.lengths), known)] = split.DUPLICATE
        count = int((sides == split.DUPLICATE).sum())
        if not count:
            return
        tally = reading.tally
        tally.counts[DUPLICATE], tally.rows[DUPLICATE] = count, reading.first_duplicates(sides)
        if count == tally.kept:
            message = _("All {rows} samples of {source} are in the sources before it.")
            text = message.format(rows=count, source=self.request.source)
            raise refuse("no_rows", text, exit_code=ExitCode.PREFLIGHT, key="data.sources")
        left = self._spool()
        split.cut(self._lines, reading.lengths, sides, {split.TRAIN: left}, reading.pool)
        self._lines = left
        reading.keep_only(sides == split.TRAIN)

    def _refuse_existing(self) -> None:
        if self.request.overwrite:
            return
        for side, path in self.target.paths.items():
            output = self.outputs.get(side)
            if output is not None and path.exists() and not output.same_as(path):
                message = _("{path} exists and holds something else.").format(path=path)
                hint = _("Give another --name, or --overwrite to replace it.")
                raise refuse("exists", message, path=str(path), key="data.name", hint=hint)

    def commit(self) -> ConvertResult:
        """Give the files their names. Raises `Refusal` with everything as it was before."""
        directory = self.request.out_dir
        try:
            with writing(directory):
                self._make(directory)
                for side, output in self.outputs.items():
                    path = self.target.paths[side]
                    if not output.same_as(path):
                        self._backups.append(Backup(path))
                        output.publish(path)
                sync_directory(directory)
        except BaseException:
            self.rollback()
            raise
        return self.result

    def _make(self, directory: Path) -> None:
        directory = directory.absolute()
        if directory.exists():
            return
        self._make(directory.parent)
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            self._made.append(directory)

    def rollback(self) -> None:
        """Take back what `commit` did. Possible until `close`."""
        for backup in reversed(self._backups):
            with contextlib.suppress(OSError):
                backup.put_back()
        for directory in reversed(self._made):
            with contextlib.suppress(OSError):
                directory.rmdir()
        self._backups.clear()
        self._made.clear()


def _nothing_to_train_on(wanted: int, rows: int, *, given: bool) -> Refusal:
    if given:
        message = _("All {rows} rows are marked as test rows by the data: nothing is left to train on.")
        hint = _('To train on them all the same: --split-column ""')
        return refuse(
            "no_rows", message.format(rows=rows), exit_code=ExitCode.PREFLIGHT, key="data.columns.split", hint=hint
        )
    message = _("--test-size would take {wanted} of {rows} rows: nothing would be left to train on.")
    hint = _("Give a smaller --test-size.")
    return refuse("bad_test_size", message.format(wanted=wanted, rows=rows), key="data.test_size", hint=hint)


def convert(request: ConvertRequest, progress: Callable[[Progress], None] | None = None) -> ConvertResult:
    """Convert, and give the files their names. Raises `Refusal` with nothing changed."""
    with Conversion(request, progress) as conversion:
        return conversion.commit()
