"""The help for a field: our own text where there is one, LLaMA-Factory's for its other options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sft_tui.i18n import _
from sft_tui.tui.help_texts import TEXTS
from sft_tui.tui.values import show_typed

if TYPE_CHECKING:
    from sft_tui.factory.options import Factory, Option


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
    title, text = TEXTS.get(topic, ("", ""))
    paragraphs = [_(text)] if text else []
    name = topic.removeprefix("train.") if topic.startswith("train.") else ""
    option = factory.options.get(name) if factory is not None and name else None
    if option is not None:
        paragraphs += _of_option(option, bool(text))
    elif topic.partition(".")[0] in ("data", "model", "export", "run", "hardware", "on_failure", "preset"):
        paragraphs.append(_("In the answers file: {key}").format(key=topic.replace(".several", "")))
    if not paragraphs:
        paragraphs = [_("There is no help for this field.")]
    return HelpText(_(title) if title else name or topic, tuple(paragraphs))


def _of_option(option: Option, known: bool) -> list[str]:
    lines = []
    if option.choices:
        lines.append(_("One of: {choices}.").format(choices=", ".join(show_typed(c) or "null" for c in option.choices)))
    else:
        lines.append(_("Type: {type}.").format(type=" | ".join(option.types)))
        bounds = _range(option)
        if bounds:
            lines.append(bounds)
    default = show_typed(option.default) or _("none")
    lines.append(_("LLaMA-Factory's default: {value}.").format(value=default))
    paragraphs = [" ".join(lines)]
    words = option.help.strip()
    if words:
        head = _("LLaMA-Factory says:") if known else _("LLaMA-Factory says (in English):")
        paragraphs.append(f"{head} {words}")
    paragraphs.append(_("In the answers file: {key}").format(key=f"train.{option.name}"))
    return paragraphs


def _range(option: Option) -> str:
    low, high = option.minimum, option.maximum
    if low is not None and high is not None:
        return _("From {low:g} to {high:g}.").format(low=low, high=high)
    if low is not None:
        text = _("More than {low:g}.") if option.above_minimum else _("At least {low:g}.")
        return text.format(low=low)
    return _("At most {high:g}.").format(high=high) if high is not None else ""
