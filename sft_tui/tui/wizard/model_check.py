"""What a typed model name means: a directory that exists, or a hub id; and whether it can be trained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity, nearest

if TYPE_CHECKING:
    from sft_tui.factory.options import Factory

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """What was found. `summary` is a sentence; `template_how` says how the template was found."""

    text: str
    local: bool
    summary: str
    template: str
    template_how: str
    template_certain: bool
    problems: tuple[Problem, ...] = ()

    @property
    def needs_trust(self) -> bool:
        """Whether only Python code that comes with the model could train it, and nobody has allowed that."""
        return any(p.code == "needs_remote_code" for p in self.problems)

    @property
    def error(self) -> Problem | None:
        """The first problem that keeps it from being trained."""
        return next((p for p in self.problems if p.severity is Severity.ERROR), None)


def look_at_model(
    text: str, base: Path, project: Path, factory: Factory, *, trust_remote_code: bool = False
) -> ModelFinding:
    """A path is a path if it exists, relative to the answers or the project; else it is a hub id if it looks so."""
    from sft_tui.plan.names import resolve_path

    if not text:
        hint = _("Type the path of a model directory, or a hub id such as Qwen/Qwen2.5-0.5B-Instruct.")
        return _none(text, Problem("model_missing", _("No model is given."), key="model.path", hint=hint))
    directory = resolve_path(text, (base, project))
    if directory is not None:
        return _directory(text, directory, factory, trust_remote_code)
    if text.startswith(("/", ".", "~")) or not _HUB_ID.match(text):
        return _none(text, _not_there(text, factory))
    return _hub(text, factory)


def _none(text: str, problem: Problem) -> ModelFinding:
    return ModelFinding(text, False, "", "", "", False, (problem,))


def _not_there(text: str, factory: Factory) -> Problem:
    message = _("{path} does not exist.").format(path=text)
    hint = _("Check the path (Tab completes, F4 lists), or type a hub id such as Qwen/Qwen2.5-0.5B-Instruct.")
    known = factory.model_by_id(text)
    close = nearest(text, (i for m in factory.models.values() for i in m.ids), 1) if "/" not in text else []
    wanted = known.ids[0] if known is not None and known.ids else close[0] if close else None
    if wanted:
        hint = _("If you mean the model on the hub, type {id}.").format(id=wanted)
    return Problem("model_not_found", message, key="model.path", hint=hint)


def _directory(text: str, directory: Path, factory: Factory, trust_remote_code: bool) -> ModelFinding:
    from sft_tui.factory.check.model_dir import read_model_dir
    from sft_tui.factory.templates import template_for_model

    model = read_model_dir(directory, factory.architectures, trust_remote_code=trust_remote_code)
    if not model.config:
        return ModelFinding(text, True, "", "", "", False, tuple(model.problems))
    guess = template_for_model(str(directory), model.config, factory)
    layers = model.text_config.get("num_hidden_layers")
    size = sum(p.stat().st_size for p in directory.glob("*") if p.suffix in (".safetensors", ".bin"))
    parts = [_("local directory"), model.model_type]
    if layers:
        parts.append(_("{count} layers").format(count=layers))
    parts.append(_("weights {size}").format(size=file_size(size)))
    return ModelFinding(text, True, ", ".join(parts), guess.name, guess.how, guess.certain, tuple(model.problems))


def _hub(text: str, factory: Factory) -> ModelFinding:
    from sft_tui.factory.templates import template_for_model

    guess = template_for_model(text, None, factory)
    known = factory.model_by_id(text)
    if known is not None:
        summary = _("not a local path; on the hub as {id}, known to LLaMA-Factory").format(id=text)
    else:
        summary = _("not a local path, so it will be looked for on the hub; LLaMA-Factory does not list it")
    return ModelFinding(text, False, summary, guess.name, guess.how, guess.certain)


def file_size(size: int) -> str:
    """`size` bytes for people: `1.2 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
