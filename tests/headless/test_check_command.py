"""`sft-tui check` and `sft-tui explain` as processes: JSON, exit codes, fixes, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.corpora.workspace import build

CORPORA = Path(__file__).parent.parent / "corpora"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("command") / "workspace")


def sft(workspace: Path, *words: str, language: str = "en") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SFT_TUI_LANG": language, "XDG_CACHE_HOME": str(workspace / "cache")}
    command = [sys.executable, "-m", "sft_tui.cli", *words]
    return subprocess.run(command, cwd=workspace, env=env, capture_output=True, text=True, timeout=60, check=False)


def check(workspace: Path, text: str | bytes, *words: str) -> tuple[int, dict[str, Any]]:
    path = workspace / "train.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    done = sft(workspace, "check", "train.yaml", "--json", *words)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def good() -> str:
    return (CORPORA / "configs_good" / "yaml_quotes.yaml").read_text(encoding="utf-8")


def test_a_good_config_is_ok(workspace: Path) -> None:
    code, answer = check(workspace, good())
    assert (code, answer["ok"]) == (0, True)


def test_a_problem_names_key_file_line_and_fix(workspace: Path) -> None:
    text = (CORPORA / "configs_bad" / "template_llama.yaml").read_text(encoding="utf-8")
    code, answer = check(workspace, text)
    assert (code, answer["ok"]) == (2, False)
    problem = next(p for p in answer["problems"] if p["key"] == "template")
    assert problem["code"] == "unknown_template"
    assert problem["path"].endswith("train.yaml")
    assert text.splitlines()[problem["line"] - 1].startswith("template:")
    assert problem["fix"] == {"kind": "set", "key": "template", "value": "qwen"}


def test_fix_leaves_mode_link_and_line_ends_alone(workspace: Path) -> None:
    target = workspace / "kept" / "mine.yaml"
    target.parent.mkdir()
    target.write_bytes(b"\xef\xbb\xbf" + (good() + "lora_rnak: 16\n").replace("\n", "\r\n").encode())
    target.chmod(0o600)
    (workspace / "linked.yaml").symlink_to(target)
    assert sft(workspace, "check", "linked.yaml", "--fix").returncode == 0
    fixed = target.read_bytes()
    assert b"lora_rnak" not in fixed and fixed.count(b"\n") == fixed.count(b"\r\n")
    assert fixed.startswith(b"\xef\xbb\xbf") and (workspace / "linked.yaml").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600


def test_fix_writes_what_is_a_single_change_and_shows_it(workspace: Path) -> None:
    text = good() + "# the end\nlora_rnak: 16\n"
    path = workspace / "train.yaml"
    path.write_text(text, encoding="utf-8")
    done = sft(workspace, "check", "train.yaml", "--fix")
    assert done.returncode == 0
    assert "-lora_rnak: 16" in done.stdout
    after = path.read_text(encoding="utf-8")
    assert "# the end\n" in after
    assert "lora_rnak" not in after
    assert yaml.safe_load(after)["template"] == "qwen"
    assert (workspace / "train.yaml.before").read_text(encoding="utf-8") == text
    assert "train.yaml.before" in done.stderr
    assert sft(workspace, "check", "train.yaml", "--fix").returncode == 0
    assert not (workspace / "train.yaml.before1").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_document"),
        (b"- a\n- b\n", "not_a_mapping"),
        (b"model_name_or_path: m\n\tstage: sft\n", "yaml_tab"),
        (b"a: &x [*x]\nmodel_name_or_path: m\n", "circular_alias"),
        ("model_name_or_path: 模型\n".encode("gbk"), "not_utf8"),
        (b"model_name_or_path: m\nstage: sft\nstage: sft\n", "duplicate_key"),
        (b"x" * (10 << 20), "too_large"),
        (bytes(range(256)), None),
    ],
    ids=["empty", "list", "tab", "circle", "gbk", "duplicate", "large", "binary"],
)
def test_bad_input_gets_a_sentence(workspace: Path, content: bytes, code: str | None) -> None:
    status, answer = check(workspace, content)
    assert status == 2
    assert not answer["ok"]
    assert code is None or code in [p["code"] for p in answer["problems"]]
    assert all(p["message"] for p in answer["problems"])


def test_a_missing_file_is_told(workspace: Path) -> None:
    done = sft(workspace, "check", "nowhere.yaml", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["problems"][0]["code"] == "file_not_found"


def test_explain_in_both_languages(workspace: Path) -> None:
    english = sft(workspace, "explain", "lora_rank")
    assert english.stdout.startswith("lora_rank - LoRA rank\n")
    assert "LoRA 秩" in sft(workspace, "explain", "lora_rank", language="zh_CN").stdout
    answer = json.loads(sft(workspace, "explain", "lora_rank", "--json").stdout)
    assert (answer["default"], answer["own"]) == ("8", True)


def test_explain_finds_and_marks_options(workspace: Path) -> None:
    (workspace / "train.yaml").write_text("lora_rank: 64\n", encoding="utf-8")
    lines = sft(workspace, "explain", "--search", "lora rank", "--config", "train.yaml").stdout.splitlines()
    assert lines[0].startswith("* lora_rank: 64")
    rows = json.loads(sft(workspace, "explain", "--all", "--json", "--config", "train.yaml").stdout)
    assert [row["key"] for row in rows if row["changed"]] == ["lora_rank"]
    assert len(rows) == 346


def test_explain_refuses_an_unknown_option_with_the_nearest(workspace: Path) -> None:
    done = sft(workspace, "explain", "lora_rnak")
    assert done.returncode == 2
    assert "lora_rank" in done.stderr
