"""The answers document: what is accepted, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft_tui.answers import Answers, AnswersFile, dump_answers, json_schema, parse_answers, read_answers
from sft_tui.problems import Problem, Refusal

BOMB = b"a0: &a0 [1, 2]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)
)
MINIMAL = "model: {path: m}\ndata: {source: a.csv}\n"


def _parse(text: str) -> AnswersFile:
    return parse_answers(text, Path("answers.yaml"))


def _problem(text: str, key: str) -> Problem:
    found = [p for p in _parse(text).problems if p.key == key]
    assert len(found) == 1, [str(p) for p in _parse(text).problems]
    return found[0]


def test_the_least_that_is_needed() -> None:
    answers = _parse(MINIMAL).require()
    assert answers.preset == "auto"
    assert answers.export.enabled
    assert answers.data.test_size == 0


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", "0.0001", "1E-4"])
def test_numbers_in_every_spelling(written: str) -> None:
    answers = _parse(MINIMAL + f"train: {{learning_rate: {written}}}").require()
    assert answers.train["learning_rate"] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("modle: {path: m}\ndata: {source: a}\nmodel: {path: m}", "modle", "model"),
        ("model: {path: m, templat: qwen}\ndata: {source: a}", "model.templat", "template"),
        ("model: {path: m}\ndata: {source: a, columns: {inptu: q}}", "data.columns.inptu", "input"),
        ("model: {path: m}\ndata: {source: a, maxsamples: 3}", "data.maxsamples", "max_samples"),
    ],
)
def test_an_unknown_key_is_told_the_nearest(text: str, key: str, nearest: str) -> None:
    problem = _problem(text, key)
    assert problem.code == "unknown_key"
    assert problem.hint is not None
    assert f"`{nearest}`" in problem.hint


def test_an_option_at_the_top_belongs_under_train() -> None:
    problem = _problem(MINIMAL + "per_device_train_batch_size: 2", "per_device_train_batch_size")
    assert problem.hint is not None
    assert "`train:`" in problem.hint


@pytest.mark.parametrize(
    ("section", "key", "value_shown"),
    [
        ("run: {name: Apples Run}", "run.name", "Apples Run"),
        ("hardware: {gpus: some}", "hardware.gpus", "some"),
        ("hardware: {gpus: [-1]}", "hardware.gpus", "[-1]"),
        ("export: {size_gb: 0}", "export.size_gb", "0"),
        ("export: {device: cuda:0}", "export.device", "cuda:0"),
        ("export: {enabled: 'maybe'}", "export.enabled", "maybe"),
        ("on_failure: {oom: never}", "on_failure.oom", "never"),
        ("train: [1, 2]", "train", "[1, 2]"),
        ("version: zero", "version", "zero"),
    ],
)
def test_a_wrong_value_is_shown_with_its_key(section: str, key: str, value_shown: str) -> None:
    found = [p for p in _parse(MINIMAL + section).problems if (p.key or "").startswith(key)]
    assert found, _parse(MINIMAL + section).problems
    assert all(p.line == 3 for p in found)


@pytest.mark.parametrize("size", ["1.5", "-1", "true", "'0.1'", "1.0"])
def test_test_size_is_a_share_or_a_number(size: str) -> None:
    problem = _problem(f"model: {{path: m}}\ndata: {{source: a, test_size: {size}}}", "data.test_size")
    assert "between 0 and 1" in problem.message


def test_all_problems_at_once() -> None:
    keys = {p.key for p in _parse("model: {path: 3}\ndata: {source: a, seed: x}\nfoo: 1").problems}
    assert keys == {"model.path", "data.seed", "foo"}


def test_missing_sections_are_named() -> None:
    assert {p.key for p in _parse("version: 1").problems} == {"model", "data"}


def test_a_newer_version_says_upgrade() -> None:
    problem = _problem(MINIMAL + "version: 99", "version")
    assert problem.code == "newer_version"
    assert problem.hint is not None


def test_require_raises_everything() -> None:
    with pytest.raises(Refusal) as refused:
        _parse("foo: 1").require()
    assert len(refused.value.problems) == 3
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_document"),
        (b"- 1\n", "not_a_mapping"),
        (b"a: [1\n", "yaml_syntax"),
        (b"model:\n\tpath: m\n", "yaml_tab"),
        (b"a: 1\na: 2\n", "duplicate_key"),
        (b"\xff\xfe\x00", "not_utf8"),
        (b"a: &x [*x]\n", "circular_alias"),
        (BOMB, "too_many_aliases"),
    ],
)
def test_a_file_that_is_no_document(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "answers.yaml"
    path.write_bytes(content)
    assert [p.code for p in read_answers(path).problems][:1] == [code]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = read_answers(tmp_path / "no.yaml").problems
    assert problem.code == "file_not_found"


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert read_answers(path).require().model.path == "m"


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(
    source=texts | st.sampled_from(["1e-4", "0E0", "1_0", ".5", "007", "0x1F", "1:30", "null", "yes", "~", ".inf"]),
    system=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40),
    rate=st.floats(1e-9, 1e3),
    targets=st.lists(texts, max_size=3),
    test_size=st.integers(0, 9) | st.floats(0.001, 0.999),
)
def test_what_is_written_reads_the_same(
    source: str, system: str | None, rate: float, targets: list[str], test_size: float
) -> None:
    answers = Answers.model_validate(
        {
            "model": {"path": source},
            "data": {"source": source, "system": system, "columns": {"input": source}, "test_size": test_size},
            "train": {"learning_rate": rate, "lora_target": targets, "flag": True, "nothing": None},
        }
    )
    assert _parse(dump_answers(answers)).require() == answers


def test_the_schema_names_every_key() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Answers.model_fields)
    assert schema["$defs"]["DataAnswers"]["additionalProperties"] is False
