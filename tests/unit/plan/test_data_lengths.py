"""How long samples are in tokens: counted, bounded, kept, and never too short."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sft_tui.dataset.request import Columns, ConvertRequest
from sft_tui.factory.options import Template
from sft_tui.factory.probe import load_factory
from sft_tui.plan import data_lengths
from sft_tui.plan.conversion import convert_and_register
from sft_tui.plan.data_lengths import DataLengths, count_lengths, known_lengths
from tests.headless.tiny_tokenizer import TOKENIZER


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose tokenizer makes a token of each byte."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/tokenizer.json").write_text(json.dumps(TOKENIZER))
    return tmp_path / "model"


def qwen() -> Template:
    return load_factory().templates["qwen"]


def request(tmp_path: Path, rows: list[dict[str, Any]], **changes: Any) -> ConvertRequest:
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    fields = {"source": str(source), "out_dir": tmp_path / "data", "name": "rows", "columns": Columns(), **changes}
    return ConvertRequest(**fields)


ROWS = [{"instruction": "Say it.", "input": "", "output": "a" * (n + 1)} for n in range(50)]


def test_lengths_are_counted_once_and_kept(tmp_path: Path, model: Path) -> None:
    asked = request(tmp_path, ROWS)
    assert known_lengths(asked, model, qwen()) is None
    found = count_lengths(asked, model, qwen(), sys.executable)
    assert found is not None and found.exact and found.rows == 50 and len(found.sample) == 50
    frame = found.longest - 50
    assert 30 < frame < 200 and found.mean is not None and 30 < found.mean < found.longest
    assert known_lengths(asked, model, qwen()) == found
    assert count_lengths(asked, model, qwen(), "/no/such/python") == found
    (model / "tokenizer.json").write_text(json.dumps(TOKENIZER) + "\n")
    assert known_lengths(asked, model, qwen()) is None, "another tokenizer"
    asked = request(tmp_path, [*ROWS, {"instruction": "q", "output": "b" * 500}])
    longer = count_lengths(asked, model, qwen(), sys.executable)
    assert longer is not None and longer.longest > 500


def test_of_much_data_the_longest_rows_are_counted_and_the_rest_is_bounded(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path, ROWS)
    exact = count_lengths(asked, model, qwen(), sys.executable)
    monkeypatch.setattr(data_lengths, "_COUNTED_BYTES", 1000)
    monkeypatch.setattr(data_lengths, "_VERSION", -1)
    bounded = count_lengths(asked, model, qwen(), sys.executable)
    assert exact is not None and bounded is not None
    assert not bounded.exact and bounded.longest >= exact.longest and bounded.rows == 50
    monkeypatch.setattr(data_lengths, "LARGEST_SOURCE_BYTES", 1000)
    monkeypatch.setattr(data_lengths, "_VERSION", -2)
    assert count_lengths(asked, model, qwen(), sys.executable) is None, "not read before it is converted"
    convert_and_register(asked)
    converted = count_lengths(asked, model, qwen(), sys.executable)
    assert converted is not None and converted.longest == bounded.longest


def test_what_cannot_be_counted_is_not_known(tmp_path: Path, model: Path) -> None:
    python = sys.executable
    assert count_lengths(request(tmp_path, ROWS), model, None, python) is None
    assert count_lengths(request(tmp_path, ROWS), None, qwen(), python) is None
    assert count_lengths(request(tmp_path, ROWS, source=str(tmp_path / "gone.jsonl")), model, qwen(), python) is None
    assert count_lengths(request(tmp_path, ROWS, source="hub:some/data"), model, qwen(), python) is None
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    tools = [{"messages": turns, "tools": '[{"name": "f", "parameters": {}}]'}]
    assert count_lengths(request(tmp_path, tools), model, qwen(), python) is None
    (model / "tokenizer.json").write_text("{}")
    assert count_lengths(request(tmp_path, ROWS), model, qwen(), python) is None


def test_a_spoilt_cache_is_counted_anew(tmp_path: Path, model: Path) -> None:
    asked = request(tmp_path, ROWS)
    found = count_lengths(asked, model, qwen(), sys.executable)
    for file in (tmp_path / "cache/sft-tui/lengths").glob("*.json"):
        for text in ("", "[]", '{"longest": "x"}', '{"longest": 0, "exact": true, "rows": 1, "sample": []}'):
            file.write_text(text)
            assert known_lengths(asked, model, qwen()) is None
    assert count_lengths(asked, model, qwen(), sys.executable) == found


def test_what_the_estimator_is_told() -> None:
    assert DataLengths(90, True, 3, (10, 20)).known == (10, 20, 90)
    assert DataLengths(90, True, 3, ()).mean is None
