"""`preview` from outside: rows as read, as samples and as tokens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sft_tui.headless.preview_command import marked

MODEL = Path(__file__).parents[2] / "data" / "demo" / "model"


def run(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sft_tui.cli", "preview", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "SFT_TUI_LANG": "en"},
        check=False,
    )


def shown(cwd: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = run(cwd, *words, "--json")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    rows = "".join(f"{number},q{number},{'' if number == 2 else f'a{number}'}\n" for number in range(1, 31))
    (tmp_path / "a.csv").write_text("id,question,answer\n" + rows)
    return tmp_path


def test_rows_as_read_and_as_samples(here: Path) -> None:
    page = shown(here, "a.csv", "--rows", "3")
    assert [row["number"] for row in page["rows"]] == [1, 2, 3]
    assert page["rows"][0]["source"] == {"id": "1", "question": "q1", "answer": "a1"}
    assert page["rows"][0]["sample"] == {"instruction": "", "input": "q1", "output": "a1"}
    assert page["rows"][1]["sample"] is None
    assert (page["rows"][1]["drop"], page["rows"][1]["why"]) == ("empty_output", "there is no answer")
    assert page["more"] is True
    assert page["mapping"] == {"input": "question", "output": "answer"}
    assert sorted(path.name for path in here.iterdir()) == ["a.csv"]


def test_later_pages(here: Path) -> None:
    page = shown(here, "a.csv", "--rows", "5", "--start", "28")
    assert [row["number"] for row in page["rows"]] == [28, 29, 30]
    assert page["more"] is False
    assert shown(here, "a.csv", "--start", "99")["rows"] == []


def test_fixed_texts_and_mapping_show_their_effect(here: Path) -> None:
    words = ["--input-column", "id", "--output-column", "question", "--instruction", "I", "--system", "S"]
    page = shown(here, "a.csv", "--rows", "1", *words)
    assert page["rows"][0]["sample"] == {"instruction": "I", "input": "1", "output": "q1", "system": "S"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["nowhere.csv"], 2),
        (["a.csv", "--rows", "0"], 2),
        (["a.csv", "--rows", "x"], 2),
        (["a.csv", "--input-column", "nope"], 2),
        (["a.csv", "--model", "./nowhere"], 2),
        (["a.csv", "--model", str(MODEL), "--enable-thinking", "maybe"], 2),
    ],
)
def test_refusals(here: Path, words: list[str], code: int) -> None:
    found = shown(here, *words, code=code)
    assert found["problems"][0]["message"]


def test_text_output_marks_without_colour(here: Path) -> None:
    done = run(here, "a.csv", "--rows", "2")
    assert "question: q1" in done.stdout
    assert "left out, empty_output" in done.stdout
    assert marked(["a", "b", "c", "d"], [-100, 1, 2, -100]) == "a[[bc]]d"


@pytest.mark.real
def test_tokens_and_labels(here: Path) -> None:
    words = ["--model", str(MODEL), "--template", "qwen", "--train-python", sys.executable]
    page = shown(here, "a.csv", "--rows", "2", "--cutoff-len", "52", *words)
    tokens = page["rows"][0]["tokens"]
    assert page["rows"][1]["tokens"] is None
    assert len(tokens["ids"]) == len(tokens["labels"]) == len(tokens["texts"]) == len(tokens["special"]) == 52
    assert tokens["texts"][0] == "<|im_start|>"
    assert tokens["special"][0] is True
    assert tokens["truncated"] is True
    assert tokens["full_length"] > 52
    assert tokens["trained"] == sum(label != -100 for label in tokens["labels"]) > 0
    refused = shown(here, "a.csv", *words[:2], "--template", "llama", *words[4:], code=3)
    assert "llama" in refused["problems"][0]["message"]


@pytest.mark.real
def test_the_template_is_decided_and_its_reason_told(here: Path) -> None:
    done = run(here, "a.csv", "--rows", "1", "--json", "--model", str(MODEL), "--train-python", sys.executable)
    page = json.loads(done.stdout)
    assert page["template"]["name"] == "qwen" and page["template"]["certain"] is True
    assert page["template"]["why"] in done.stderr
    assert page["rows"][0]["tokens"]["trained"] > 0


@pytest.mark.real
def test_what_is_trained_depends_on_thinking(here: Path) -> None:
    words = ["a.csv", "--rows", "1", "--model", str(MODEL), "--template", "qwen3", "--train-python", sys.executable]
    with_it, without = (
        shown(here, *words, "--enable-thinking", thinking)["rows"][0]["tokens"] for thinking in ("true", "false")
    )
    assert with_it["ids"] == without["ids"]
    assert "<think>" in marked(with_it["texts"], with_it["labels"]).split("[[")[-1]
    assert "</think>" in marked(without["texts"], without["labels"]).split("[[")[0]


def test_statistics_of_all_rows(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    rows = [{"question": f"question {i}", "answer": "an answer " * (i % 7)} for i in range(50)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, "-m", "sft_tui.cli", "preview", str(source), "--stats"]
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert found["rows"] == 42
    assert found["dropped"]["empty_output"] == 8
    assert found["tokens"] is None
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("42 samples")
