"""Parts of the checks by themselves: splits, kinds of values, tool calls, saved optimizers, tokenizers, records."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sft_tui.factory.check.kinds import mixed_types
from sft_tui.factory.check.model_config import config_faults, missing_code
from sft_tui.factory.check.records import MAX_RECORDS, read_records
from sft_tui.factory.check.saved_state import read_optimizer
from sft_tui.factory.check.splits import rows_of_split
from sft_tui.factory.check.tokenizer_files import tokenizer_faults
from sft_tui.factory.check.tool_texts import call_fault, calls_fault, nameless_tool, tools_fault
from tests.corpora.variants import CHECKPOINT
from tests.corpora.workspace import DEMO_MODEL


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train", 40),
        ("all", 40),
        ("train[:10]", 10),
        ("train[10:]", 30),
        ("train[-5:]", 5),
        ("train[:-5]", 35),
        ("train[:50%]", 20),
        ("train[25%:75%]", 20),
        ("train[100:]", 0),
        ("train[:10]+train[30:]", 20),
    ],
)
def test_rows_of_a_split(split: str, rows: int) -> None:
    assert rows_of_split(split, 40) == rows
    assert rows_of_split(split, None) is None


@pytest.mark.parametrize("split", ["training", "test", "train[:abc]", "train[", "", None, 5])
def test_what_is_no_split(split: Any) -> None:
    with pytest.raises(ValueError):
        rows_of_split(split, 40)


def test_kinds_are_compared_inside_of_records_and_numbers_are_one_kind() -> None:
    assert mixed_types([{"a": 1}, {"a": 2.5}, {"a": None}, {"b": [1, None]}, {"a": float("nan")}]) is None
    assert mixed_types([{"a": {"b": 1}}, {"a": {"b": "x"}}]) == ("a.b", 2, "a number", "a text")
    assert mixed_types([{"a": [1]}, {"a": ["x"]}]) == ("a[]", 2, "a number", "a text")
    assert mixed_types([{"a": True}] * 3 + [{"a": 1}]) == ("a", 4, "true or false", "a number")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"name": "f", "arguments": {}}', None),
        ('[{"name": "f", "arguments": "{}"}]', None),
        ('<think>\nHm.\n</think>\n\n{"name": "f", "arguments": {}}', None),
        ('I call. <tool_call>{"name": "f", "arguments": {}}</tool_call>', None),
        ('{"name": "f"}', "arguments"),
        ('{"arguments": {}}', "name"),
        ('"f"', "name"),
        ("f()", "no JSON"),
    ],
)
def test_tool_calls(text: str, fault: str | None) -> None:
    found = call_fault(text, 3)
    assert (found is None) if fault is None else (fault in (found or "") and "3" in (found or ""))


def test_tools_and_the_calls_of_openai() -> None:
    assert tools_fault("[]", "tools", 1) is None
    assert tools_fault('[{"name": "f"}]', "tools", 1) is None
    assert tools_fault('{"name": "f"}', "tools", 1)
    assert tools_fault([{"name": "f"}], "tools", 1)
    assert nameless_tool('[{"description": "d"}]')
    assert not nameless_tool('[{"type": "function", "function": {"name": "f", "parameters": {}}}]')
    assert calls_fault([{"function": {"name": "f", "arguments": "{}"}}], 1) is None
    assert calls_fault([{"name": "f"}], 1) and calls_fault("f", 1)


def test_a_saved_optimizer_is_known_without_being_loaded(tmp_path: Path) -> None:
    found = read_optimizer(CHECKPOINT / "optimizer.pt")
    assert found is not None and (found.kind, found.groups) == ("adam", 2)
    assert read_optimizer(tmp_path / "absent.pt") is None
    cut = tmp_path / "cut.pt"
    cut.write_bytes((CHECKPOINT / "optimizer.pt").read_bytes()[:500])
    assert read_optimizer(cut) is None
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    assert read_optimizer(tmp_path / "other.zip") is None


def test_tokenizer_files(tmp_path: Path) -> None:
    names = ["tokenizer.json"]
    rows = json.loads((DEMO_MODEL / "config.json").read_text())["vocab_size"]
    assert list(tokenizer_faults(DEMO_MODEL, names, rows)) == []
    ((_path, message),) = tokenizer_faults(DEMO_MODEL, names, 100)
    assert "100 rows" in message
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": [["a", 0.1], ["b", 0.2]]}}')
    assert list(tokenizer_faults(tmp_path, names, 2)) == []
    assert len(list(tokenizer_faults(tmp_path, names, 1))) == 1
    (tmp_path / "added_tokens.json").write_text("{")
    assert [path.name for path, _message in tokenizer_faults(tmp_path, names, 2)] == ["added_tokens.json"]


def test_configs_of_real_models_have_no_fault() -> None:
    llama = {
        "model_type": "llama", "hidden_act": "silu", "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "pad_token_id": None, "rms_norm_eps": 1e-5,
        "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3",
                         "original_max_position_embeddings": 8192},
    }  # fmt: skip
    assert list(config_faults("llama", llama)) == []
    gemma = {"hidden_act": "gelu_pytorch_tanh", "layer_types": ["sliding_attention", "full_attention"], "head_dim": 256}
    assert list(config_faults("gemma2", gemma)) == []
    assert list(config_faults("qwen2", {"pad_token_id": 151643, "vocab_size": 151936})) == []
    own = {"hidden_act": "something", "pad_token_id": 9, "vocab_size": 3}
    assert list(config_faults("a_model_of_its_own", own)) == []
    assert len(list(config_faults("qwen2", own))) == 2


def test_code_that_a_model_brings(tmp_path: Path) -> None:
    config = {"auto_map": {"AutoConfig": "configuration_own.Own", "AutoModel": "other/repo--modeling_own.Own"}}
    assert missing_code(tmp_path, config) == "configuration_own.py"
    (tmp_path / "configuration_own.py").write_text("")
    assert missing_code(tmp_path, config) is None
    assert missing_code(tmp_path, {}) is None


def test_records_far_behind_are_seen_and_the_number_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "x"}\n' * (MAX_RECORDS + 5))
    records = read_records(path, "json")
    assert (len(records.rows), records.whole, records.total) == (MAX_RECORDS, False, MAX_RECORDS + 5)
    path.write_text('{"a": "x"}\n' * 3000 + '{"a": }\n')
    fault = read_records(path, "json").fault
    assert fault is not None and (fault[0], fault[2]) == ("bad_json", 3001)
