"""The help for a field: of options what `factory.explain` knows, of everything else our own text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sft_tui.i18n import _
from sft_tui.tui.dialogs.help_texts import TEXTS

if TYPE_CHECKING:
    from sft_tui.factory.options import Factory


ALIASES = {"gpu": "hardware.gpus", "model": "model.path", "data": "data.source"}
"""Screens whose help is that of their one question."""


@dataclass(frozen=True, slots=True)
class HelpText:
    """A title and paragraphs."""

    title: str
    paragraphs: tuple[str, ...]


def help_for(topic: str, factory: Factory | None) -> HelpText:
    """The help for `topic`: a dotted path of the answers, or a screen's name."""
    topic = ALIASES.get(topic, topic)
    if topic.startswith("train."):
        return _of_option(topic.removeprefix("train."), factory)
    title, text = TEXTS.get(topic, ("", ""))
    paragraphs = [_(text)] if text else [_("There is no help for this field.")]
    if topic.partition(".")[0] in ("data", "model", "export", "run", "hardware", "on_failure", "preset"):
        paragraphs.append(_("In the answers file: {key}").format(key=topic.replace(".several", "")))
    return HelpText(_(title) if title else topic, tuple(paragraphs))


def _of_option(name: str, factory: Factory | None) -> HelpText:
    from sft_tui.factory.explain import explain, label_of
    from sft_tui.factory.options import snapshot
    from sft_tui.i18n import current_language

    factory = factory or snapshot()
    if name not in factory.options:
        text = _("LLaMA-Factory {version} has no option `{name}`.").format(version=factory.version, name=name)
        return HelpText(name, (text,))
    found = explain(name, factory, current_language())
    values = {
        "advice": found.advice,
        "quality": found.quality,
        "memory": found.memory,
        "time": found.time,
        "choices": ", ".join(found.choices),
        "range": found.range,
        "default": found.default,
    }
    lines = [found.what, *(f"{label_of(field)}: {value}" for field, value in values.items() if value)]
    lines.append(_("In the answers file: {key}").format(key=f"train.{name}"))
    return HelpText(f"{found.title} ({name})" if found.own else name, tuple(lines))
