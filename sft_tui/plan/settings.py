"""`--set KEY=VALUE`: the words of a command line as options, wherever they are taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sft_tui.factory.probe import load_factory
from sft_tui.i18n import _
from sft_tui.machine.environment import find_environment
from sft_tui.problems import Refusal, nearest, refuse
from sft_tui.yaml_io import parse_document


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as options, values read as YAML reads them.

    Raises `Refusal` (exit 2); for options that the LLaMA-Factory here does not have with the nearest that it has.
    """
    settings = [_parsed(word) for word in words]
    if not settings:
        return {}
    environment = find_environment().environment
    known = load_factory(environment.python, environment.packages) if environment else load_factory()
    for key, _value in settings:
        if key not in known.options:
            close = nearest(key, known.options)
            hint = _("Did you mean {names}?").format(names=", ".join(close)) if close else None
            raise refuse("unknown_key", _("LLaMA-Factory has no option {key}.").format(key=key), key=key, hint=hint)
    return dict(settings)


def _parsed(word: str) -> tuple[str, Any]:
    key, sign, text = word.partition("=")
    key = key.strip()
    if not sign or not key:
        raise refuse("bad_setting", _("{setting} is not KEY=VALUE.").format(setting=repr(word)), key="--set")
    document = parse_document(f"{key}: {text}")
    if document.problems:
        raise Refusal(document.problems)
    if key not in document.data:
        raise refuse("bad_setting", _("{setting} cannot be read.").format(setting=repr(word)), key=key)
    return key, document.data[key]
