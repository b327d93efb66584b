"""`sft-tui preview SOURCE`: rows as read, as samples and, with a model, as the tokens that are trained on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sft_tui.dataset import ConvertRequest, PreviewPage, preview
from sft_tui.factory.options import Template
from sft_tui.factory.probe import load_factory
from sft_tui.factory.rendering import IGNORED, Rendered, Renderer, Rendering
from sft_tui.factory.templates import TemplateGuess, template_for_model
from sft_tui.headless.convert_command import SourceRequest, add_source_arguments, conversion_of
from sft_tui.headless.output import put, put_json, say, show_problems
from sft_tui.i18n import _
from sft_tui.machine.environment import find_environment
from sft_tui.machine.hub_cache import may_be_on_a_hub
from sft_tui.plan.conversion import reasoning_for
from sft_tui.problems import ExitCode, Problem, Problems, Severity, refuse
from sft_tui.project.files import read_json

_FLAGS = ("train_on_prompt", "mask_history", "packing", "neat_packing")
_SHOWN = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `preview`."""
    add_source_arguments(parser)
    parser.set_defaults(reasoning="auto")
    parser.add_argument("--rows", metavar="N", default="5", help=_("so many records (default: 5)"))
    parser.add_argument("--start", metavar="N", default="1", help=_("from this record on"))
    parser.add_argument("--model", metavar="M", help=_("a model directory: show the tokens as well"))
    parser.add_argument("--template", metavar="T", help=_("the template to render with (default: the model's)"))
    help_text = _("render as trained with or without thinking")
    parser.add_argument("--enable-thinking", choices=("true", "false"), help=help_text)
    parser.add_argument("--cutoff-len", metavar="N", default="2048", help=_("the longest sequence, in tokens"))
    parser.add_argument("--stats", action="store_true", help=_("statistics of all rows instead of the rows"))
    for flag in (flag for flag in _FLAGS if flag != "mask_history"):  # what the rows become depends on that one, too
        parser.add_argument(f"--{flag.replace('_', '-')}", action="store_true", help=_("as in the training config"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(SourceRequest):
    """Which rows to show, and whether as tokens or as statistics."""

    rows: str
    start: str
    model: str | None
    template: str | None
    enable_thinking: str | None
    cutoff_len: str
    stats: bool
    train_on_prompt: bool
    packing: bool
    neat_packing: bool


def run(request: Request) -> int:
    """Show the rows. Raises `Refusal`."""
    subject = _subject(request)
    wanted = conversion_of(request, Problems())
    if request.reasoning in ("auto", "keep", "drop"):  # another word is refused where the rows are read
        wanted = replace(wanted, **reasoning_for(request.reasoning, subject.template if subject else None))
    if request.stats:
        return _statistics(request, wanted, subject)
    start, count = _number(request.start, "--start"), _number(request.rows, "--rows")
    page = preview(wanted, start, count)
    rendering = _render(request, page, subject) if subject else None
    show_problems(page.notes)
    if request.json:
        put_json(as_json(page, rendering) | ({"template": subject.as_json()} if subject else {}))
    else:
        _tell(page, rendering)
    return int(ExitCode.DONE)


@dataclass(frozen=True, slots=True)
class _Subject:
    """For which `model` the rows are rendered, by the Python of a training environment, and with which template."""

    model: str
    python: str | None
    guess: TemplateGuess
    template: Template | None

    def as_json(self) -> dict[str, Any]:
        """The template, why it is it ("" where it was given), and whether that leaves no doubt."""
        return {"name": self.guess.name, "why": self.guess.how, "certain": self.guess.certain}


def _subject(request: Request) -> _Subject | None:
    """What the rows are rendered for; says which template was chosen. Raises `Refusal` where there is no such model."""
    if request.model is None:
        return None
    model = Path(request.model).expanduser()
    if not model.is_dir() and (request.stats or model.exists() or not may_be_on_a_hub(request.model)):
        message = _("{path} is no model directory.").format(path=request.model)
        raise refuse("model_not_found", message, hint=_("Tokens are counted with the model's own tokenizer."))
    environment = find_environment().environment
    python = request.train_python or (environment.python if environment else None)
    factory = load_factory(python, environment.packages if environment and not request.train_python else None)
    name = str(model) if model.is_dir() else request.model
    if request.template not in (None, "auto"):
        guess = TemplateGuess(str(request.template), "", certain=True)
    else:
        config = read_json(model / "config.json")
        guess = template_for_model(name, config if isinstance(config, dict) else None, factory)
        _say_template(guess)
    return _Subject(name, python, guess, factory.templates.get(guess.name))


def _say_template(guess: TemplateGuess) -> None:
    if guess.certain:
        say(_("template {name}: {why}").format(name=guess.name, why=guess.how))
        return
    message = _("The template `{name}` is a guess: {why}.").format(name=guess.name, why=guess.how.rstrip("."))
    hint = _("Give the right one with --template if you know it.")
    show_problems([Problem("template_guessed", message, Severity.WARNING, hint=hint)])


def _statistics(request: Request, wanted: ConvertRequest, subject: _Subject | None) -> int:
    from sft_tui.plan.statistics import source_statistics, statistics_lines

    found = source_statistics(
        wanted,
        model=Path(subject.model) if subject else None,
        template=subject.guess.name if subject else None,
        python=subject.python if subject else None,
        cutoff_len=_number(request.cutoff_len, "--cutoff-len"),
    )
    if request.json:
        put_json(found.as_json())
    else:
        for line in statistics_lines(found):
            put(line)
    return int(ExitCode.DONE)


def _number(text: str, flag: str) -> int:
    if text.strip().isdigit() and int(text) > 0:
        return int(text)
    message = _("{flag} is {value}, which is no number from 1 on.").format(flag=flag, value=text)
    raise refuse("bad_number", message, hint=_("Give a whole number, such as {flag} 5.").format(flag=flag))


def _render(request: Request, page: PreviewPage, subject: _Subject) -> Rendering:
    from sft_tui.factory.dataset_info import entry_for

    if subject.python is None:
        message = _("Tokens can only be shown where LLaMA-Factory is installed, and it was not found.")
        hint = _("Name its Python with --train-python, or see: sft-tui doctor")
        raise refuse("no_environment", message, exit_code=ExitCode.PREFLIGHT, hint=hint)
    data_args: dict[str, Any] = {
        "template": subject.guess.name,
        "cutoff_len": _number(request.cutoff_len, "--cutoff-len"),
    }
    data_args |= {flag: True for flag in _FLAGS if getattr(request, flag)}
    if request.enable_thinking is not None:
        data_args["enable_thinking"] = request.enable_thinking == "true"
    samples = [row.sample for row in page.rows if row.sample is not None]
    with Renderer(subject.python) as renderer:
        entry = entry_for(page.format, page.columns, page.tags, "preview.jsonl")
        return renderer.render(samples, entry, model=subject.model, data_args=data_args)


def as_json(page: PreviewPage, rendering: Rendering | None) -> dict[str, Any]:
    """The object that `preview --json` prints."""
    rows: list[dict[str, Any]] = []
    rendered = iter(rendering.rows if rendering is not None else ())
    for row in page.rows:
        item: dict[str, Any] = {"number": row.number, "source": dict(row.source), "sample": row.sample}
        item |= {"drop": row.drop, "why": row.why, "test": row.test}
        if rendering is not None:
            item["tokens"] = next(rendered).as_json() if row.sample is not None else None
        rows.append(item)
    found: dict[str, Any] = {
        "rows": rows,
        "more": page.more,
        "format": page.format,
        "mapping": page.mapping.mapped(),
        "columns": page.columns,
        "tags": page.tags,
        "unused_columns": [{"name": c.name, "looks_like": c.looks_like} for c in page.unused],
        "notes": [note.as_json() for note in page.notes],
    }
    if rendering is not None and rendering.packed is not None:
        found["packed"] = list(rendering.packed)
    return found


def _tell(page: PreviewPage, rendering: Rendering | None) -> None:
    rendered = iter(rendering.rows if rendering is not None else ())
    for row in page.rows:
        put(_("record {number}").format(number=row.number))
        _tell_values(row.source, "  ")
        if row.sample is None:
            put(_("  left out, {reason}: {why}").format(reason=row.drop, why=row.why))
            continue
        becomes = _("  becomes a test row ({format}):") if row.test else _("  becomes ({format}):")
        put(becomes.format(format=page.format))
        _tell_values(row.sample, "    ")
        if rendering is not None:
            _tell_tokens(next(rendered))
    if not page.rows:
        put(_("No records from here on."))


def _tell_values(values: Mapping[str, Any], indent: str) -> None:
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        put(f"{indent}{name}: {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}".replace("\n", f"\n{indent}  "))


def _tell_tokens(tokens: Rendered) -> None:
    """The text of the tokens, the trained ones in double brackets: seen without colour."""
    if tokens.error is not None:
        put(_("  LLaMA-Factory cannot take it: {error}").format(error=tokens.error))
        return
    put(
        _("  {length} tokens, {trained} of them trained ([[...]]):").format(
            length=len(tokens.ids), trained=tokens.trained
        )
    )
    put("    " + marked(tokens.texts, tokens.labels).replace("\n", "\n    "))
    if tokens.truncated:
        lost = tokens.full_length - len(tokens.ids)
        put(_("  {count} tokens are cut off by --cutoff-len.").format(count=lost))


def marked(texts: Sequence[str], labels: Sequence[int]) -> str:
    """`texts` as one, with `[[` and `]]` around each stretch that carries loss."""
    parts: list[str] = []
    inside = False
    for text, label in zip(texts, labels, strict=True):
        trained = label != IGNORED
        if trained != inside:
            parts.append("[[" if trained else "]]")
            inside = trained
        parts.append(text)
    return "".join(parts) + ("]]" if inside else "")
