"""What an option of LLaMA-Factory means: our own words for the common ones (`texts.json`), its help for the rest.

`texts.json` maps an option to `title`, `what`, and where there is something to say `advice` (the guide's, where it has
any), `memory`, `time` and `quality`; each is given as `{"en": ..., "zh": ...}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.options import Factory, Option
from sft_tui.i18n import _, language_from_environment
from sft_tui.problems import nearest, refuse
from sft_tui.yaml_io import scalar

_TEXTS = Path(__file__).parent / "texts.json"
FIELDS = ("title", "what", "advice", "memory", "time", "quality")


@dataclass(frozen=True, slots=True)
class Explanation:
    """An option in words. `own` says whether the words are ours; otherwise `what` is LLaMA-Factory's English help.

    `advice`, `memory`, `time` and `quality` are None where there is nothing to say. `default`, `choices` and `range`
    are as they would stand in a YAML file.
    """

    key: str
    group: str
    title: str
    what: str
    default: str
    types: tuple[str, ...]
    choices: tuple[str, ...] = ()
    range: str | None = None
    advice: str | None = None
    memory: str | None = None
    time: str | None = None
    quality: str | None = None
    own: bool = False


@cache
def texts() -> dict[str, dict[str, dict[str, str]]]:
    """Our texts: option -> field -> language -> text."""
    data: dict[str, dict[str, dict[str, str]]] = orjson.loads(_TEXTS.read_bytes())
    return data


def explain(key: str, factory: Factory, language: str | None = None) -> Explanation:
    """The explanation of the option `key` in `language` (`en` or `zh_CN`; the user's if None).

    Raises `Refusal` with the nearest known names where there is no such option.
    """
    name = key.removeprefix("train.").strip()
    option = factory.options.get(name)
    if option is None:
        raise _unknown(name, factory)
    ours = _ours(name, language)
    return Explanation(
        key=name,
        group=option.group,
        title=ours.get("title", name),
        what=ours.get("what") or option.help or _("LLaMA-Factory says nothing about it."),
        default=scalar(option.default),
        types=option.types,
        choices=tuple(scalar(choice) for choice in option.choices or ()),
        range=_range(option),
        advice=ours.get("advice"),
        memory=ours.get("memory"),
        time=ours.get("time"),
        quality=ours.get("quality"),
        own=bool(ours),
    )


def _ours(name: str, language: str | None) -> dict[str, str]:
    """What we say of the option `name`, by field; empty where we say nothing."""
    zh = (language or language_from_environment()).startswith("zh")
    return {field: text["zh" if zh else "en"] for field, text in texts().get(name, {}).items()}


def summary(option: Option, language: str | None = None) -> str:
    """An option in a sentence, in `language` (the user's if None): ours, or LLaMA-Factory's English help."""
    return _ours(option.name, language).get("what") or option.help.strip()


def search_options(text: str, factory: Factory, options: Iterable[Option] | None = None) -> list[Option]:
    """Options whose name, help or words of ours, in any language, hold every word of `text`.

    Those with the words in the name come first, then those with them in the title.
    """
    words = text.lower().split()
    scored = []
    for index, option in enumerate(options or factory.options.values()):
        ours = texts().get(option.name, {})
        name, title = option.name.lower(), " ".join(ours.get("title", {}).values()).lower()
        about = f"{option.help} {title} {' '.join(ours.get('what', {}).values())}".lower()
        if all(word in name or word in about for word in words):
            in_name, in_title = (sum(word in place for word in words) for place in (name, title))
            starts = any(name.startswith(word) for word in words)
            scored.append((-in_name, not starts, -in_title, index, option))
    return [option for *_order, option in sorted(scored, key=lambda item: item[:4])]


def _range(option: Option) -> str | None:
    if option.minimum is None and option.maximum is None:
        return None
    from sft_tui.factory.check.values import range_text

    return range_text(option)


def _unknown(name: str, factory: Factory) -> Exception:
    from sft_tui.factory.check.renamed import RENAMED

    message = _("LLaMA-Factory {version} has no option `{name}`.").format(version=factory.version, name=name)
    new = RENAMED.get(name, (None, None))[0]
    close = [new] if new else nearest(name, factory.options)
    hint = _("Did you mean {names}?").format(names=", ".join(f"`{n}`" for n in close)) if close else None
    return refuse("unknown_key", message, key=name, hint=hint or _("Search: sft-tui explain --search WORD"))


def label_of(field: str) -> str:
    """The word before a field of an explanation."""
    labels = {
        "default": _("Default"),
        "choices": _("Values"),
        "range": _("Range"),
        "advice": _("Advice"),
        "memory": _("Memory"),
        "time": _("Time"),
        "quality": _("Quality"),
    }
    return labels[field]


def as_lines(explanation: Explanation) -> list[str]:
    """The explanation as lines for a terminal or a help panel."""
    lines = [f"{explanation.key} - {explanation.title}" if explanation.own else explanation.key, explanation.what]
    values: dict[str, Any] = {
        "default": explanation.default,
        "choices": ", ".join(explanation.choices),
        "range": explanation.range,
        "advice": explanation.advice,
        "memory": explanation.memory,
        "time": explanation.time,
        "quality": explanation.quality,
    }
    return lines + [f"{label_of(field)}: {value}" for field, value in values.items() if value]
