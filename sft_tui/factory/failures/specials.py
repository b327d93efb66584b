"""Signatures that are more than a text in a line: numbers, repetitions, silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sft_tui.factory.failures.lines import Line
from sft_tui.factory.failures.records import Facts

_STALL_S = 1800.0
_LITTLE_DISK_BYTES = 64 * 1024 * 1024
_METRIC = re.compile(r"\{.*?'loss': *'?(?P<loss>[-\w.+]+)'?")
_GRAD = re.compile(r"'grad_norm': *'?(?P<grad>[-\w.+]+)'?")
_EVAL = re.compile(r"'eval_loss': *'?(?:nan|inf|-inf)'?")
_BAD = re.compile(r"(?:nan|[-+]?inf(?:inity)?)$", re.IGNORECASE)
_ZERO = re.compile(r"[-+]?0(?:\.0*)?(?:e[-+]?\d+)?$")
_REPEAT = re.compile(r"(?P<part>.{4,200}?)(?P=part){5,}", re.DOTALL)
_LEAK = re.compile(r"<\|im_end\|>|<\|eot_id\|>|<\|im_start\|>|<\|endoftext\|>|</s>|### Instruction")
_STAMP = re.compile(r"\[(?:INFO|WARNING)\|(?:[\w.]+:\d+\] )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_BOARD = ("Running on local URL", "Visit http://ip:port for Web UI", "LLaMA Board", "llamafactory-cli webui")


class Found(NamedTuple):
    """The line that shows it, and its number (0: a fact)."""

    number: int
    text: str


def check(name: str, lines: list[Line], failed: bool, finished_at: int, facts: Facts) -> Found | None:
    """Run the check `name` of the catalogue; None where it finds nothing."""
    return _CHECKS[name](lines, failed, finished_at, facts)


def _bad_loss(lines: list[Line], failed: bool, finished_at: int, facts: Facts) -> Found | None:
    """The last loss that was logged is NaN, or zero with a gradient norm that is no number; or twice zero."""
    bad: list[Found] = []
    last_is_bad = False
    for line in lines:
        text = line.text
        if "loss'" not in text or "{" not in text:
            continue
        if _EVAL.search(text):
            bad.append(Found(line.number, text))
            last_is_bad = True
        elif (match := _METRIC.search(text)) is not None and "'train_loss'" not in text:
            grad = _GRAD.search(text)
            lost = _BAD.match(match["loss"]) is not None
            no_grad = grad is not None and (_BAD.match(grad["grad"]) or _ZERO.match(grad["grad"])) is not None
            last_is_bad = lost or (_ZERO.match(match["loss"]) is not None and (no_grad or grad is None))
            if last_is_bad:
                bad.append(Found(line.number, text))
    return bad[0] if bad and (last_is_bad or len(bad) > 2) else None


def _repeats(lines: list[Line], failed: bool, finished_at: int, facts: Facts) -> Found | None:
    """An answer of the model repeats itself or goes on past its end marker (in the output of a chat)."""
    answer: list[str] = []
    start = 0
    for line in lines:
        if line.text.startswith(("Assistant:", "assistant:", "助手:", "助手：")):
            answer, start = [line.text.partition(":")[2] or line.text], line.number
        elif start and line.text.startswith(("User:", "user:", "用户:")):
            if _endless("\n".join(answer)):
                break
            answer, start = [], 0
        elif start:
            answer.append(line.text)
    if start and _endless("\n".join(answer)):
        return Found(start, f"Assistant:{answer[0]}")
    return None


def _endless(answer: str) -> bool:
    answer = answer[:20_000]
    if len(_LEAK.findall(answer)) > 1:
        return True
    found = _REPEAT.search(answer)
    return found is not None and sum(char.isalpha() for char in found["part"]) >= 2


def _stall(lines: list[Line], failed: bool, finished_at: int, facts: Facts) -> Found | None:
    """The process lives, the log is silent and the GPU idle; or a LLaMA Board log has a long hole in it."""
    if failed:
        return None
    last = next((line for line in reversed(lines) if line.text.strip()), None)
    if last is None:
        return None
    if facts.silent_s is not None and facts.gpu_utilisation is not None:
        idle = facts.silent_s >= _STALL_S / 3 and facts.gpu_utilisation < 1
        return Found(last.number, last.text) if idle and last.number > finished_at else None
    if not any(mark in line.text for line in lines for mark in _BOARD):
        return None
    before: tuple[datetime, Line] | None = None
    for line in lines:
        if (stamp := _STAMP.match(line.text)) is None:
            continue
        at = datetime.fromisoformat(stamp[1])
        if before is not None and (at - before[0]).total_seconds() > _STALL_S:
            return Found(before[1].number, before[1].text)
        before = (at, line)
    return None


def _short_disk(lines: list[Line], failed: bool, finished_at: int, facts: Facts) -> Found | None:
    """The process failed and the disk has nothing left, whatever the log says."""
    if facts.disk_free_bytes is None or facts.disk_free_bytes > _LITTLE_DISK_BYTES:
        return None
    if not failed and facts.exit_code in (None, 0):
        return None
    return Found(0, f"{facts.disk_free_bytes} bytes free")


_CHECKS: dict[str, Callable[[list[Line], bool, int, Facts], Found | None]] = {
    "bad_loss": _bad_loss,
    "repeats": _repeats,
    "stall": _stall,
    "short_disk": _short_disk,
}
