"""Diagnoses as text for people: what happened, why, what helps."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sft_tui.factory.failures.matching import diagnose_text, last_exception
from sft_tui.factory.failures.records import Diagnosis, Facts, FixStep
from sft_tui.i18n import _

ASK = "https://github.com/hiyouga/LLaMA-Factory/issues"
"""Where others can be asked."""


def explain_text(text: str, facts: Facts | None = None) -> str:
    """All that is known of the failures in a log; for an unknown one the last exception and where to ask."""
    return "\n".join(explain_lines(diagnose_text(text, facts), last_exception(text)))


def explain_lines(diagnoses: list[Diagnosis], last: str | None) -> Iterator[str]:
    """The lines of `explain_text`."""
    for number, diagnosis in enumerate(diagnoses):
        if number == 1:
            yield ""
            yield _("Less likely, or a consequence:")
        yield from diagnosis_lines(diagnosis)
    if not diagnoses and last is None:
        yield _("No known failure, and no exception in this log.")
    elif not diagnoses:
        yield _("No known failure. The log ends in:")
        yield f"  {last}"
        yield _("Search for it or ask at {url}; `sft-tui report RUN` packs what others need to help.").format(url=ASK)


def diagnosis_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """Title, cause, the line that shows it, the fixes, the source."""
    yield f"{diagnosis.title}  [{diagnosis.id}]"
    yield f"  {diagnosis.cause}"
    if diagnosis.line:
        yield f"  > {diagnosis.line}"
    for fix in diagnosis.fixes:
        change = change_text(fix)
        yield f"  - {fix.text}" + (f"  ({change})" if change else "")
    yield f"  {diagnosis.source}"


def change_text(fix: FixStep) -> str:
    """The change in the words of a config or a shell; empty for advice."""
    if fix.kind == "set":
        return f"{fix.key}: {fix.value if isinstance(fix.value, str) else json.dumps(fix.value)}"
    if fix.kind == "unset":
        return _("delete {key}").format(key=fix.key)
    if fix.kind == "env":
        return f"unset {fix.key}" if fix.value is None else f"export {fix.key}={fix.value}"
    if fix.kind == "install":
        quoted = " ".join(f"'{word}'" if set(word) & set("<>[],") else word for word in str(fix.value).split())
        return f"pip install --upgrade {quoted}"
    return ""
