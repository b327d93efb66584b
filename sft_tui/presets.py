"""The presets: ready-made training options, a YAML file each, in `presets/`.

A preset's file begins with a comment that says what it is for and what it needs, and has these keys:

    title, title_zh              one line
    description, description_zh  one sentence
    card_gib                     the card's size in GiB as it is sold (24), or null for training without a GPU
    guide                        true: the guide's own values, kept for comparison, never chosen by `auto`
    models                       the models that it fits with margin, by their known names; a test computes each
    options                      LLaMA-Factory's training options: only what differs from the common ones
    if_available                 {package: {option: value}}: options added when the training environment has the package
                                 (`liger_kernel`: `enable_liger_kernel` fails where liger is missing)

Every option has a comment. Files that users put beside them in the same form work too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sft_tui.i18n import _, current_language
from sft_tui.problems import ExitCode, Refusal, nearest, refuse
from sft_tui.units import GIB
from sft_tui.yaml_io import read_document

_KEYS = {"title", "title_zh", "description", "description_zh", "card_gib", "guide", "models", "options", "if_available"}


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
        """The options for a training environment that has `packages` (names as imported: `liger_kernel`)."""
        chosen = dict(self.options)
        for package, more in self.if_available.items():
            if package in packages:
                chosen.update(more)
        return chosen

    def shown_title(self) -> str:
        """The title in the user's language."""
        return self.title_zh if current_language().startswith("zh") else self.title

    def shown_description(self) -> str:
        """The description in the user's language."""
        return self.description_zh if current_language().startswith("zh") else self.description


def presets_directory() -> Path:
    """Where the presets are: in an installed package, or beside it in a checkout or an editable install."""
    inside = Path(__file__).parent / "presets"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "presets"


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
    problems = list(document.problems)
    data = document.data
    if any(problem.severity.value == "error" for problem in problems):
        raise Refusal(problems, ExitCode.USAGE)
    unknown = sorted(set(data) - _KEYS)
    if unknown or not isinstance(data.get("options"), dict):
        missing = _("A preset needs a mapping `options`.")
        message = _("A preset has no key {key}.").format(key=unknown[0]) if unknown else missing
        raise refuse("bad_preset", message, path=str(path), key=unknown[0] if unknown else "options")
    card = data.get("card_gib")
    return Preset(
        name=path.stem,
        title=str(data.get("title", path.stem)),
        title_zh=str(data.get("title_zh", data.get("title", path.stem))),
        description=str(data.get("description", "")),
        description_zh=str(data.get("description_zh", data.get("description", ""))),
        card_gib=None if card is None else float(card),
        models=tuple(str(model) for model in data.get("models") or ()),
        options=dict(data["options"]),
        if_available={str(key): dict(value) for key, value in (data.get("if_available") or {}).items()},
        guide=bool(data.get("guide", False)),
        note=_head_comment(path),
        path=path,
    )


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


def _head_comment(path: Path) -> str:
    """The comment lines at the top of the file, as one text."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return "\n".join(lines)
