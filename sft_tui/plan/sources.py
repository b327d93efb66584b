"""The sources of a run one by one: what the answers name, each as answers of its own, and the data set it becomes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory.dataset_info import find_registered
from sft_tui.i18n import _
from sft_tui.plan.conversion import conversion_request, fingerprint, free_name, numbered
from sft_tui.plan.download import fetched_source, is_fetched
from sft_tui.plan.kept import ALL, Kept
from sft_tui.plan.names import portable, resolve_path, resolve_source, source_stem
from sft_tui.problems import Problems

if TYPE_CHECKING:
    from sft_tui.answers import Answers, SourceAnswers
    from sft_tui.dataset.request import ConvertRequest
    from sft_tui.factory.options import Template
    from sft_tui.plan.context import Situation
    from sft_tui.plan.data_lengths import DataLengths

_OWN = ("format", "columns", "instruction", "system", "sheet", "name", "max_samples")


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a run. `answers` are those of the run as if it were the only one, `source` is where it was found.

    `dataset` is the name of its data set, which is evaluated on with `evaluates`; samples of those `before` are not
    written once more. Of a registered one, `stem` is the name there and `folder` the directory that was named. `rows`,
    `converted`, `lengths` and `kept` are as in a `Situation`.
    """

    answers: Answers
    source: str
    dataset: str = ""
    weight: float | None = None
    evaluates: bool = False
    before: tuple[Part, ...] = ()
    stem: str | None = None
    folder: Path | None = None
    rows: int | None = None
    converted: int | None = None
    lengths: DataLengths | None = None
    kept: Kept = ALL

    @property
    def registered(self) -> str:
        """The name that LLaMA-Factory knows its data set by."""
        return f"{self.dataset}_{'test' if self.evaluates else 'train'}"

    def request(self, out_dir: Path, template: Template | None, train_python: str | None) -> ConvertRequest:
        """Its conversion."""
        made = conversion_request(self.answers, self.source, out_dir, self.dataset, template, train_python)
        before = tuple(part.request(out_dir, template, train_python) for part in self.before)
        return replace(made, side="test" if self.evaluates else "train", before=before)


def find_parts(answers: Answers, base: Path, project: Path) -> tuple[Part, ...]:
    """The sources that `answers` name, found but without names for their data sets; one to evaluate on comes first.

    Raises `Refusal` for what does not go together, and for a registered data set that is not there.
    """
    _check(answers)
    named = list(answers.data.sources or ())
    if not named and answers.data.eval is None:
        return (Part(answers, _find(answers.data.source, answers, base, project)),)
    parts = [_part(answers, source, base, project) for source in named]
    if not named:
        alone = answers.model_copy(update={"data": answers.data.model_copy(update={"eval": None})})
        parts = [Part(alone, _find(answers.data.source, answers, base, project))]
    if answers.data.eval is not None:
        parts.insert(0, _part(answers, answers.data.eval, base, project, evaluates=True))
    return tuple(parts)


def located(answers: Answers, parts: Sequence[Part], project: Path | None = None) -> Answers:
    """`answers` that name their sources as they were found; with `project`, relative to it where they are inside.

    Those of a hub stay as they are.
    """

    def shown(source: str) -> str:
        kept = project is None or source.startswith("hub:")
        return source if kept else portable(Path(source), project) if project else source

    def moved(named: SourceAnswers, part: Part) -> SourceAnswers:
        if named.path is not None:
            return named.model_copy(update={"path": shown(part.source)})
        return named.model_copy(update={"dataset_dir": shown(str(part.folder))}) if part.folder else named

    trained = [part for part in parts if not part.evaluates]
    update: dict[str, Any] = {"source": shown(trained[0].source)}
    data = answers.data
    if data.sources is not None:
        update["sources"] = [moved(named, part) for named, part in zip(data.sources, trained, strict=True)]
        update["source"] = update["sources"][0].text
    if data.eval is not None:
        update["eval"] = moved(data.eval, next(part for part in parts if part.evaluates))
    return answers.model_copy(update={"data": data.model_copy(update=update)})


def with_names(
    parts: Iterable[Part], project: Path, template: Template | None, *, light: bool, train_python: str | None
) -> Iterator[Part]:
    """`parts` with the names of their data sets, each another one; `light` does not look for free ones."""
    named: list[Part] = []
    for part in parts:
        part = replace(part, before=tuple(named) if part.answers.data.dedupe else ())
        taken = [other.dataset for other in named]
        part = replace(part, dataset=_name(part, project / "data", template, light, train_python, taken))
        named.append(replace(part, before=()))
        yield part


def parts_of(answers: Answers, situation: Situation) -> tuple[Part, ...]:
    """The sources of the run: one that is alone is that of the situation itself."""
    if situation.parts:
        return situation.parts
    alone = Part(
        answers,
        situation.source,
        situation.dataset,
        rows=situation.rows,
        converted=situation.converted,
        lengths=situation.lengths,
        kept=situation.kept,
    )
    return (alone,)


