"""Fixes in YAML texts: the smallest change, comments and order kept."""

from __future__ import annotations

import pytest
import yaml

from sft_tui.factory.check.fix import apply_fixes, unified_diff
from sft_tui.problems import Fix

TEXT = """### model
model_name_or_path: m   # the base
template: llama         # a guess

### training
lr: 1.0e-4
report_to:
  - wandb
  - tensorboard
# what follows is about saving
save_steps: 100
"""


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    after = apply_fixes(TEXT, [Fix("set", "template", "qwen")])
    assert "template: qwen         # a guess" in after
    assert after.replace("qwen", "llama") == TEXT


def test_a_key_is_removed_with_its_line() -> None:
    after = apply_fixes(TEXT, [Fix("unset", "template")])
    assert after == TEXT.replace("template: llama         # a guess\n", "")


def test_a_block_value_is_removed_and_the_comment_below_it_stays() -> None:
    after = apply_fixes(TEXT, [Fix("unset", "report_to")])
    assert "wandb" not in after
    assert "# what follows is about saving\nsave_steps: 100" in after


def test_a_block_value_is_replaced_by_a_scalar() -> None:
    after = apply_fixes(TEXT, [Fix("set", "report_to", "none")])
    assert yaml.safe_load(after)["report_to"] == "none"
    assert "# what follows is about saving\nsave_steps: 100" in after


def test_a_key_is_renamed_in_its_place() -> None:
    after = apply_fixes(TEXT, [Fix("rename", "lr", "learning_rate")])
    assert "learning_rate: 1.0e-4" in after


def test_renaming_to_a_key_that_is_there_removes_the_old_one() -> None:
    after = apply_fixes(TEXT, [Fix("rename", "lr", "save_steps")])
    assert yaml.safe_load(after) == {k: v for k, v in yaml.safe_load(TEXT).items() if k != "lr"}


def test_a_missing_key_is_added_at_the_end() -> None:
    assert apply_fixes(TEXT, [Fix("set", "val_size", 0.1)]) == TEXT + "val_size: 0.1\n"
    assert apply_fixes("a: 1", [Fix("set", "b", True)]) == "a: 1\nb: true\n"


def test_the_first_fix_of_a_key_wins() -> None:
    after = apply_fixes(TEXT, [Fix("set", "template", "qwen"), Fix("set", "template", "llama3")])
    assert yaml.safe_load(after)["template"] == "qwen"


def test_windows_line_ends_stay() -> None:
    after = apply_fixes(TEXT.replace("\n", "\r\n"), [Fix("set", "template", "qwen"), Fix("unset", "lr")])
    assert after.count("\r\n") == after.count("\n") == TEXT.count("\n") - 1


@pytest.mark.parametrize(
    ("text", "fix", "expected"),
    [
        ("train:\n  a: 1\ndata: x\n", Fix("set", "train.b", 2), {"train": {"a": 1, "b": 2}, "data": "x"}),
        ("train: {a: 1}\ndata: x\n", Fix("set", "train.b", 2), {"train": {"a": 1, "b": 2}, "data": "x"}),
        ("train: {}\n", Fix("set", "train.b", 2), {"train": {"b": 2}}),
        ("train:\ndata: x\n", Fix("set", "train.b", 2), {"train": {"b": 2}, "data": "x"}),
        ("data: x\n", Fix("set", "train.b", 2), {"data": "x", "train": {"b": 2}}),
        ("train:\n  a: 1\n  b: 2\n", Fix("unset", "train.a"), {"train": {"b": 2}}),
        ("train: {a: 1, b: 2}\n", Fix("unset", "train.a"), {"train": {"b": 2}}),
        ("train: {a: 1, b: 2}\n", Fix("unset", "train.b"), {"train": {"a": 1}}),
        ("a:\nb: 1\n", Fix("set", "a", 3), {"a": 3, "b": 1}),
        ("a: 'x: y'  # c\n", Fix("set", "a", "no"), {"a": "no"}),
        ("a: |\n  one\n  two\nb: 1\n", Fix("set", "a", 3), {"a": 3, "b": 1}),
        ("a:   # nothing\nb: 1\n", Fix("set", "a", [1, 2]), {"a": [1, 2], "b": 1}),
        ("b: 1\n", Fix("unset", "a"), {"b": 1}),
        ("b: 1\n", Fix("rename", "a", "c"), {"b": 1}),
    ],
)
def test_sections_and_odd_values(text: str, fix: Fix, expected: object) -> None:
    assert yaml.safe_load(apply_fixes(text, [fix])) == expected


def test_the_diff_shows_only_what_changed() -> None:
    after = apply_fixes(TEXT, [Fix("set", "template", "qwen")])
    shown = unified_diff(TEXT, after, "train.yaml")
    changed = [
        line for line in shown.splitlines() if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
    ]
    assert changed == ["-template: llama         # a guess", "+template: qwen         # a guess"]
