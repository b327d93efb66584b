"""The catalogue itself: complete in both languages, its fixes possible, its texts filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from sft_tui.factory.failures import diagnose_text
from sft_tui.factory.failures.catalogue import Entry, entries
from sft_tui.factory.options import snapshot
from sft_tui.i18n import current_language, set_language

KINDS = {"set", "unset", "env", "install", "advice"}
GONE = {"modules_to_save", "evaluation_strategy"}
"""What a fix unsets just because LLaMA-Factory does not know it."""


@pytest.fixture
def chinese() -> Iterator[None]:
    before = current_language()
    set_language("zh_CN")
    yield
    set_language(before)


def test_ids_are_unique_and_there_are_many() -> None:
    ids = [entry.id for entry in entries()]
    assert len(ids) == len(set(ids))
    assert len(ids) > 90


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_an_entry_is_complete(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", entry.id)
    assert entry.signatures
    assert entry.fixes
    assert entry.source.startswith("https://")
    for chinese in (entry.title_zh, entry.cause_zh, *(fix.text_zh for fix in entry.fixes)):
        assert re.search(r"[\u4e00-\u9fff]", chinese), chinese
    for english in (entry.title, entry.cause, *(fix.text for fix in entry.fixes)):
        assert english
        assert not re.search(r"[\u4e00-\u9fff]", english), english
    for signature in entry.signatures:
        assert 0 < signature.confidence <= 1
        assert any((signature.exception, signature.line, signature.signal, signature.special))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_fixes_are_possible(entry: Entry) -> None:
    known = snapshot().options
    for fix in entry.fixes:
        assert fix.kind in KINDS
        if fix.kind in ("set", "unset"):
            assert fix.key is not None
            assert fix.key in known or fix.key in GONE or fix.key == "{keys}", fix.key
        if fix.kind == "set":
            assert fix.value is not None
        if fix.kind == "env":
            assert fix.key is not None and re.fullmatch(r"\w+", fix.key)
        if fix.kind == "install":
            assert fix.value
        if fix.kind == "advice":
            assert fix.key is None and fix.value is None


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_places_in_texts_are_filled_by_every_signature(entry: Entry) -> None:
    texts = (entry.title, entry.title_zh, entry.cause, entry.cause_zh, *(str(fix.value) for fix in entry.fixes))
    wanted = {name for text in texts for name in re.findall(r"\{(\w+)\}", text)} - {"template_nearest"}
    for signature in entry.signatures:
        pattern = signature.exception or signature.regex
        given = set(pattern.groupindex) if pattern is not None else set()
        assert wanted <= given or entry.id in PARTLY_FILLED, (wanted, pattern)


PARTLY_FILLED = {"cuda-toolkit", "data-stream-empty", "adapter-rank", "modules-to-save", "image-tokens"}
"""Entries with signatures that do not tell everything: a place that is not filled is left out."""


def test_a_place_that_no_group_fills_is_left_out() -> None:
    found = diagnose_text(
        "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root."
    )
    assert found[0].id == "cuda-toolkit"
    assert "{" not in found[0].cause + found[0].title


def test_an_unknown_key_gives_a_fix_for_each() -> None:
    found = diagnose_text("ValueError: Some keys are not used by the HfArgumentParser: ['lora_rnak', 'tempalte']")
    steps = [fix.as_json() for fix in found[0].fixes]
    assert [(step["kind"], step["key"]) for step in steps] == [("unset", "lora_rnak"), ("unset", "tempalte")]


@pytest.mark.parametrize(("wrong", "right"), [("llama", "llama3"), ("chatglm", "chatglm3"), ("quen", "qwen")])
def test_a_wrong_template_gives_the_nearest(wrong: str, right: str) -> None:
    found = diagnose_text(f"ValueError: Template {wrong} does not exist.")
    assert found[0].title == f"There is no template {wrong}"
    assert found[0].fixes[0].value == right


def test_a_missing_package_gives_the_requirement_for_pip() -> None:
    found = diagnose_text(
        "importlib.metadata.PackageNotFoundError: No package metadata was found for The 'bitsandbytes>=0.39.0' "
        "distribution was not found and is required by this application. \n"
        "To fix: run `pip install bitsandbytes>=0.39.0`."
    )
    assert found[0].id == "package-missing"
    assert found[0].fixes[0].kind == "install"
    assert found[0].fixes[0].value == "bitsandbytes>=0.39.0"


def test_texts_are_chinese_for_chinese_users(chinese: None) -> None:
    found = diagnose_text("ValueError: Undefined dataset apples in dataset_info.json.")
    assert found[0].title == "dataset_info.json 中没有数据集 apples"
    assert all(re.search(r"[\u4e00-\u9fff]", fix.text) for fix in found[0].fixes)
