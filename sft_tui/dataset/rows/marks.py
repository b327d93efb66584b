"""What data says of its own rows: an answer is bad, a row is kept for testing, a turn is not trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sft_tui.dataset.rows.names import BAD_WORDS, fold, words_of

Head = Sequence[Mapping[str, Any] | None]

YES = frozenset(
    {"true", "1", "1.0", "yes", "y", "t", "good", "desirable", "chosen", "accepted", "thumbs_up"}
    | {"是", "好", "采纳", "正确", "合格"}
)
NO = frozenset(
    {"false", "0", "0.0", "-1", "-1.0", "no", "n", "f", "bad", "undesirable", "rejected", "unaccepted", "thumbs_down"}
    | {"否", "差", "拒绝", "错误", "不合格"}
)
"""What a label says, in small letters."""
_GOOD_NAMES = (
    "label", "ktotag", "ktolabel", "desirable", "accepted", "approved", "good", "chosen", "preferred", "correct",
    "thumbsup", "liked", "upvoted", "loss", "train", "trainable", "weight", "lossweight", "是否采纳", "是否正确",
    "是否合格", "采纳", "合格",
)  # fmt: skip
"""Columns whose no means: do not train on this answer. `is` may stand before them."""
_BAD_NAMES = ("thumbsdown", "disliked", "downvoted", "undesirable", "unacceptable", "flagged", "是否拒绝")
"""Columns whose yes means it, besides those that are named after `BAD_WORDS`."""
_SPLIT_NAMES = (
    "split", "datasplit", "datasetsplit", "set", "subset", "partition", "fold", "划分", "数据划分", "数据集划分",
)  # fmt: skip
FILE_SPLIT = "file_split"
"""The column that holds the split that a file's name tells."""
TRAIN_SIDE = r"^(?:train|training|训练)(?:$|[^a-z])"
TEST_SIDE = r"^(?:test|testing|valid|validation|val|dev|development|eval|evaluation|holdout|测试|验证|评估)(?:$|[^a-z])"
"""How the words for both sides of a split begin, in small letters (also for Rust's regex library)."""
_TRAIN, _TEST = re.compile(TRAIN_SIDE), re.compile(TEST_SIDE)
WEIGHT_KEYS = ("weight", "loss", "loss_weight", "train", "training")
"""Keys of a turn that say whether it is trained on (OpenAI, ms-swift, LLaMA-Factory v1, axolotl)."""


def label_text(value: Any) -> str:
    """`value` as the words for yes and no are written here."""
    return "" if value is None else str(value).strip().casefold()


def truth(value: Any) -> bool | None:
    """Yes or no, or None where `value` says neither."""
    text = label_text(value)
    return True if text in YES else False if text in NO else None


def present(name: str, head: Head) -> list[Any]:
    """The values of the column `name` that are not missing."""
    return [value for record in head if record and (value := record.get(name)) is not None and value != ""]


def _bare(name: str) -> str:
    return fold(name).removeprefix("is")


def says_bad(name: str) -> bool:
    """Whether a yes in the column `name` means a bad answer (rather than a no)."""
    words = set(words_of(name)) - {"is", "was", "answer", "response"}
    return _bare(name) in _BAD_NAMES or (bool(words) and words <= BAD_WORDS)


def find_label(columns: Sequence[str], head: Head) -> str | None:
    """The column that says of each row whether its answer is good: it has such a name and holds nothing
    but yes and no (or nothing yet).
    """
    for name in columns:
        named = _bare(name) in _GOOD_NAMES or says_bad(name)
        if named and all(truth(value) is not None for value in present(name, head)):
            return name
    return None


def find_split(columns: Sequence[str], head: Head) -> str | None:
    """The column that says for what each row is meant: what the names of the files say, otherwise one that has such a
    name and holds nothing but words for it.
    """
    for name in sorted(columns, key=lambda name: name != FILE_SPLIT):
        if name == FILE_SPLIT or fold(name) in _SPLIT_NAMES:
            values = present(name, head)
            if (values or name == FILE_SPLIT) and all(side_of(value) is not None for value in values):
                return name
    return None


def side_of(value: Any) -> str | None:
    """`train` or `test` (which validation is, too), or None for another word."""
    text = label_text(value)
    return "train" if _TRAIN.match(text) else "test" if _TEST.match(text) else None


def is_trained(turn: Mapping[str, Any]) -> bool:
    """Whether `turn` may be trained on: no key of it says no, or a weight of 0 or less."""
    for key in WEIGHT_KEYS:
        value = turn.get(key)
        if value is None or isinstance(value, dict | list):
            continue
        if truth(value) is False or _at_most_zero(value):
            return False
    return True


def is_weighted(turn: Mapping[str, Any]) -> bool:
    """Whether `turn` asks to be trained on in part, or more than once."""
    return any(
        turn.get(key) is not None and truth(turn[key]) is None and not _at_most_zero(turn[key])
        for key in ("weight", "loss", "loss_weight")
    )


def _at_most_zero(value: Any) -> bool:
    try:
        return float(value) <= 0
    except (TypeError, ValueError):
        return False
