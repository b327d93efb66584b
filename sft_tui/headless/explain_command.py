"""`sft-tui explain KEY`: what a training option is, what it costs and what the guide advises."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.options import Factory, changed_from_default
from sft_tui.factory.probe import load_factory
from sft_tui.headless.arguments import add_json
from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `explain`."""
    parser.add_argument("key", nargs="?", metavar="KEY", help=_("an option, for example lora_rank"))
    parser.add_argument("--search", metavar="WORDS", help=_("list options whose name or help has these words"))
    parser.add_argument("--all", action="store_true", help=_("list all options"))
    parser.add_argument("--config", type=Path, metavar="YAML", help=_("mark what this config changes from the default"))
    add_json(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which option, or which list of them."""

    key: str | None
    search: str | None
    all: bool
    config: Path | None
    json: bool


def run(request: Request) -> int:
    """Explain one option, or list those that were searched for."""
    from sft_tui.machine.environment import find_environment

    environment = find_environment().environment
    factory = load_factory(environment.python, environment.packages) if environment else load_factory()
    if request.search is not None or request.all:
        return _list(request, factory)
    if not request.key:
        raise refuse("usage", _("Name an option, or use --search WORDS or --all."))
    return _one(request.key, factory, _values_of(request.config), as_json=request.json)


def _one(key: str, factory: Factory, values: dict[str, Any], *, as_json: bool) -> int:
    from sft_tui.factory.explain import as_lines, explain
    from sft_tui.yaml_io import scalar

    explanation = explain(key, factory)
    if as_json:
        put_json(asdict(explanation) | ({"value": values[key]} if key in values else {}))
        return int(ExitCode.DONE)
    for line in as_lines(explanation):
        put(line)
    if key in values:
        put(_("In this config: {value}").format(value=scalar(values[key])))
    _say_source(factory)
    return int(ExitCode.DONE)


def _list(request: Request, factory: Factory) -> int:
    from sft_tui.factory.explain import search_options, summary
    from sft_tui.yaml_io import scalar

    options = search_options(request.search or "", factory)
    values = _values_of(request.config)
    changed = changed_from_default(values, factory)
    if request.json:
        put_json(
            [
                {
                    "key": o.name,
                    "group": o.group,
                    "default": o.default,
                    "changed": o.name in changed,
                    "help": summary(o),
                }
                for o in options
            ]
        )
        return int(ExitCode.DONE)
    for option in options:
        value = scalar(values[option.name] if option.name in changed else option.default)
        put(f"{'*' if option.name in changed else ' '} {option.name}: {value}  # {summary(option)}")
    say(_("{count} options.").format(count=len(options)))
    _say_source(factory)
    return int(ExitCode.DONE)


def _values_of(config: Path | None) -> dict[str, Any]:
    """The options in a config or under `train:` of an answers file; none without one."""
    if config is None:
        return {}
    from sft_tui.yaml_io import read_document

    document = read_document(config)
    if document.problems:
        first = document.problems[0]
        raise refuse(first.code, first.message, path=first.path, line=first.line, hint=first.hint)
    train = document.data.get("train")
    return train if isinstance(train, dict) else document.data


def _say_source(factory: Factory) -> None:
    if factory.source == "snapshot" and not factory.versions_known:
        text = _("LLaMA-Factory is not installed here; this is what version {version} has.")
        say(text.format(version=factory.version))