def trained_parts(answers: Answers, situation: Situation) -> list[Part]:
    """The sources that are trained on."""
    return [part for part in parts_of(answers, situation) if not part.evaluates]


def _name(
    part: Part, folder: Path, template: Template | None, light: bool, train_python: str | None, taken: list[str]
) -> str:
    """The data set's name: as given, or the source's with a number where other data has that; `light` does not look."""
    if part.answers.data.name:
        return part.answers.data.name
    stem = re.sub(r"[^\w-]+", "-", part.stem or source_stem(part.source)).strip("-_") or "dataset"  # any script
    if not light:
        return free_name(folder, stem, fingerprint(part.request(folder, template, train_python)), taken)
    return next(name for name in numbered(stem) if name not in taken)


def _find(source: str, answers: Answers, base: Path, project: Path) -> str:
    return fetched_source(source, project) if is_fetched(source, answers) else resolve_source(source, base, project)


def _part(answers: Answers, named: SourceAnswers, base: Path, project: Path, *, evaluates: bool = False) -> Part:
    """One of several sources, with what it does not say itself as the answers say for all."""
    given = {key: getattr(named, key) for key in _OWN if getattr(named, key) is not None}
    update: dict[str, Any] = {**given, "sources": None, "eval": None, "name": named.name}
    source, folder = named.text, None
    if named.registered is not None:
        if named.dataset_dir is not None:
            folder = resolve_path(named.dataset_dir, (base, project)) or base / Path(named.dataset_dir).expanduser()
        found = find_registered(folder or project / "data", named.registered)
        source = found.source
        columns = {**found.columns, **(named.columns.model_dump(exclude_none=True) if named.columns else {})}
        kind = type(answers.data.columns)
        update = {"format": found.format, **update, "columns": kind(**columns)}
        if found.draws is not None and named.max_samples is None:
            update |= {"max_samples": found.draws, "sample": "random"}
    if evaluates:
        update |= {"test_size": 0, "max_samples": named.max_samples, "sample": "first"}
    source = _find(source, answers, base, project)
    data = answers.data.model_copy(update={**update, "source": source})
    part = Part(answers.model_copy(update={"data": data}), source, weight=named.weight, evaluates=evaluates)
    return replace(part, stem=named.registered, folder=folder)


def _check(answers: Answers) -> None:
    """Refuse sources that name nothing or two things, weights for some of them alone, and what no mix can be."""
    problems, data = Problems(), answers.data
    key, message_of_owned = "data.sources", _("`{key}` is set by the run itself; it follows from `{owner}`.")
    for source in (*(data.sources or ()), *((data.eval,) if data.eval else ())):
        named = [name for name in ("path", "hub", "registered") if getattr(source, name) is not None]
        if len(named) != 1:
            message = _("A source needs one of `path`, `hub` and `registered`; this one has: {names}.")
            problems.error("source_unclear", message.format(names=", ".join(named) or _("none")), key=key)
        for name, owner in (("dataset_dir", "registered"), ("split", "hub")):
            if getattr(source, name) is not None and owner not in named:
                message = _("`{name}` belongs to a source with `{owner}`.").format(name=name, owner=owner)
                problems.error("source_unclear", message, key=key)
    weights = [source.weight for source in data.sources or ()]
    if data.eval is not None and data.eval.weight is not None:
        problems.error("source_unclear", _("What is evaluated on has no weight."), key="data.eval")
    if any(weights) and not all(weights):
        message = _("Some sources have a weight and others have none.")
        problems.error("weights_unclear", message, key=key, hint=_("Give each a weight, or none."))
    if len(weights) > 1 and data.name is not None:
        message = _("`data.name` cannot name several data sets.")
        problems.error("source_unclear", message, key="data.name", hint=_("Write `name` beside each source."))
    if len(weights) > 1 and all(weights) and (data.eval is not None or answers.train.get("eval_dataset")):
        message = _("LLaMA-Factory would mix the data to evaluate on by the same weights, and refuses the training.")
        hint = _("Leave the weights away, or evaluate on a share of the rows: val_size under `train`.")
        problems.error("weights_and_eval", message, key="data.eval" if data.eval else "train.eval_dataset", hint=hint)
    if len(weights) > 1 and all(weights):
        mixing = answers.train.get("mix_strategy")
        if "interleave_probs" in answers.train:
            text = message_of_owned.format(key="interleave_probs", owner="data.sources")
            problems.error("owned_key", text, key="train.interleave_probs")
        if not str(mixing or "interleave").startswith("interleave"):
            message = _("Weights need an interleaving `mix_strategy`; it is `{value}`.").format(value=mixing)
            hint = _("Leave the weights or `mix_strategy` away, or set it to interleave_under or interleave_over.")
            problems.error("weights_unclear", message, key="train.mix_strategy", hint=hint)
    if data.eval is not None and "eval_dataset" in answers.train:
        text = message_of_owned.format(key="eval_dataset", owner="data.eval")
        problems.error("owned_key", text, key="train.eval_dataset")
    problems.raise_if_any()
