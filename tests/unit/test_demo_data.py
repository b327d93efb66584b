"""The demo's files: four formats with the same rows, true sums, a complete model directory, a readable answers file."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from sft_tui.dataset import Columns, ConvertRequest, convert

DEMO = Path(__file__).parents[2] / "data" / "demo"
SUM = re.compile(r"^(\d+) ([-+×]) (\d+) = (\d+)$")
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """The demo's rows, from the JSON file."""
    loaded: Rows = json.loads((DEMO / "demo.json").read_text("utf-8"))
    return loaded


def test_four_formats_hold_the_same_rows(rows: Rows) -> None:
    lines = [json.loads(line) for line in (DEMO / "demo.jsonl").read_text("utf-8").splitlines()]
    with (DEMO / "demo.csv").open(encoding="utf-8", newline="") as file:
        from_csv = list(csv.DictReader(file))
    assert lines == rows
    assert from_csv == rows
    assert pl.read_parquet(DEMO / "demo.parquet").to_dicts() == rows


def test_four_formats_are_trained_on_as_the_same_bytes(tmp_path: Path) -> None:
    written = set()
    for ending in ("json", "jsonl", "csv", "parquet"):
        columns = Columns(input="question", output="answer")
        request = ConvertRequest(str(DEMO / f"demo.{ending}"), tmp_path / ending, columns=columns, test_size=0.1)
        written.add(convert(request).train.read_bytes())
    assert len(written) == 1 and len(written.pop().splitlines()) == 288


def test_the_script_gives_these_rows(rows: Rows) -> None:
    code = "import json, sys, make_data; json.dump(make_data.rows(), sys.stdout)"
    made = subprocess.run([sys.executable, "-c", code], cwd=DEMO, capture_output=True, check=True)
    assert json.loads(made.stdout) == rows


def test_rows_are_distinct_complete_and_in_two_languages(rows: Rows) -> None:
    assert len(rows) == 320
    assert all(set(row) == {"question", "answer"} and all(map(str.strip, row.values())) for row in rows)
    assert max(Counter(row["question"] for row in rows).values()) == 1
    assert sum("答：" in row["answer"] for row in rows) == 160
    assert sum("Answer: " in row["answer"] for row in rows) == 160


def test_sums_are_right(rows: Rows) -> None:
    checked = 0
    for row in rows:
        first, *rest = row["answer"].splitlines()
        if not rest:
            continue
        match = SUM.match(first)
        assert match is not None, row
        a, b, result = int(match[1]), int(match[3]), int(match[4])
        assert {"-": a - b, "+": a + b, "×": a * b}[match[2]] == result, row
        assert re.findall(r"\d+", rest[0]) == [str(result)], row
        checked += 1
    assert checked > 100


def test_the_guides_own_question_is_left_for_afterwards(rows: Rows) -> None:
    assert "小明有5个苹果，吃了2个，还剩几个？" not in {row["question"] for row in rows}


def test_the_model_directory_is_complete_and_small() -> None:
    model = DEMO / "model"
    config = json.loads((model / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert (model / "generation_config.json").is_file()
    settings = json.loads((model / "tokenizer_config.json").read_text("utf-8"))
    assert "<|im_start|>" in settings["chat_template"]
    assert settings["eos_token"] == "<|im_end|>"
    assert 1_000_000 < sum(file.stat().st_size for file in model.iterdir()) < 2_000_000


def test_the_weights_fit_the_config() -> None:
    config = json.loads((DEMO / "model" / "config.json").read_text("utf-8"))
    with (DEMO / "model" / "model.safetensors").open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert header["model.embed_tokens.weight"]["shape"] == [config["vocab_size"], config["hidden_size"]]
    layers = {name.split(".")[2] for name in header if name.startswith("model.layers.")}
    assert len(layers) == config["num_hidden_layers"]


def test_the_tokenizer_writes_any_text_and_knows_the_chat_marks() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(DEMO / "model" / "tokenizer.json"))
    text = "龘靐齉爩 apples 123 😀\n\tñ 你好，世界！"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode("<|im_start|><|im_end|><|endoftext|>").ids) == 3
    assert len(tokenizer.encode("2026").ids) == 4


def test_the_answers_file_names_what_is_there() -> None:
    answers = yaml.safe_load((DEMO / "answers.yaml").read_text("utf-8"))
    assert answers["version"] == 1
    assert (DEMO / answers["model"]["path"] / "config.json").is_file()
    assert (DEMO / answers["data"]["source"]).is_file()
    assert set(answers["data"]["columns"].values()) == {"question", "answer"}
    assert answers["hardware"]["gpus"] == "none"
    assert isinstance(answers["train"]["learning_rate"], float)
