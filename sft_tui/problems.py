"""What can be wrong, said so that a newcomer can act on it: the key or file, the reason, the next step."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    USAGE = 2
    PREFLIGHT = 3
    TRAIN = 4
    EXPORT = 5
    VERIFY = 6
    INTERRUPTED = 130


class Severity(StrEnum):
    """How bad a problem is. Only an error keeps a run from starting."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Fix:
    """A single change that solves a problem: `set` or `unset` of an option.

    `key` is a dotted path in the document that was checked (`train.template`, or `template` in a plain YAML).
    """

    kind: str
    key: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `code` is stable and for programs (`unknown_key`), `message` says what is wrong and `hint` what to do next, both in
    the user's language. `key` is the dotted path in the document, `path` the file it is about, `line` counts from 1.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    path: str | None = None
    key: str | None = None
    hint: str | None = None
    line: int | None = None
    fix: Fix | None = None

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        out: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity.value,
            "path": self.path,
            "key": self.key,
            "message": self.message,
            "hint": self.hint,
        }
        if self.line is not None:
            out["line"] = self.line
        if self.fix is not None:
            out["fix"] = {"kind": self.fix.kind, "key": self.fix.key, "value": self.fix.value}
        return out

    def __str__(self) -> str:
        """`key: message (path:line)`, then the hint on a line of its own."""
        where = f"{self.path}:{self.line}" if self.path and self.line else self.path or ""
        if where and where in self.message:
            where = ""
        head = f"{self.key}: {self.message}" if self.key else self.message
        text = f"{head} ({where})" if where else head
        return f"{text}\n  -> {self.hint}" if self.hint else text


@dataclass(slots=True)
class Problems:
    """A collector: everything that is wrong is found before anything is reported."""

    items: list[Problem] = field(default_factory=list)
    path: str | None = None

    def error(self, code: str, message: str, *, key: str | None = None, hint: str | None = None, **more: Any) -> None:
        """Add an error; `more` are further fields of `Problem`."""
        self.add(Problem(code, message, Severity.ERROR, key=key, hint=hint, **more))

    def warning(self, code: str, message: str, *, key: str | None = None, hint: str | None = None, **more: Any) -> None:
        """Add a warning; `more` are further fields of `Problem`."""
        self.add(Problem(code, message, Severity.WARNING, key=key, hint=hint, **more))

    def info(self, code: str, message: str, *, key: str | None = None, hint: str | None = None, **more: Any) -> None:
        """Add a remark; `more` are further fields of `Problem`."""
        self.add(Problem(code, message, Severity.INFO, key=key, hint=hint, **more))

    def add(self, problem: Problem) -> None:
        """Add `problem`, with the collector's path where it names none."""
        if problem.path is None and self.path is not None:
            problem = replace(problem, path=self.path)
        self.items.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add each of `problems`."""
        for problem in problems:
            self.add(problem)

    @property
    def errors(self) -> list[Problem]:
        """The problems that keep a run from starting."""
        return [p for p in self.items if p.severity is Severity.ERROR]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def raise_if_any(self, exit_code: ExitCode = ExitCode.USAGE) -> None:
        """Raise `Refusal` with all problems if one of them is an error."""
        if not self.ok:
            raise Refusal(self.items, exit_code)


class Refusal(Exception):
    """The work cannot be done as asked. Carries every problem found and the exit code that the command ends with."""

    def __init__(self, problems: Iterable[Problem], exit_code: ExitCode = ExitCode.USAGE) -> None:
        self.problems = tuple(problems)
        self.exit_code = exit_code
        super().__init__("\n".join(str(p) for p in self.problems))


def refuse(
    code: str, message: str, *, exit_code: ExitCode = ExitCode.USAGE, hint: str | None = None, **more: Any
) -> Refusal:
    """A `Refusal` with one error, to be raised by the caller."""
    return Refusal([Problem(code, message, hint=hint, **more)], exit_code)


def locked_problem(error: PermissionError) -> Problem:
    """What is wrong where a file or directory may not be read or written."""
    from sft_tui.i18n import _

    message = _("{path}: {reason}.").format(path=error.filename or "?", reason=error.strerror or error)
    hint = _("Ask its owner for the right to use it, or name another place.")
    return Problem("no_permission", message, hint=hint)


@contextlib.contextmanager
def refusing_locked() -> Iterator[None]:
    """Turn a `PermissionError` into a `Refusal` with exit 3."""
    try:
        yield
    except PermissionError as error:
        raise Refusal([locked_problem(error)], ExitCode.PREFLIGHT) from error


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The names in `known` that look most like `word`, the nearest first; empty where none does."""
    names = list(known)
    folded = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(word.lower(), list(folded), n=count, cutoff=0.6)
    return [folded[name] for name in close]


ENVIRONMENT_CODES = frozenset(
    {
        "no_environment",
        "project_not_writable",
        "disk_space",
        "no_such_gpu",
        "gpu_memory",
        "source_unreadable",
        "source_empty",
        "broken_environment",
        "model_offline",
        "hub_unreachable",
        "no_permission",
    }
)
"""Codes of problems with the machine or the data rather than with the answers: exit 3."""


def exit_code_for(problems: Iterable[Problem]) -> ExitCode:
    """What a command refused for `problems` ends with: 2 for the answers, 3 for machine or data, 0 for none."""
    errors = [p for p in problems if p.severity is Severity.ERROR]
    if not errors:
        return ExitCode.DONE
    return ExitCode.PREFLIGHT if all(p.code in ENVIRONMENT_CODES for p in errors) else ExitCode.USAGE
