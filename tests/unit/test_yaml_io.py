"""YAML that is nested deeper than anything means: refused with a sentence, wherever it is parsed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sft_tui.answers import read_answers
from sft_tui.factory.check import CheckContext, check_yaml_file
from sft_tui.factory.options import snapshot
from sft_tui.presets import read_preset
from sft_tui.problems import Refusal
from sft_tui.yaml_io import MAX_LEVELS, parse_document, scalar

DEEP = {
    "lists": "a: " + "[" * 900 + "]" * 900,
    "mappings": "{a: " * 900 + "1" + "}" * 900,
    "blocks": "\n".join(" " * level + "a:" for level in range(900)),
    "a few too many": "a: " + "[" * MAX_LEVELS + "]" * MAX_LEVELS,
    "aliases": "a0: &a0 [1]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 900)),
    "a whole file": "[" * (1 << 20),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_what_is_too_deep_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    document = parse_document(text)
    assert [problem.code for problem in document.problems] in (["too_deep"], ["yaml_syntax"]) and not document.data
    assert "deep" in document.problems[0].message or "nesting" in document.problems[0].message
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    for read in (lambda: read_answers(path).require(), lambda: read_preset(path)):
        with pytest.raises(Refusal):
            read()
    assert check_yaml_file(path, CheckContext(snapshot(), tmp_path))


def test_what_people_write_is_not_too_deep() -> None:
    inner = MAX_LEVELS - 2
    document = parse_document("a: " + "[" * inner + "]" * inner)
    assert not document.problems and document.data


@pytest.mark.parametrize("name", ["data/dataset_info.json", "model/config.json", "data/rows.jsonl", "zero.json"])
def test_json_that_is_too_deep_ends_no_check(tmp_path: Path, name: str) -> None:
    for folder in ("data", "model"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "data" / "dataset_info.json").write_text('{"rows": {"file_name": "rows.jsonl"}}')
    (tmp_path / "data" / "rows.jsonl").write_text('{"instruction": "a", "input": "", "output": "b"}\n')
    (tmp_path / "zero.json").write_text("{}")
    (tmp_path / name).write_text('{"a":' * 5000 + "1" + "}" * 5000 + "\n")
    path = tmp_path / "train.yaml"
    path.write_text("model_name_or_path: model\ndataset: rows\ndataset_dir: data\ndeepspeed: zero.json\n")
    context = CheckContext(snapshot(), tmp_path)
    assert any(Path(name).name in str(problem) for problem in check_yaml_file(path, context))


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(_VALUES)
@example(["1e-4", "a, b: c", "", "\t", "\u2028", "2020-01-01", "yes", "C:\\x"])
def test_what_is_written_on_a_line_is_read_back(value: object) -> None:
    text = scalar(value)
    document = parse_document(f"key: {text}  # said\n")
    assert not document.problems and document.data["key"] == value and "\n" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-4, "1.0e-4"), (2.5e-5, "2.5e-5"), (0.001, "0.001"), (-3e17, "-3.0e+17"), (0.0, "0.0"), (math.inf, ".inf")],
)
def test_numbers_are_written_so_that_every_reader_takes_them_for_one(value: float, text: str) -> None:
    assert scalar(value) == text
