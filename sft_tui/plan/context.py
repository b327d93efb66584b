"""What a plan rests on besides the answers: the machine, the model's files, the installed LLaMA-Factory, names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.dataset.request import ConvertRequest
from sft_tui.factory.commands import ADAPTER_CONFIG
from sft_tui.factory.options import Factory, Template
from sft_tui.factory.probe import load_factory
from sft_tui.factory.templates import template_for_model
from sft_tui.i18n import _
from sft_tui.machine.environment import Environment, Search, find_environment
from sft_tui.machine.gpus import GpuReport, read_gpus, usable
from sft_tui.machine.system import System, read_system
from sft_tui.plan.conversion import fingerprint, read_proof
from sft_tui.plan.data_lengths import of_all
from sft_tui.plan.kept import ALL, Kept, look_at_rows
from sft_tui.plan.names import choose_run_name, portable, resolve_command, resolve_path
from sft_tui.plan.peaks import Peak, read_peaks
from sft_tui.plan.sources import Part, find_parts, located, trained_parts, with_names
from sft_tui.presets import Preset, load_presets, read_preset
from sft_tui.problems import Refusal, refusing_locked
from sft_tui.project.files import read_json
from sft_tui.project.layout import run_that_saved

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.plan.data_lengths import DataLengths

SMALL_SOURCE_BYTES = 64 << 20
"""Sources up to this size are counted before planning, so that steps between evaluations fit the data."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that was named: `path` as the YAML will have it (relative to the project where it is inside).

    `config` is the content of config.json, None where there is none here. `template_why` says in a sentence
    how the template was found, `template_certain` whether that leaves no doubt. `cached` is where a hub's model was
    downloaded before; its files are not complete for certain. `adapter` is the one that is trained further, written as
    `path`, with the content of its own config; `parent` the run that made it, "" where none is known.
    """

    path: str
    local: bool
    directory: Path | None
    config: dict[str, Any] | None
    template: str
    template_why: str
    template_certain: bool
    cached: Path | None = None
    adapter: str | None = None
    adapter_config: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""

    @property
    def place(self) -> Path | None:
        """Where its files are, as far as they are on this machine."""
        return self.directory or self.cached


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a plan takes into account.

    `rows` of the source are None where nobody counted yet, `converted` rows of the train file where the data was not
    converted yet. `peaks` are what earlier runs of the project needed, `notify` is the
    command of the answers with its program where it was found, `lengths` says how long the samples are, where known,
    `kept` about how many of the rows will be written.
    Where there are several sources or one to evaluate on, `parts` are all of them; `source` and `dataset` are the first
    that is trained on, the other figures those of all that are.
    """

    base: Path
    project: Path
    run: str
    dataset: str
    source: str
    system: System
    gpus: GpuReport
    search: Search
    factory: Factory
    model: ModelFacts
    presets: dict[str, Preset]
    rows: int | None = None
    converted: int | None = None
    python: str = sys.executable
    peaks: tuple[Peak, ...] = ()
    notify: tuple[str, ...] = ()
    lengths: DataLengths | None = None
    kept: Kept = ALL
    parts: tuple[Part, ...] = ()

    @property
    def trained(self) -> str:
        """The registered names of the data that is trained on, as the option `dataset` has them."""
        named = [part.registered for part in self.parts if not part.evaluates]
        return ",".join(named) or f"{self.dataset}_train"

    @property
    def environment(self) -> Environment | None:
        """Where LLaMA-Factory is installed, or None."""
        return self.search.environment

    @property
    def places(self) -> tuple[Path, Path]:
        """Where the answers' relative paths start: at their file, then at the project."""
        return self.base, self.project

    @property
    def packages(self) -> frozenset[str]:
        """What is installed beside LLaMA-Factory, by pip's names; empty where nobody could look."""
        return frozenset(self.environment.packages) if self.environment else frozenset()

    @property
    def train_python(self) -> str | None:
        """The Python that has LLaMA-Factory, or None."""
        return self.environment.python if self.environment else None


@refusing_locked()
def gather(
    answers: Answers,
    answers_path: Path,
    *,
    fresh: bool = False,
    rows: int | None = None,
    light: bool = False,
    count_tokens: bool = False,
) -> Situation:
    """Look at this machine and at what `answers` name. Relative paths start at the answers file, then at the project.

    `fresh` gives the run a name that no run of the project has yet. `light` counts rows only where that takes no data
    library. `count_tokens` finds out how long the samples are, which may take some seconds the first time; otherwise
    only what was found before is known. Raises `Refusal` where a directory that is needed cannot be read. Takes about
    0.1 s, more for a source that is counted.
    """
    base = answers_path.expanduser().resolve().parent
    project = (base / Path(answers.run.dir).expanduser()).resolve()
    search = find_environment()
    python = search.environment.python if search.environment else None
    factory = load_factory(python, search.environment.packages if search.environment else None)
    model = look_at_model(answers, base, project, factory)
    parts = find_parts(answers, base, project)
    named = located(answers, parts)
    run = choose_run_name(named, project, model.path, adapter=model.adapter, fresh=fresh)
    template = template_of(answers, model, factory)
    gpus = read_gpus()
    wanted = count_tokens if usable(answers.hardware.gpus, gpus.gpus) else None
    parts = tuple(
        _looked_at(part, project, model, template, python, rows=rows, light=light, count_tokens=wanted)
        for part in with_names(parts, project, template, light=light, train_python=python)
    )
    trained = [part for part in parts if not part.evaluates]
    return Situation(
        base=base,
        project=project,
        run=run,
        dataset=trained[0].dataset,
        source=trained[0].source,
        system=read_system(project),
        gpus=gpus,
        search=search,
        factory=factory,
        model=model,
        presets=_presets(answers.preset, base, project),
        rows=_sum(part.rows for part in trained),
        converted=_sum(part.converted for part in trained),
        peaks=read_peaks(project),
        notify=resolve_command(answers.run.notify or (), base, project),
        lengths=of_all([part.lengths for part in trained]),
        kept=trained[0].kept,
        parts=parts if answers.data.sources or answers.data.eval else (),
    )


