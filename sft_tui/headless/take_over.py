"""A train YAML of LLaMA-Factory given in place of an answers file: its answers are written beside, and it is said."""

from __future__ import annotations

from pathlib import Path

from sft_tui.headless.output import say, show_problems
from sft_tui.i18n import _
from sft_tui.problems import Severity
from sft_tui.yaml_io import read_document


def answers_path(path: Path) -> Path:
    """`path` itself, or that of the answers for the config of LLaMA-Factory at `path`: in the current directory, where
    its relative paths start. Raises `Refusal`.
    """
    from sft_tui.headless.check_command import is_answers

    document = read_document(path)
    if is_answers(document) or any(p.severity is Severity.ERROR for p in document.problems):
        return path
    from sft_tui.answers import dump_answers
    from sft_tui.factory.probe import load_factory
    from sft_tui.machine.environment import find_environment
    from sft_tui.plan.take_over import answers_of_config
    from sft_tui.project.files import write_atomically

    environment = find_environment().environment
    factory = load_factory(environment.python, environment.packages) if environment else load_factory()
    answers, notes = answers_of_config(document.data, factory)
    head = [_("Taken over from {path}").format(path=path), *(note.message for note in notes)]
    text = "".join(f"# {line}\n" for line in head) + dump_answers(answers)
    written = _free(Path.cwd(), path.stem, text)
    write_atomically(written, text)
    say(_("{path} is a config of LLaMA-Factory; its answers: {answers}").format(path=path, answers=written))
    show_problems(notes)
    return written


def _free(folder: Path, stem: str, text: str) -> Path:
    """A name that is free, or that of a file with the same `text`."""
    number = 1
    while True:
        path = folder / (f"{stem}.answers.yaml" if number == 1 else f"{stem}.answers-{number}.yaml")
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") == text:
            return path
        number += 1
