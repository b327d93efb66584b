"""Preference pairs in any usual spelling: recognised, and refused with the way to train on the better answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sft_tui.dataset.rows.foreign import is_talk
from sft_tui.dataset.rows.marks import Head
from sft_tui.dataset.rows.names import KNOWN, fold, found
from sft_tui.dataset.rows.roles import ASSISTANT, ROLE_KEYS, ROLES
from sft_tui.i18n import _
from sft_tui.problems import Refusal, refuse

_PAIRS = (
    ("chosen", "rejected"), ("chosen", "reject"), ("accepted", "rejected"), ("preferred", "rejected"),
    ("preferred", "nonpreferred"), ("preferred", "dispreferred"), ("better", "worse"), ("best", "worst"),
    ("winner", "loser"), ("win", "lose"), ("good", "bad"), ("positive", "negative"), ("correct", "incorrect"),
    ("yw", "yl"), ("采纳", "拒绝"), ("选中", "拒绝"), ("较好", "较差"), ("更好", "更差"), ("正样本", "负样本"),
)  # fmt: skip
_ANSWERS = "answers?|responses?|completions?|outputs?|reply|replies|conversations?|messages?|texts?|回答|答案|回复"
_NUMBERED = re.compile(rf"({_ANSWERS})([ab]|[jk]|[0-9])")
_COUNTERPARTS = {"a": "b", "j": "k", "0": "1", "1": "2"}
_VERDICTS = re.compile(
    r"winner|preference|preferred|betterresponseid|better|choice|chosen.*|label|labels|score.*|rating.*|vote|rank.*|优胜|偏好"
)
_BY_CUSTOM = {("responsej", "responsek")}
"""Pairs whose first is the better one without a column that says so."""


def refuse_preferences(columns: Sequence[str], head: Head, is_turns: Callable[[Any], bool]) -> None:
    """Refuse `columns` that hold a better and a worse answer: which one is meant must be said."""
    folded = {fold(name): name for name in columns}
    for better, worse in _PAIRS:
        for name, own in folded.items():
            other = name.replace(better, worse)
            if better in name and other in folded and _hold_answers((own, folded[other]), head):
                raise _refusal(columns, own, head, is_turns)
    _refuse_numbered(columns, folded)


def _hold_answers(pair: Sequence[str], head: Head) -> bool:
    """Whether the columns of `pair` hold texts or turns rather than scores and flags."""
    values = [value for record in head if record for name in pair if (value := record.get(name)) not in (None, "")]
    return not values or any(
        not isinstance(value, bool | int | float) and not str(value).replace(".", "", 1).lstrip("-").isdigit()
        for value in values
    )


def _refuse_numbered(columns: Sequence[str], folded: dict[str, str]) -> None:
    """Refuse `response_a` beside `response_b` and a verdict between them."""
    for name in folded:
        match = _NUMBERED.fullmatch(name)
        other = f"{match[1]}{_COUNTERPARTS.get(match[2], '')}" if match else ""
        if match and other != match[1] and other in folded:
            verdict = next((column for key, column in folded.items() if _VERDICTS.fullmatch(key)), None)
            if verdict is not None or (name, other) in _BY_CUSTOM:
                hint = _("To train on the better answers, write them into a column of their own and convert that.")
                raise _refused(columns, hint)


def _refusal(columns: Sequence[str], better: str, head: Head, is_turns: Callable[[Any], bool]) -> Refusal:
    """The refusal with the options that train on the column `better`, as its values are."""
    value = next((value for record in head if record and (value := record.get(better))), None)
    talks = [name for name in columns if any(record and is_turns(record.get(name)) for record in head)]
    talks = [name for name in talks if name in found(talks, (*KNOWN["messages"], *KNOWN["input"]))]
    if is_turns(value) and not talks:
        options = f"--messages-column {better}"
    elif talks and _is_answered(talks[0], head):
        options = f"--messages-column {talks[0]}"
    elif is_talk(value):
        return _refused(columns, _("Each is a whole conversation in one text: write its turns into a list first."))
    elif talks:
        options = f"--messages-column {talks[0]} --output-column {better}"
    else:
        prompt = next(iter(found(columns, (*KNOWN["input"], *KNOWN["instruction"]))), "...")
        options = f"--input-column {prompt} --output-column {better}"
    return _refused(columns, _("To train on the preferred answers alone: {options}").format(options=options))


def _is_answered(name: str, head: Head) -> bool:
    """Whether the conversations of the column `name` end with an answer."""
    turns = next((value for record in head if record and isinstance(value := record.get(name), list) and value), [])
    last = turns[-1] if turns and isinstance(turns[-1], dict) else {}
    return any(ROLES.get(str(last.get(key)).strip().lower()) == ASSISTANT for key in ROLE_KEYS)


def _refused(columns: Sequence[str], hint: str) -> Refusal:
    message = _("These are preference pairs (columns: {columns}); supervised fine-tuning trains on one answer.")
    text = message.format(columns=", ".join(columns[:40]))
    return refuse("preference_pairs", text, key="data.columns.output", hint=hint)
