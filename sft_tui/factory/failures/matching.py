"""From a log's text and facts to diagnoses, the most likely cause first."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

from sft_tui.factory.failures import specials
from sft_tui.factory.failures.catalogue import Entry, FixTemplate, Signature, entries
from sft_tui.factory.failures.lines import Line, clean_lines
from sft_tui.factory.failures.records import Diagnosis, Facts, FixKind, FixStep
from sft_tui.factory.failures.samples import without_samples
from sft_tui.factory.failures.tracebacks import Failure, Raised, find_failures
from sft_tui.i18n import current_language
from sft_tui.problems import nearest

MAX_DIAGNOSES = 5
MAX_SHOWN_LINE = 500
_ROOT_BONUS = 0.03
_BARE_PENALTY = 0.15
_EMBEDDED_PENALTY = 0.2
_FOLLOWED_PENALTY = 0.1
_SHORT_LINES = 60
_DIGITS = re.compile(r"\d+")
_MAX_FAILURES = 1000
_PLACE = re.compile(r"\{([a-z_]+)\}")
_RESTART = re.compile(r"Process rank: 0\b.*distributed training: False|Initializing \d* ?distributed tasks at:")
_TRAINING_BAR = re.compile(r"(?:^|[\r\n])(?:\[rank\d+\]:)?\s*\d+%\|[^|\r\n]{0,400}\|\s*(\d+)/\d+ \[\d")
_TRAIN_END = re.compile(r"\*{5} (?:train|predict) metrics \*{5}")


@dataclass(frozen=True, slots=True)
class Log:
    """A log that was taken apart: clean lines without samples, and the chains of exceptions."""

    lines: list[Line]
    failures: list[Failure]
    finished_at: int
    restarted_at: int
    steps_done: int

    @classmethod
    def read(cls, text: str) -> Log:
        """Take `text` apart."""
        lines = without_samples(clean_lines(text))
        failures = [failure for failure in find_failures(lines) if not failure.ignored]
        finished = max((line.number for line in lines if _marks(line, "train metrics", _TRAIN_END)), default=0)
        ends = [failure.chain[-1].number for failure in failures if not failure.is_wrapper]
        restarts = (line.number for line in lines if _marks(line, "istributed tasks at", _RESTART))
        process = (line.number for line in lines if _marks(line, "Process rank: 0", _RESTART))
        restarted = max((n for n in (*restarts, *process) if ends and n > min(ends)), default=0)
        return cls(lines, failures, finished, restarted, _steps_done(text, lines, restarted))

    def is_over(self, number: int) -> bool:
        """Whether what line `number` says was overcome: the training finished, or was started again, after it."""
        return number < self.finished_at or number < self.restarted_at


def _steps_done(text: str, lines: list[Line], since: int) -> int:
    """The highest step on a bar of the training from line `since`; 2 where metrics were printed without a bar."""
    if since:
        text = "\n".join(text.split("\n")[since - 1 :])
    steps = max((int(bar[1]) for bar in _TRAINING_BAR.finditer(text)), default=0)
    if steps < 2 and any(line.number >= since and line.text.startswith("{'loss':") for line in lines):
        return 2
    return steps


def _marks(line: Line, plain: str, pattern: re.Pattern[str]) -> bool:
    return plain in line.text and pattern.search(line.text) is not None


@dataclass(slots=True)
class _Candidate:
    entry: Entry
    confidence: float
    number: int
    line: str
    place: object = None
    groups: dict[str, str] = field(default_factory=dict)


def diagnose_text(text: str, facts: Facts | None = None) -> list[Diagnosis]:
    """What is known of the failures in a log, the most likely cause first; empty where nothing is known.

    `facts` weigh signatures that mean different things (a SIGKILL with and without the OOM killer).
    """
    facts = facts or Facts()
    log = Log.read(text)
    candidates = list(_candidates(log, facts)) or list(_in_bare_messages(log, facts))
    found = _one_cause_each(sorted(candidates, key=lambda item: (-item.confidence, item.number)))
    if any(not item.entry.consequence for item in found):
        found = [item for item in found if not item.entry.consequence]
    return [_diagnosis(item) for item in found[:MAX_DIAGNOSES]]


def _one_cause_each(candidates: list[_Candidate]) -> list[_Candidate]:
    """The best of each entry, and of the entries that explain the same line or the same chain of exceptions."""
    entries_seen: set[str] = set()
    places: set[object] = set()
    best: list[_Candidate] = []
    for item in candidates:
        if item.place is not None and item.place in places:
            continue
        places.add(item.place)
        if item.entry.id not in entries_seen:
            entries_seen.add(item.entry.id)
            best.append(item)
    return best


def last_exception(text: str) -> str | None:
    """`Name: message` of the root cause of the last failure in a log; None where there is no exception.

    Failures that launchers report of their workers count only where there is no other.
    """
    failures = Log.read(text).failures
    own = [failure for failure in failures if not failure.is_wrapper] or failures
    if not own:
        return None
    last = own[-1]
    root = next((raised for raised in last.chain if not raised.is_wrapper), last.chain[0])
    return root.first_line[:MAX_SHOWN_LINE]


def _candidates(log: Log, facts: Facts) -> Iterator[_Candidate]:
    failures = [failure for failure in log.failures if not log.is_over(failure.chain[-1].number)]
    weighed = list(_distinct(failures[-_MAX_FAILURES:]))
    plain = _plain_lines(log)
    haystack = "\n".join(line.text for line in plain)
    starts: list[int] = []
    offset = 0
    for line in plain:
        starts.append(offset)
        offset += len(line.text) + 1
    for entry in entries():
        for signature in entry.signatures:
            if not _fits(signature, log, facts):
                continue
            if signature.exception is not None:
                yield from _in_exceptions(entry, signature, weighed)
            elif signature.line is not None:
                yield from _in_lines(entry, signature, log, _lines_with(signature.line, haystack, starts, plain))
            elif signature.signal is not None:
                if facts.death_signal == signature.signal:
                    yield _Candidate(entry, signature.confidence, 0, _signal_line(facts))
            elif signature.special is not None:
                found = specials.check(signature.special, log.lines, bool(failures), log.finished_at, facts)
                if found is not None:
                    yield _Candidate(entry, signature.confidence, found.number, found.text)


def _distinct(failures: list[Failure]) -> Iterator[tuple[Failure, float]]:
    """Of failures that say the same on many ranks (but for numbers) the first, each with what it loses of confidence.

    It loses some where another one followed on its stream: Python went on after the earlier one.
    """
    first: dict[tuple[str, ...], Failure] = {}
    last_of_stream: dict[str, tuple[str, ...]] = {}
    for failure in failures:
        key = tuple(_DIGITS.sub("0", raised.text[:200]) for raised in failure.chain)
        first.setdefault(key, failure)
        if not failure.is_wrapper:
            last_of_stream[failure.stream] = key
    for key, failure in first.items():
        yield failure, 0.0 if key in last_of_stream.values() else _FOLLOWED_PENALTY


def _fits(signature: Signature, log: Log, facts: Facts) -> bool:
    """Whether what is known of the OOM killer and of the steps done does not contradict the signature."""
    if signature.host_oom is True and facts.host_oom is False:
        return False
    if signature.host_oom is False and facts.host_oom is not False:
        return False
    return signature.after_steps is None or signature.after_steps == (log.steps_done > 1)


def _plain_lines(log: Log) -> list[Line]:
    """Lines in which a plain text may be searched: no frames of tracebacks."""
    return [line for line in log.lines if line.text and not line.text.startswith(("  File ", "    ", "│"))]


def _lines_with(plain: str, haystack: str, starts: list[int], lines: list[Line]) -> Iterator[Line]:
    """The lines that contain `plain`, by one search in all of them."""
    position = haystack.find(plain)
    while position >= 0:
        index = bisect_right(starts, position) - 1
        yield lines[index]
        if index + 1 >= len(starts):
            return
        position = haystack.find(plain, starts[index + 1])


def _in_lines(entry: Entry, signature: Signature, log: Log, lines: Iterable[Line]) -> Iterator[_Candidate]:
    for line in lines:
        if log.is_over(line.number) and not entry.even_if_finished:
            continue
        groups: dict[str, str] = {}
        if signature.regex is not None:
            match = signature.regex.search(line.text)
            if match is None:
                continue
            groups = _groups(match)
        yield _Candidate(entry, signature.confidence, line.number, line.text, line.number, groups)


def _in_exceptions(entry: Entry, signature: Signature, failures: list[tuple[Failure, float]]) -> Iterator[_Candidate]:
    assert signature.exception is not None
    for failure, penalty in failures:
        for depth, raised in enumerate(failure.chain):
            match = signature.exception.match(raised.text)
            if match is None and "\n" in raised.message:
                match = signature.exception.match(" ".join(raised.text.split()))  # wrapped by a terminal or a paste
            if match is None:
                continue
            confidence = _weigh(signature, raised, depth)
            if confidence is None:
                continue
            confidence -= penalty + (_EMBEDDED_PENALTY if failure.embedded else 0.0)
            yield _Candidate(entry, confidence, raised.number, raised.first_line, id(failure), _groups(match))


def _in_bare_messages(log: Log, facts: Facts) -> Iterator[_Candidate]:
    """Where somebody posted only the message of an exception: lines of a short text as if they were one."""
    if log.failures or len(log.lines) > _SHORT_LINES:
        return
    lines = [line for line in log.lines if line.text[:1].strip(" \t[{|│") and "arning" not in line.text]
    posted = [(Failure("", [Raised("Error", line.text, "", line.number)]), _EMBEDDED_PENALTY) for line in lines]
    for entry in entries():
        for signature in entry.signatures:
            if signature.exception is not None and _fits(signature, log, facts):
                for item in _in_exceptions(entry, signature, posted):
                    yield replace(item, line=item.line.removeprefix("Error: "))


def _weigh(signature: Signature, raised: Raised, depth: int) -> float | None:
    confidence = signature.confidence + (_ROOT_BONUS if depth == 0 else 0.0)
    if signature.frames is None:
        return confidence
    if not raised.frames:
        return None if signature.frames_only else confidence - _BARE_PENALTY
    return confidence if signature.frames.search(raised.frames) else None


def _groups(match: re.Match[str]) -> dict[str, str]:
    groups = {name: value.strip() for name, value in match.groupdict().items() if value is not None}
    if "template" in groups:
        groups["template_nearest"] = _nearest_template(groups["template"])
    return groups


def _nearest_template(name: str) -> str:
    """The template of the tested version that a wrong name most likely means."""
    from sft_tui.factory.options import snapshot

    usual = {"llama": "llama3", "chatglm": "chatglm3", "glm": "glm4", "chatml": "chatml", "qwen2.5": "qwen"}
    known = snapshot().templates
    for guess in (usual.get(name.lower()), *nearest(name, known)):
        if guess is not None and guess in known:
            return guess
    return "default"


def _signal_line(facts: Facts) -> str:
    return f"signal {facts.death_signal}"


def _diagnosis(item: _Candidate) -> Diagnosis:
    chinese = current_language() == "zh_CN"
    entry, groups = item.entry, item.groups
    return Diagnosis(
        id=entry.id,
        title=_fill(entry.title_zh if chinese else entry.title, groups),
        cause=_fill(entry.cause_zh if chinese else entry.cause, groups),
        line=item.line.strip()[:MAX_SHOWN_LINE],
        fixes=tuple(step for fix in entry.fixes for step in _steps(fix, groups, chinese)),
        source=entry.source,
        confidence=max(0.05, min(1.0, item.confidence)),
    )


def _steps(fix: FixTemplate, groups: dict[str, str], chinese: bool) -> Iterator[FixStep]:
    kind = cast(FixKind, fix.kind)
    words = re.findall(r"'(?:--)?([^']+)'", groups.get("keys", "")) or [groups.get("keys", "")]
    for word in words if fix.key == "{keys}" else [""]:
        filled = {**groups, "keys": word} if word else groups
        value = _fill(fix.value, filled) if isinstance(fix.value, str) else fix.value
        key = None if fix.key is None else _fill(fix.key, filled)
        yield FixStep(kind, key, value, _fill(fix.text_zh if chinese else fix.text, filled))


def _fill(text: Any, groups: dict[str, str]) -> str:
    """`text` with `{name}` replaced by the signature's group of that name; without a group by `?`."""
    return _PLACE.sub(lambda place: groups.get(place[1], "?"), str(text))
