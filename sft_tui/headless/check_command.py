"""`sft-tui check FILE`: what is wrong with an answers file or a plain LLaMA-Factory YAML, before it costs."""

from __future__ import annotations

import argparse
import codecs
from dataclasses import dataclass, replace
from pathlib import Path

from sft_tui.headless.arguments import add_json
from sft_tui.headless.output import put, put_json, say, show_problems
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problem, Refusal, Severity, locked_problem
from sft_tui.yaml_io import Document, read_document

_SECTIONS = {"model", "data", "run", "hardware", "train", "export", "on_failure", "preset", "version"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `check`."""
    parser.add_argument(
        "file", type=Path, metavar="ANSWERS|YAML", help=_("an answers file, or a train or merge config")
    )
    parser.add_argument("--fix", action="store_true", help=_("write the fixes that are a single change, and show them"))
    parser.add_argument(
        "--verdict", action="store_true", help=_("also ask the installed LLaMA-Factory's own parser (10 s, no model)")
    )
    add_json(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """Which file to check, and how far."""

    file: Path
    fix: bool
    verdict: bool
    json: bool


def run(request: Request) -> int:
    """Check the file; exit 0 if there is no error, otherwise 2 (or 3 where only machine or data are wrong)."""
    path = request.file
    problems = check_file(path)
    if request.fix:
        from sft_tui.factory.check.fix import apply_fixes, unified_diff

        fixes = [p.fix for p in problems if p.fix is not None]
        if fixes:
            raw = path.read_bytes()
            before = raw.decode("utf-8-sig")
            after = apply_fixes(before, fixes)
            put_diff = say if request.json else put
            put_diff(unified_diff(before, after, str(path)))
            from sft_tui.project.files import write_atomically

            mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
            fixed = mark + after.encode("utf-8")
            if fixed != raw:
                say(_("The file as it was: {path}").format(path=_keep(path)))
                write_atomically(path, fixed)
            problems = check_file(path)
    if request.verdict and all(p.severity is not Severity.ERROR for p in problems):
        problems += ask_factory(path)
    return report(problems, as_json=request.json)


def _keep(path: Path) -> Path:
    """A copy of the file at `path` beside it, with its mode and under a name that was free."""
    import itertools
    import shutil

    names = (path.with_name(f"{path.name}.before{number or ''}") for number in itertools.count())
    kept = next(name for name in names if not name.exists() and not name.is_symlink())
    shutil.copy2(path, kept)
    return kept


def ask_factory(path: Path) -> list[Problem]:
    """What the installed LLaMA-Factory's parser says of the file at `path`. Raises `Refusal` where there is none."""
    from sft_tui.plan.context import gather
    from sft_tui.plan.preflight import verdict_of_plan

    if is_answers(read_document(path)):
        from sft_tui.answers import read_answers
        from sft_tui.plan.make import make_plan

        answers = read_answers(path).require()
        situation = gather(answers, path, light=True)
        return verdict_of_plan(situation, make_plan(answers, situation))
    from sft_tui.factory.check import FileKind, kind_of
    from sft_tui.factory.probe import load_factory
    from sft_tui.factory.verdict import run_verdict
    from sft_tui.machine.environment import find_environment
    from sft_tui.problems import refuse

    environment = find_environment().environment
    if environment is None:
        raise refuse("no_environment", _("LLaMA-Factory was not found."), exit_code=ExitCode.PREFLIGHT)
    mode = "merge" if kind_of(read_document(path).data) is FileKind.MERGE else "train"
    options = frozenset(load_factory(environment.python, environment.packages).options)
    return run_verdict(environment.python, path, Path.cwd(), mode=mode, options=options)


def report(problems: list[Problem], *, as_json: bool) -> int:
    """Print what was found; the exit code that goes with it."""
    from sft_tui.problems import exit_code_for

    ok = all(p.severity is not Severity.ERROR for p in problems)
    if as_json:
        put_json({"ok": ok, "problems": [p.as_json() for p in problems]})
    else:
        show_problems(problems)
        say(
            _("No errors.")
            if ok
            else _("{count} errors.").format(count=sum(p.severity is Severity.ERROR for p in problems))
        )
    return int(ExitCode.DONE if ok else exit_code_for(problems))


def check_file(path: Path) -> list[Problem]:
    """All problems of the file at `path`, an answers file or a plain YAML of LLaMA-Factory."""
    document = read_document(path)
    if any(p.severity is Severity.ERROR for p in document.problems):
        return document.problems
    from sft_tui.factory.check import other_kind

    foreign = other_kind(document.data)
    if foreign is not None:
        return [replace(foreign, path=str(path))]
    try:
        return check_answers_file(path) if is_answers(document) else _check_plain(path)
    except PermissionError as error:
        return [*document.problems, locked_problem(error)]


def is_answers(document: Document) -> bool:
    """Whether a document is an answers file rather than a config of LLaMA-Factory."""
    plain = "model_name_or_path" in document.data or "adapter_name_or_path" in document.data
    return not plain and bool(_SECTIONS & set(document.data) or not document.data)


def _check_plain(path: Path) -> list[Problem]:
    from sft_tui.factory.check import CheckContext, check_yaml_file
    from sft_tui.factory.probe import load_factory
    from sft_tui.machine.environment import find_environment
    from sft_tui.machine.gpus import read_gpus
    from sft_tui.machine.system import read_system

    environment = find_environment().environment
    system = read_system(Path.cwd())
    context = CheckContext(
        factory=load_factory(environment.python, environment.packages) if environment else load_factory(),
        base_dir=Path.cwd(),
        gpus=read_gpus().gpus,
        cpus=system.cpus,
        cpu_bf16=system.cpu_bf16,
    )
    return check_yaml_file(path, context)


def check_answers_file(path: Path) -> list[Problem]:
    """All problems of an answers file: its own, those of the plan, those that the preflight finds."""
    from sft_tui.answers import read_answers
    from sft_tui.plan.context import gather
    from sft_tui.plan.make import make_plan
    from sft_tui.plan.preflight import preflight

    file = read_answers(path)
    if file.answers is None:
        return file.problems
    try:
        situation = gather(file.answers, path, light=True)
        plan = make_plan(file.answers, situation)
    except Refusal as refusal:
        return [*file.problems, *_with_lines(refusal.problems, file.lines, path)]
    found = [*plan.warnings, *preflight(file.answers, situation, plan, light=True)]
    return [*file.problems, *_with_lines(found, file.lines, path)]


def _with_lines(problems: list[Problem] | tuple[Problem, ...], lines: dict[str, int], path: Path) -> list[Problem]:
    return [
        replace(
            p,
            path=p.path or str(path),
            line=p.line or (lines.get(p.key or "") if p.path in (None, str(path)) else None),
        )
        for p in problems
    ]
