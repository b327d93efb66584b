"""The presets: ready-made training options, a YAML file each, in `presets/`.

A preset's file begins with a comment that says what it is for and what it needs, and has these keys:

    title, title_zh              one line
    description, description_zh  one sentence
    card_gib                     the card's size in GiB as it is sold (24), or null for training without a GPU
    guide                        true: the guide's own values, kept for comparison, never chosen by `auto`
    models                       the models that it fits with margin, by their known names; a test computes each
    options                      LLaMA-Factory's training options: only what differs from the common ones
    if_available                 {package: {option: value}}: options added when the training environment has the package
                                 (`liger-kernel`: `enable_liger_kernel` fails where liger is missing)

Every option has a comment. Files that users put beside them in the same form work too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from sft_tui.i18n import _, current_language
from sft_tui.packages import normalised
from sft_tui.problems import ExitCode, Problem, Refusal, Severity, nearest, refuse
from sft_tui.project.places import shipped
from sft_tui.units import GIB
from sft_tui.yaml_io import Document, read_document, scalar


@dataclass(frozen=True, slots=True)
class _PresetFile:
    """What a preset's file may say."""

    __pydantic_config__ = {"extra": "forbid", "coerce_numbers_to_str": True, "allow_inf_nan": False}  # noqa: RUF012

    options: dict[str, Any]
    title: str | None = None
    title_zh: str | None = None
    description: str = ""
    description_zh: str | None = None
    card_gib: float | None = None
    guide: bool = False
    models: tuple[str, ...] = ()
    if_available: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset as its file has it. `name` is the file's name without `.yaml`; `note` the comment at its head."""

    name: str
    title: str
    title_zh: str
    description: str
    description_zh: str
    card_gib: float | None
    models: tuple[str, ...]
    options: Mapping[str, Any]
    if_available: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    guide: bool = False
    note: str = ""
    path: Path | None = None

    def options_with(self, packages: Collection[str] = ()) -> dict[str, Any]:
        """The options for a training environment that has `packages` (by pip's names: `liger-kernel`)."""
        chosen = dict(self.options)
        for package, more in self.if_available.items():
            if normalised(package) in packages:
                chosen.update(more)
        return chosen

    def shown_title(self) -> str:
        """The title in the user's language."""
        return self.title_zh if current_language().startswith("zh") else self.title

    def shown_description(self) -> str:
        """The description in the user's language."""
        return self.description_zh if current_language().startswith("zh") else self.description


def presets_directory() -> Path:
    """Where the presets are."""
    return shipped("presets")


@cache
def load_presets() -> dict[str, Preset]:
    """All presets by name: without a GPU first, then by card size, the guide's last."""
    presets = [read_preset(path) for path in presets_directory().glob("*.yaml")]
    presets.sort(key=lambda preset: (preset.guide, preset.card_gib or 0.0))
    return {preset.name: preset for preset in presets}


def find_preset(name: str) -> Preset:
    """The preset called `name`, a name in `presets/` or the path of a file; `Refusal` where there is none."""
    presets = load_presets()
    bare = name.removesuffix(".yaml")
    if bare in presets:
        return presets[bare]
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return read_preset(Path(name))
    close = nearest(bare, presets)
    hint = _("Did you mean {names}?").format(names=", ".join(close)) if close else ", ".join(presets)
    raise refuse("unknown_preset", _("There is no preset {name}.").format(name=name), key="preset", hint=hint)


def read_preset(path: Path) -> Preset:
    """The preset in the file at `path`; raises `Refusal` with every problem of the file."""
    document = read_document(path)
    if any(problem.severity is Severity.ERROR for problem in document.problems):
        raise Refusal(document.problems, ExitCode.USAGE)
    found = _checked(document, path)
    title = found.title or path.stem
    return Preset(
        name=path.stem,
        title=title,
        title_zh=found.title_zh or title,
        description=found.description,
        description_zh=found.description_zh or found.description,
        card_gib=found.card_gib,
        models=found.models,
        options=found.options,
        if_available=found.if_available,
        guide=found.guide,
        note=_head_comment(document.text),
        path=path,
    )


def _checked(document: Document, path: Path) -> _PresetFile:
    from pydantic import TypeAdapter, ValidationError  # half of what a light command may take

    from sft_tui.answers import wrong_value

    data = {key: value for key, value in document.data.items() if value is not None or key == "options"}
    try:
        found: _PresetFile = TypeAdapter(_PresetFile).validate_python(data)
    except ValidationError as error:
        problems = []
        for wrong in error.errors():
            key = ".".join(map(str, wrong["loc"]))
            if wrong["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
                problem = Problem("bad_preset", _("A preset has no key {key}.").format(key=key), key=key)
            elif wrong["loc"] == ("options",):
                problem = Problem("bad_preset", _("A preset needs a mapping `options`."), key=key)
            else:
                problem = wrong_value(key, wrong)
            problems.append(replace(problem, path=str(path), line=document.lines.get(key)))
        raise Refusal(problems, ExitCode.USAGE) from None
    if found.card_gib is not None and found.card_gib <= 0:
        message = _("`card_gib` is {value}; a card has more than 0 GiB.").format(value=scalar(found.card_gib))
        raise refuse("bad_preset", message, path=str(path), key="card_gib")
    return found


def choose_preset(memory_bytes: int | None) -> Preset:
    """The preset that `auto` starts from: the largest whose card is not larger than `memory_bytes`, the memory that is
    free on the card (None: there is no GPU, or its memory is unknown). Cards hold up to 8 % less than they are sold as.
    """
    presets = [preset for preset in load_presets().values() if not preset.guide]
    without = next(preset for preset in presets if preset.card_gib is None)
    if memory_bytes is None:
        return without
    cards = [preset for preset in presets if preset.card_gib is not None]
    fitting = [preset for preset in cards if (preset.card_gib or 0) * 0.92 <= memory_bytes / GIB]
    return fitting[-1] if fitting else cards[0]


def _head_comment(text: str) -> str:
    """The comment lines at the top of the file, as one text."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.lstrip("# ").rstrip() for line in lines)
