"""LLaMA-Factory's own opinion of a config, and what is said where it cannot be asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sft_tui.factory.options import snapshot
from sft_tui.factory.verdict import run_verdict
from sft_tui.problems import Severity
from tests.corpora.workspace import build

OPTIONS = frozenset(snapshot().options)


def _python(tmp_path: Path, body: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_refusal_names_the_option_of_the_message(tmp_path: Path) -> None:
    answer = (
        '{"ok": false, "kind": "ValueError", "message": "Please set `overwrite_output_dir`.", '
        '"warnings": ["We recommend x", "odd `lora_rank`"]}'
    )
    python = _python(tmp_path, f"cat > \"$4\" <<'END'\n{answer}\nEND")
    problems = run_verdict(python, tmp_path / "train.yaml", tmp_path, options=OPTIONS)
    assert [(p.code, p.key, p.severity) for p in problems] == [
        ("factory_refuses", "overwrite_output_dir", Severity.ERROR),
        ("factory_warns", "lora_rank", Severity.INFO),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'ImportError: libcudart.so: cannot open' >&2; exit 1", "libcudart"),
        ("exit 0", "No such file"),
        ("sleep 5", "longer than"),
    ],
)
def test_an_environment_that_cannot_be_asked_gives_a_warning(tmp_path: Path, body: str, reason: str) -> None:
    timeout = 0.3 if "sleep" in body else 30
    problems = run_verdict(_python(tmp_path, body), tmp_path / "train.yaml", tmp_path, timeout_s=timeout)
    assert [(p.code, p.severity) for p in problems] == [("no_verdict", Severity.WARNING)]
    assert reason in problems[0].message


@pytest.mark.real
def test_the_real_parser_refuses_what_it_must(tmp_path: Path) -> None:
    workspace = build(tmp_path / "workspace")
    corpora = Path(__file__).parents[2] / "corpora"
    text = (corpora / "configs_bad" / "pair_val_and_eval.yaml").read_text(encoding="utf-8")
    (workspace / "train.yaml").write_text(text, encoding="utf-8")
    environment = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    problems = run_verdict(sys.executable, workspace / "train.yaml", workspace, environment, options=OPTIONS)
    assert [(p.code, p.key) for p in problems if p.severity is Severity.ERROR] == [("factory_refuses", "val_size")]
