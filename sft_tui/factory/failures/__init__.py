"""Why a stage failed: the catalogue of LLaMA-Factory's failures and the reader of its logs.

`diagnose_file` and `diagnose_text` name the known causes with their fixes, the most likely first; an unknown failure
gives an empty list (never a guess) and `last_exception` then says what the log ends in.
"""

from __future__ import annotations

from pathlib import Path

from sft_tui.factory.failures.facts import gather_facts
from sft_tui.factory.failures.matching import diagnose_text, last_exception
from sft_tui.factory.failures.reading import read_log, read_stream
from sft_tui.factory.failures.records import Diagnosis, Facts, FixStep
from sft_tui.problems import Refusal

__all__ = [
    "Diagnosis",
    "Facts",
    "FixStep",
    "diagnose_file",
    "diagnose_text",
    "gather_facts",
    "last_exception",
    "read_log",
    "read_stream",
]


def diagnose_file(path: Path, facts: Facts | None = None) -> list[Diagnosis]:
    """Diagnose the log at `path`; of a huge one only its head and tail are read (bounded memory).

    Raises:
        Refusal: there is no such file, it may not be read, or it is empty or binary. (A process that was killed
            before it wrote anything is diagnosed by its signal alone.)
    """
    try:
        text = read_log(path)
    except Refusal as refusal:
        if facts is None or facts.death_signal is None or refusal.problems[0].code not in ("empty_log", "no_log"):
            raise
        text = ""  # killed before it wrote anything: the signal alone may tell why
    return diagnose_text(text, facts)
