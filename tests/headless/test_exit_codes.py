"""Exit codes of every command where what was named is not there: as the README says, as text and as JSON."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sft_tui.cli import main
from sft_tui.headless.commands import COMMANDS

OF_A_RUN = ("attach", "wait", "logs", "events", "stop", "resume", "export", "report")
NO_PROJECT = [
    *([name, "apples", "--dir", "/nowhere/at/all"] for name in OF_A_RUN),
    ["attach", "--dir", "/nowhere/at/all"],
    ["runs", "--dir", "/nowhere/at/all"],
    ["service", "--dir", "/nowhere/at/all"],
    ["service", "--print", "--dir", "/nowhere/at/all"],
    ["estimate", "Qwen/Qwen2.5-7B-Instruct", "--dir", "/nowhere/at/all"],
]
NO_RUN = [*([name, "apples"] for name in OF_A_RUN), ["attach"], ["report", "apples", "--out", "report.tar.gz"]]
NO_FILE = [
    ["--non-interactive", "nowhere.yaml"],
    ["--non-interactive", "nowhere.yaml", "--dry-run"],
    ["nowhere.yaml"],
    ["check", "nowhere.yaml"],
    ["check", "nowhere.yaml", "--fix"],
    ["check", "nowhere.yaml", "--verdict"],
    ["convert", "nowhere.csv", "--out", "data"],
    ["convert", "nowhere/*.csv", "--out", "data"],
    ["preview", "nowhere.csv"],
    ["preview", "nowhere.csv", "--stats"],
    ["preview", "rows.csv", "--model", "./nowhere"],
    ["preview", "rows.csv", "--stats", "--model", "./nowhere"],
    ["estimate", "nowhere.yaml"],
    ["estimate", "./nowhere"],
    ["estimate", "nowhere.yaml", "--measure"],
    ["diagnose", "nowhere.log"],
    ["explain", "lora_rank", "--config", "nowhere.yaml"],
    ["explain", "--all", "--config", "nowhere.yaml"],
]
NO_SENSE = [
    ["doctor", "--nothing"],
    ["demo", "--nothing"],
    ["schema", "--nothing"],
    ["cache", "--drafts"],
    ["completion", "nosuchshell"],
    ["explain"],
    ["explain", "no_option_is_called_so"],
    ["convert"],
    ["wait"],
    ["stop"],
    ["--dry-run"],
]
CASES = [*NO_PROJECT, *NO_RUN, *NO_FILE, *NO_SENSE]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with one data file and nothing else; what a program sets for itself is set back."""
    (tmp_path / "rows.csv").write_text("question,answer\nq,a\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


def test_every_command_is_asked() -> None:
    assert set(COMMANDS) <= {words[0] for words in CASES}


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_what_is_not_there_is_a_wrong_answer(words: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == "" and "error: " in said.err and "Traceback" not in said.err
    assert main([*words, "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert all(problem["message"] and problem["code"] for problem in problems) and problems
    assert [path.name for path in here.iterdir()] == ["rows.csv"]


def test_an_option_is_explained_with_its_value(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "train.yaml").write_text("lora_rank: 48\n")
    assert main(["explain", "lora_rank", "--config", "train.yaml"]) == 0
    assert "48" in capsys.readouterr().out
    assert main(["explain", "lora_rank", "--config", "train.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == 48
