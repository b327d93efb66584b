"""What the screens ask of the rest of the program: a thin door, so that nothing heavy is imported before it is needed.

Every method may block; screens call them in thread workers, except those marked quick.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import _

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset import ConvertRequest, PreviewPage, Progress, SourceInfo
    from sft_tui.dataset.stats.data_statistics import Statistics
    from sft_tui.factory.options import Factory
    from sft_tui.factory.rendering import Rendered, Renderer
    from sft_tui.machine.environment import Environment
    from sft_tui.machine.gpus import GpuReport
    from sft_tui.machine.system import System
    from sft_tui.plan.assess import Assessment
    from sft_tui.plan.data_lengths import MeanTokens
    from sft_tui.plan.need import MemoryNeed, PresetNeeds
    from sft_tui.presets import Preset
    from sft_tui.project.layout import RunLayout
    from sft_tui.tui.wizard.draft import Draft
    from sft_tui.tui.wizard.model_check import ModelFinding
    from sft_tui.tui.wizard.statistics_words import Job


@dataclass(frozen=True, slots=True)
class Machine:
    """What the wizard needs to know of this machine. `environment` is None where LLaMA-Factory is not installed."""

    environment: Environment | None
    factory: Factory
    gpus: GpuReport
    system: System
    presets: dict[str, Preset]


class Services:
    """The real machine and the real files."""

    _renderer: Renderer | None = None

    def now(self) -> float:
        """Epoch seconds (quick)."""
        return time.time()

    def gpus(self) -> GpuReport:
        """The GPUs as they are now."""
        from sft_tui.machine.gpus import read_gpus

        return read_gpus()

    def runs(self, project: Path) -> list[RunLayout]:
        """The runs of `project`, the newest first (quick)."""
        from sft_tui.project.layout import runs_of

        return runs_of(project)

    def diagnose(self, project: Path) -> Iterator[Any]:
        """The lines of the environment check, each as soon as it is known."""
        from sft_tui.support.doctor import diagnose_machine

        yield from diagnose_machine(project)

    def machine(self) -> Machine:
        """The installed LLaMA-Factory, the cards, the presets."""
        from sft_tui.factory.probe import load_factory
        from sft_tui.machine.environment import find_environment
        from sft_tui.machine.system import read_system
        from sft_tui.presets import load_presets

        environment = find_environment().environment
        factory = load_factory(environment.python, environment.packages) if environment else load_factory()
        return Machine(environment, factory, self.gpus(), read_system(Path.cwd()), load_presets())

    def look_at_model(self, text: str, draft: Draft, machine: Machine) -> ModelFinding:
        """What the model that `text` names is, and everything that is wrong with it."""
        from sft_tui.tui.wizard.model_check import look_at_model

        trusted = draft.get("train.trust_remote_code") is True
        return look_at_model(text, draft.base, draft.project, machine.factory, trust_remote_code=trusted)

    def preset_needs(self, data: dict[str, Any], answers_path: Path, machine: Machine) -> PresetNeeds:
        """What `auto` means, and what each preset needs on the chosen cards."""
        from sft_tui.plan.need import preset_needs

        return preset_needs(data, answers_path, machine.gpus)

    def memory(self, data: dict[str, Any], answers_path: Path) -> MemoryNeed:
        """What the draft needs on its cards, part by part, and what would make that less."""
        from sft_tui.plan.need import memory_of_draft

        return memory_of_draft(data, answers_path, self.gpus())

    def inspect_source(self, source: str, base: Path, project: Path, sheet: str | None = None) -> SourceInfo:
        """What the head of the source shows; raises `Refusal` where it cannot be read."""
        from sft_tui.dataset import inspect_source
        from sft_tui.plan.names import resolve_source

        return inspect_source(resolve_source(source, base, project), sheet=sheet)

    def count_rows(
        self, source: str, base: Path, project: Path, sheet: str | None, progress: Callable[[Progress], None]
    ) -> int:
        """The number of records, read through once; raises `Refusal`."""
        from sft_tui.dataset import count_rows
        from sft_tui.plan.names import resolve_source

        return count_rows(resolve_source(source, base, project), progress, sheet=sheet)

    def preview(self, answers: Answers, base: Path, project: Path, start: int, count: int) -> PreviewPage:
        """`count` records of the first source from record `start` (from 1), and their samples; raises `Refusal`."""
        from sft_tui.dataset import preview

        return preview(_request(answers, base, project), start, count)

    def find_row(
        self, answers: Answers, base: Path, project: Path, after: int, text: str, check: Callable[[], None]
    ) -> int | None:
        """The number of the next record after number `after` that holds `text`, or for "" that would be left out.

        `check` is called now and then and may raise to end the search. Raises `Refusal`.
        """
        from sft_tui.dataset import find_row

        row = find_row(_request(answers, base, project), after, text, check)
        return row.number if row is not None else None

    def count_tokens(self, answers: Answers, answers_path: Path) -> MeanTokens | None:
        """Count how long the samples are, for the next estimate; some seconds the first time. None: not known."""
        from sft_tui.plan.context import gather
        from sft_tui.plan.data_lengths import MeanTokens

        lengths = gather(answers, answers_path, fresh=True, rows=0, count_tokens=True).lengths
        mean = lengths.mean if lengths is not None else None
        return MeanTokens(answers.data.source, mean, True) if mean is not None else None

    def tokens(self, answers: Answers, answers_path: Path, machine: Machine, page: PreviewPage, row: int) -> Rendered:
        """The tokens that the sample at place `row` of `page` becomes, with the loss mask; about 10 s, the first time.

        Raises `Refusal`, also where no LLaMA-Factory or no model is there to ask.
        """
        from sft_tui.factory.dataset_info import entry_for
        from sft_tui.factory.rendering import Renderer
        from sft_tui.problems import refuse
        from sft_tui.tui.wizard.statistics_words import make_job

        job = make_job(answers, answers_path, machine)
        if job.python is None or job.model is None:
            text = _("Tokens are shown by LLaMA-Factory and the model's own files, and one of them is not here.")
            raise refuse("no_environment", text)
        if self._renderer is None:
            self._renderer = Renderer(job.python)
        entry = entry_for(page.format, page.columns, page.tags, "preview.jsonl")
        data_args = {"template": job.template, "cutoff_len": job.cutoff_len}
        samples = [dict(page.rows[row].sample or {})]
        return self._renderer.render(samples, entry, model=str(job.model), data_args=data_args).rows[0]

    def close(self) -> None:
        """End what was started for answers."""
        if self._renderer is not None:
            self._renderer.close()

    def statistics_job(self, answers: Answers, answers_path: Path, machine: Machine) -> Job:
        """What the statistics of the draft's examples depend on; raises `Refusal`."""
        from sft_tui.tui.wizard.statistics_words import make_job

        return make_job(answers, answers_path, machine)

    def statistics(self, job: Job, progress: Callable[[Progress], None]) -> Statistics:
        """Look at every row: seconds, and about ten more with a template; raises `Refusal`."""
        from sft_tui.tui.wizard.statistics_words import look

        return look(job, progress)

    def dataset_info(self, found: Assessment) -> str:
        """The entries that the run adds to dataset_info.json, as JSON; raises `Refusal` for a source with problems."""
        import json

        from sft_tui.dataset import preview
        from sft_tui.factory.dataset_info import entries_for
        from sft_tui.plan.sources import parts_of

        answers, situation = found.answers, found.situation
        if answers is None or situation is None:
            return ""
        directory = situation.project / "data"
        entries: dict[str, Any] = {}
        for part in parts_of(answers, situation):
            page = preview(part.request(directory, None, None), 1, 1)
            test = directory / f"{part.dataset}_test.jsonl" if part.answers.data.test_size else None
            train = directory / f"{part.registered}.jsonl"
            entries |= entries_for(part.dataset, _Entry(page.format, page.columns, page.tags, train, test))
        return json.dumps(entries, ensure_ascii=False, indent=2)

    def start(self, found: Assessment, *, force: bool = False) -> RunLayout:
        """Write the run's files and launch it, with `force` though the GPU memory seems too small; raises `Refusal`.

        Takes about a second.
        """
        from sft_tui.run.lifecycle import start

        assert found.plan is not None
        return start(replace(found.plan, force=force))


def _request(answers: Answers, base: Path, project: Path) -> ConvertRequest:
    """How the examples of `answers` are read, the first source where there are several. Raises `Refusal`."""
    from sft_tui.factory.probe import load_factory
    from sft_tui.plan.context import look_at_model, template_of
    from sft_tui.plan.sources import find_parts

    factory = load_factory(None)
    template = template_of(answers, look_at_model(answers, base, project, factory), factory)
    part = next(part for part in find_parts(answers, base, project) if not part.evaluates)
    return replace(part, dataset="preview").request(project / "data", template, None)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What an entry of dataset_info.json says, before anything is converted."""

    format: str
    columns: dict[str, str]
    tags: dict[str, str]
    train: Path
    test: Path | None
