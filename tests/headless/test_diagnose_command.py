"""`sft-tui diagnose` and `sft-tui report` as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parents[1] / "corpora" / "logs"


def sft_tui(*words: str, cwd: Path | None = None, text: str = "", lang: str = "en") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from sft_tui.cli import main; sys.exit(main())", *words],
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SFT_TUI_LANG": lang, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def diagnoses(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["diagnoses"]
    assert isinstance(found, list)
    return found


def test_json_of_a_known_failure() -> None:
    found = diagnoses(sft_tui("diagnose", str(CORPUS / "template-unknown.real-template.log"), "--json"))
    assert found[0].keys() >= {"id", "title", "cause", "line", "fixes", "source"}
    assert found[0]["id"] == "template-unknown"
    assert found[0]["line"] == "ValueError: Template llama does not exist."
    fix = found[0]["fixes"][0]
    assert fix.keys() == {"kind", "key", "value", "text"}
    assert (fix["kind"], fix["key"], fix["value"]) == ("set", "template", "llama3")


def test_json_of_a_healthy_log_is_an_empty_list() -> None:
    assert diagnoses(sft_tui("diagnose", str(CORPUS / "healthy" / "healthy.log"), "--json")) == []


def test_from_stdin() -> None:
    text = (CORPUS / "gpu-oom.two-ranks.log").read_text(encoding="utf-8")
    assert diagnoses(sft_tui("diagnose", "-", "--json", text=text))[0]["id"] == "gpu-oom"


def test_for_people() -> None:
    done = sft_tui("diagnose", str(CORPUS / "rtx4000-p2p.log"))
    assert done.returncode == 0
    assert "RTX 4000" in done.stdout
    assert "export NCCL_P2P_DISABLE=1" in done.stdout
    chinese = sft_tui("diagnose", str(CORPUS / "gpu-oom.single.log"), lang="zh_CN")
    assert chinese.stdout.startswith("显存不足")


def test_an_unknown_failure_is_told_and_where_to_ask() -> None:
    done = sft_tui("diagnose", "-", text='Traceback (most recent call last):\n  File "a"\n    f()\nzlib.error: odd\n')
    assert done.returncode == 0
    assert "zlib.error: odd" in done.stdout
    assert "https://" in done.stdout


@pytest.mark.parametrize("words", [["/no/such.log"], ["/"], ["/dev/null"], ["-"]])
def test_nothing_to_read_is_a_sentence(words: list[str]) -> None:
    done = sft_tui("diagnose", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 3
    assert done.stdout == ""


def test_heavy_libraries_are_not_imported() -> None:
    script = (
        "import sys; from sft_tui.cli import main; "
        f"code = main(['diagnose', {str(CORPUS / 'gpu-oom.single.log')!r}, '--json']); "
        "heavy = {'pandas', 'pyarrow', 'polars', 'pynvml', 'textual', 'torch', 'openpyxl'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_report(tmp_path: Path) -> None:
    (tmp_path / "logs" / "apples").mkdir(parents=True)
    (tmp_path / "runs" / "apples").mkdir(parents=True)
    (tmp_path / "logs" / "apples" / "train.log").write_text("ValueError: Template llama does not exist.\n")
    done = sft_tui("report", "apples", "--dir", str(tmp_path), "--out", "help.tar.gz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "help.tar.gz\n"
    with tarfile.open(tmp_path / "help.tar.gz") as archive:
        assert "apples-report/diagnosis.txt" in archive.getnames()
    again = sft_tui("report", "apples", "--dir", str(tmp_path), "--out", "help.tar.gz", "--json", cwd=tmp_path)
    assert again.returncode == 2
    assert json.loads(again.stdout)["problems"][0]["code"] == "report_exists"
    assert sft_tui("report", "pears", "--dir", str(tmp_path)).returncode == 2
