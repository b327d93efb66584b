"""Leaves out the training sample that LLaMA-Factory prints: its text is the user's data, whatever it says.

    training example:
    input_ids:
    [151644, 8948, ...]
    inputs:
    <|im_start|>system ...
    label_ids:
    [-100, -100, ...]
    labels:
    ...

Nothing marks the end of `labels:`, but its text is a part of `inputs:`. Pairwise and KTO data have the same blocks
with prefixes, pre-training only `input_ids:` and `inputs:`.
"""

from __future__ import annotations

import re

from sft_tui.factory.failures.lines import Line, without_data

_PREFIX = r"(?:chosen_|rejected_|kl_|prompt_)?"
_TITLE = re.compile(r"(?:training|eval|evaluation|prediction|unsupervised|\w+) example:$")
_IDS = re.compile(rf"{_PREFIX}(?:input_ids|label_ids):(?: ?\[.*)?$")
_INPUTS = re.compile(rf"{_PREFIX}inputs:(?: .*)?$")
_LABELS = re.compile(rf"{_PREFIX}labels:(?: .*)?$")
_LOG = re.compile(r"\[(?:INFO|WARNING|ERROR|DEBUG|CRITICAL)\b|\[[EWI]\d{3,4} |\*{5} \w")
_ASKED = re.compile(r"verify: (?:asked|before|after): ")
REDACTED = "<a training sample stood here>"
_MAX_TEXT_LINES = 20_000
_MAX_SAMPLES = 100
_MAX_LABEL_LINES = 4_000


def without_samples(lines: list[Line]) -> list[Line]:
    """`lines` without the blocks of printed samples, in any of the streams."""
    kept: list[Line] = []
    index, count, samples = 0, len(lines), 0
    inputs: list[str] = []
    while index < count:
        if samples > _MAX_SAMPLES:
            kept += lines[index:]
            break
        text = lines[index].text
        if not text.endswith(":") and not _block_start(text):
            kept.append(lines[index])
            index += 1
        elif _TITLE.match(text) and index + 1 < count and _IDS.match(lines[index + 1].text):
            index += 1
        elif _IDS.match(text) and _ids_follow(lines, index):
            index += 1 if "[" in text else 2
        elif _INPUTS.match(text) and index > 0 and _after_ids(lines, index):
            samples += 1
            end = _end_of_inputs(lines, index + 1)
            inputs = [text.partition("inputs:")[2].strip(), *(line.text for line in lines[index + 1 : end])]
            index = end
        elif _LABELS.match(text) and inputs and _after_ids(lines, index):
            index += 1 + _labels_length([line.text for line in lines[index + 1 : index + 1 + len(inputs) + 64]], inputs)
        else:
            kept.append(lines[index])
            index += 1
    return kept


def redact_samples(text: str) -> str:
    """`text` with each printed sample replaced by a line that says so, and records in warnings cut off.

    The questions and answers that a verification prints are samples too.
    """
    raw = text.split("\n")
    kept = {line.number for line in without_samples([Line(n, "", t.rstrip("\r")) for n, t in enumerate(raw, 1)])}
    out: list[str] = []
    for number, line in enumerate(raw, 1):
        if number in kept and not _ASKED.match(line):
            out.append(without_data(line))
        elif not out or out[-1] != REDACTED:
            out.append(REDACTED)
    return "\n".join(out)


def _block_start(text: str) -> bool:
    return text.startswith(("input_ids:", "label_ids:", "inputs:", "labels:", "chosen_", "rejected_", "kl_"))


def _ids_follow(lines: list[Line], index: int) -> bool:
    if "[" in lines[index].text:
        return True
    return index + 1 < len(lines) and lines[index + 1].text.startswith("[")


def _after_ids(lines: list[Line], index: int) -> bool:
    """Whether the line before is a list of token ids, as it is before each text of a sample."""
    before = lines[index - 1].text
    return before.startswith("[") or bool(_IDS.match(before) and "[" in before)


def _end_of_inputs(lines: list[Line], start: int) -> int:
    """Index of the first line after an `inputs:` text: its `label_ids:`, or the next line of a logger.

    There are as many label ids as there are input ids; the text itself may hold something that looks like a block.
    """
    stop = min(len(lines), start + _MAX_TEXT_LINES)
    count = lines[start - 2].text.count(",")
    others: list[int] = []
    last_traceback = logged = None
    for index in range(start, stop):
        text = lines[index].text
        if _IDS.match(text) and _ids_follow(lines, index):
            if _count_of(lines, index) == count:
                return index
            others.append(index)
        elif logged is None and _LOG.match(text):
            logged = index
        elif logged is None and text.startswith("Traceback (most recent call last)") and _is_ours(lines, index):
            last_traceback = index
    if len(others) == 1:  # somebody shortened the lists of ids
        return others[0]
    return next((index for index in (logged, last_traceback) if index is not None), stop)


def _is_ours(lines: list[Line], index: int) -> bool:
    """Whether a traceback goes through LLaMA-Factory, so that it is hardly a part of the user's text."""
    return any("llamafactory" in line.text for line in lines[index + 1 : index + 8])


def _count_of(lines: list[Line], index: int) -> int:
    """How many commas the list of ids has that begins at `index`."""
    text = lines[index].text
    return (text if "[" in text else lines[index + 1].text).count(",")


def _labels_length(following: list[str], inputs: list[str]) -> int:
    """How many of the lines after `labels:` belong to it: the longest end of `inputs` that they repeat.

    Where several turns were joined (or the prompt is trained on too) it is as many lines as are parts of `inputs`.
    """
    best = 0
    for length in range(1, min(len(following), len(inputs), _MAX_LABEL_LINES) + 1):
        if following[length - 1] != inputs[-1] and length > 1:
            continue
        tail = inputs[-length:]
        if tail[1:] == following[1:length] and tail[0].endswith(following[0]) and (following[0] or length > 1):
            best = length
    if best:
        return best
    whole = "\n".join(inputs)
    for length, text in enumerate(following):
        if not _made_of(text, whole):
            return length
    return len(following)


def _made_of(text: str, whole: str, pieces: int = 6) -> bool:
    """Whether `text` is at most `pieces` parts of `whole`, one after the other."""
    if _LOG.match(text):
        return False
    while text:
        if pieces == 0:
            return False
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if text[:middle] in whole:
                low = middle
            else:
                high = middle - 1
        if low == 0:
            return False
        text, pieces = text[low:], pieces - 1
    return True
