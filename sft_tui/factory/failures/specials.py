"""Signatures that are more than a text in a line: numbers, repetitions, silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sft_tui.factory.failures.lines import Line
from sft_tui.factory.failures.records import Facts

_STALL_S = 1800.0
_STALL_FACTOR = 10.0
_LITTLE_DISK_BYTES = 64 * 1024 * 1024
_LONG_WITHOUT_NORM = 3
_METRIC = re.compile(r"(?:\{.*?|^)'loss': *'?(?P<loss>[-\w.+]+)'?")
_GRAD = re.compile(r"'grad_norm': *'?(?P<grad>[-\w.+]+)'?")
_EVAL = re.compile(r"'eval_loss': *'?(?:nan|inf|-inf)'?")
_BAD = re.compile(r"(?:nan|[-+]?inf(?:inity)?)$", re.IGNORECASE)
_ZERO = re.compile(r"[-+]?0(?:\.0*)?(?:e[-+]?\d+)?$")
_REPEAT = re.compile(r"(?P<part>.{4,200}?)(?P=part){5,}", re.DOTALL)
_LEAK = re.compile(r"<\|im_end\|>|<\|eot_id\|>|<\|im_start\|>|<\|endoftext\|>|</s>|### Instruction")
_ANSWER = ("Assistant:", "assistant:", "Assistant：", "助手:", "助手：")
_QUESTION = ("User:", "user:", "User：", "用户:", "用户：")
_PREDICTED = re.compile(r'"predict": "((?:[^"\\]|\\.)*)"')
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
    """The last loss that was logged is NaN, or zero with a gradient norm that is no number; or several were.

    A gradient norm that is no number is usual at the first steps in fp16, but not for long.
    """
    bad: list[Found] = []
    last_is_bad = False
    without_norm = 0
    for line in lines:
        text = line.text
        if "loss'" not in text or ("}" not in text and not text.startswith("'loss'")):
            continue
        if _EVAL.search(text):
            bad.append(Found(line.number, text))
            last_is_bad = True
        elif (match := _METRIC.search(text)) is not None and "'train_loss'" not in text:
            grad = _GRAD.search(text)
            no_number = grad is not None and _BAD.match(grad["grad"]) is not None
            without_norm = without_norm + 1 if no_number else 0
            no_grad = grad is None or no_number or _ZERO.match(grad["grad"]) is not None
            last_is_bad = _BAD.match(match["loss"]) is not None or (
                no_grad and (_ZERO.match(match["loss"]) is not None or without_norm > _LONG_WITHOUT_NORM)
            )
            if last_is_bad:
                bad.append(Found(line.number, text))
    return bad[0] if bad and (last_is_bad or len(bad) > 2) else None


def _repeats(lines: list[Line], failed: bool, finished_at: int, facts: Facts) -> Found | None:
    """An answer of the model repeats itself or goes on past its end marker, in a chat or in written predictions."""
    answer: list[str] = []
    start = 0
    for line in lines:
        text = line.text
        if text.startswith(_ANSWER):
            if start and _endless("\n".join(answer)):
                break
            answer, start = [text.replace("：", ":").partition(":")[2]], line.number
        elif start and text.startswith(_QUESTION):
            if _endless("\n".join(answer)):
                break
            answer, start = [], 0
        elif start:
            answer.append(text)
        elif text.startswith('{"prompt"') and (predicted := _PREDICTED.search(text)) and _endless(predicted[1]):
            return Found(line.number, text)
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
    """The process lives, the log is silent and the GPU idle; or a LLaMA Board log has a long hole in its training."""
    last = next((line for line in reversed(lines) if line.text.strip()), None)
    if failed or last is None or last.number <= finished_at:
        return None
    if facts.silent_s is not None and facts.gpu_utilisation is not None:
        idle = facts.silent_s >= _STALL_S / 3 and facts.gpu_utilisation < 1
        return Found(last.number, last.text) if idle else None
    board = any(mark in line.text for line in lines for mark in _BOARD)
    if not board and not any(">> {'loss':" in line.text for line in lines):
        return None
    return _hole(lines, board)


def _hole(lines: list[Line], board: bool) -> Found | None:
    """The last line before half an hour of silence within a training; with `board` also the silence until now."""
    training = False
    gaps: list[float] = []
    before: tuple[datetime, Line] | None = None
    for line in lines:
        if "Running training *****" in line.text:
            training, before = True, None
        elif "train metrics *****" in line.text or "Training completed" in line.text:
            training = False
        if not training or (stamp := _STAMP.match(line.text)) is None:
            continue
        at = datetime.fromisoformat(stamp[1])
        if before is not None:
            gap = (at - before[0]).total_seconds()
            if gap > max(_STALL_S, _STALL_FACTOR * max(gaps, default=0.0)):
                return Found(before[1].number, before[1].text)
            gaps.append(gap)
        before = (at, line)
    if board and training and before is not None:
        silent = (datetime.now() - before[0]).total_seconds()
        if silent > max(2 * _STALL_S, _STALL_FACTOR * max(gaps, default=0.0)):
            return Found(before[1].number, before[1].text)
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