def _looked_at(
    part: Part,
    project: Path,
    model: ModelFacts,
    template: Template | None,
    python: str | None,
    *,
    rows: int | None,
    light: bool,
    count_tokens: bool | None,
) -> Part:
    """`part` with its rows and lengths, as far as they are known; `count_tokens` None: lengths are not needed."""
    request = part.request(project / "data", template, python)
    found = None if count_tokens is None else _lengths(request, model, template, python, count=count_tokens)
    counted = _rows(part.source, part.answers.data.sheet, light=light) if rows is None else rows
    made = converted_rows(request)
    kept = ALL if light or not counted or made is not None else look_at_rows(request, counted)
    return replace(part, rows=counted, converted=made, lengths=found, kept=kept)


def _sum(counts: Iterable[int | None]) -> int | None:
    """The sum of counts; None where one is not known."""
    found = list(counts)
    return None if None in found else sum(count or 0 for count in found)


def with_lengths(answers: Answers, situation: Situation) -> Situation:
    """`situation` with the samples' lengths counted, whether a GPU is used or not; may take some seconds."""
    python = situation.train_python
    template = template_of(answers, situation.model, situation.factory)
    requests = [
        part.request(situation.project / "data", template, python) for part in trained_parts(answers, situation)
    ]
    found = [_lengths(request, situation.model, template, python, count=True) for request in requests]
    return replace(situation, lengths=of_all(found))


def template_of(answers: Answers, model: ModelFacts, factory: Factory) -> Template | None:
    """The template that the training will use; None for an unknown one."""
    return factory.templates.get(str(answers.train.get("template", model.template)))


def _lengths(
    request: ConvertRequest, model: ModelFacts, template: Template | None, python: str | None, *, count: bool
) -> DataLengths | None:
    """How long the samples are, as far as that is known or may be counted."""
    from sft_tui.plan.data_lengths import count_lengths, known_lengths

    if count:
        return count_lengths(request, model.place, template, python)
    return known_lengths(request, model.place, template)


def look_at_model(answers: Answers, base: Path, project: Path, factory: Factory) -> ModelFacts:
    """Find the model that the answers name, the template that fits it, and the adapter that is trained further."""
    return _with_adapter(_look_at_base(answers, base, project, factory), answers.model.adapter, base, project)


def _with_adapter(model: ModelFacts, named: str | None, base: Path, project: Path) -> ModelFacts:
    if named is None:
        return model
    place = resolve_path(named, (base, project))
    if place is None:
        return replace(model, adapter=str(base / Path(named).expanduser()))  # no hub is asked for it
    config, made_by = read_json(place / ADAPTER_CONFIG), run_that_saved(place)
    return replace(
        model,
        adapter=portable(place, project),
        adapter_config=config if isinstance(config, dict) else {},
        parent=made_by.name if made_by else "",
    )


def _look_at_base(answers: Answers, base: Path, project: Path, factory: Factory) -> ModelFacts:
    named = answers.model.path
    directory = resolve_path(named, (base, project))
    cached = None if directory else _downloaded(named, answers.model.source)
    place = directory or cached
    config = read_json(place / "config.json") if place else None
    config = config if isinstance(config, dict) else None
    shown = portable(directory, project) if directory else named
    guess = template_for_model(str(directory) if directory else named, config, factory)
    if answers.model.template != "auto":
        why = _("given in the answers")
        return ModelFacts(shown, directory is not None, directory, config, answers.model.template, why, True, cached)
    return ModelFacts(shown, directory is not None, directory, config, guess.name, guess.how, guess.certain, cached)


def _downloaded(named: str, source: str) -> Path | None:
    """Where the hub's model `named` is in the cache of its library."""
    from sft_tui.machine.hub_cache import find_model, may_be_on_a_hub

    if not may_be_on_a_hub(named):
        return None
    try:
        return find_model(named, source).directory
    except OSError:
        return None


def _presets(named: str, base: Path, project: Path) -> dict[str, Preset]:
    """The presets that there are, and the file that the answers name as theirs. Raises `Refusal` for a bad one."""
    known = load_presets()
    if named in known or Path(named).suffix not in (".yaml", ".yml"):
        return known
    path = resolve_path(named, (base, project))
    return {**known, named: read_preset(path)} if path is not None and path.is_file() else known


def converted_rows(request: ConvertRequest) -> int | None:
    """Rows of the train file that `request` has made of the source as it is now; None where it has not."""
    proof = read_proof(request.out_dir, request.name or "")
    if proof is None:
        return None
    try:
        mark = fingerprint(request)
    except Refusal:
        return None
    return proof[1].train_rows if proof[0] == mark else None


DATA_KINDS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}
"""Suffixes of the files whose head can be read without a data library, and their kinds."""


def _rows(source: str, sheet: str | None, *, light: bool) -> int | None:
    """The number of rows of a small source, or None; a source that cannot be read is reported by the preflight."""
    from sft_tui.factory.check.records import read_records

    path = Path(source)
    if not path.is_file() or path.stat().st_size > SMALL_SOURCE_BYTES:
        return None
    kind = DATA_KINDS.get(path.suffix.lower())
    total = read_records(path, kind).total if kind else None
    return total if light or total is not None else _count(source, sheet)


def _count(source: str, sheet: str | None) -> int | None:
    from sft_tui.dataset import count_rows

    try:
        return count_rows(source, sheet=sheet)
    except Refusal:
        return None
