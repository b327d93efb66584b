"""`sft-tui estimate`: the JSON that scripts rely on, the table, and bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sft_tui.memory import known_config

GIB = 2**30


def estimate(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sft_tui.cli", "estimate", *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def result(*words: str) -> dict[str, Any]:
    done = estimate(*words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_json_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(known_config("Qwen2.5-7B")))
    found = result(str(tmp_path), "--gpu-memory", "24")
    assert {"peak_bytes", "parts", "fits", "suggestions"} <= set(found)
    assert found["peak_bytes"] == sum(found["parts"].values()) and found["fits"] is False
    assert found["suggestions"][0]["changes"] == {"enable_liger_kernel": True}
    assert result("Qwen2.5-7B", "--gpu-memory", "24") == found
    assert result("qwen/qwen2.5-7b", "--gpu-memory", "80")["fits"] is True


def test_options_can_be_set() -> None:
    small = result("Qwen2.5-7B", "--set", "cutoff_len=512", "--set", "quantization_bit=4", "--gpu-memory", "16")
    assert small["fits"] is True and small["peak_bytes"] < 10 * GIB
    assert result("Qwen2.5-7B", "--preset", "24gb", "--gpu-memory", "24")["fits"] is True


def test_fitting_and_time() -> None:
    found = result("Qwen2.5-7B", "--gpu-memory", "24", "--fit", "--samples", "1000")
    assert found["fitted"]["fits"] and found["fitted"]["peak_bytes"] < 24 * GIB
    assert found["time"]["steps"] == 375 and found["time"]["seconds_low"] is None


def test_without_a_card_it_is_unknown() -> None:
    found = result("Qwen2.5-7B")
    if found["limit_bytes"] is None:
        assert found["fits"] is None and found["fit"] == "unknown"


def test_the_table_is_readable() -> None:
    done = estimate("Qwen2.5-7B", "--gpu-memory", "24", "--fit", "--samples", "1000")
    assert done.returncode == 0
    assert "GiB" in done.stdout and "█" in done.stdout and "enable_liger_kernel" in done.stdout
    assert all(len(line) <= 200 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-model",),
        ("Qwen2.5-7B", "--set", "cutof_len=3"),
        ("Qwen2.5-7B", "--set", "cutoff_len"),
        ("Qwen2.5-7B", "--set", "cutoff_len=0"),
        ("Qwen2.5-7B", "--set", "cutoff_len=a"),
        ("Qwen2.5-7B", "--set", "per_device_train_batch_size=1.5"),
        ("Qwen2.5-7B", "--set", "quantization_bit=7"),
        ("Qwen2.5-7B", "--gpu-memory", "-1"),
        ("Qwen2.5-7B", "--gpu-memory", "nan"),
        ("Qwen2.5-7B", "--preset", "25gb"),
        ("/dev/null",),
    ],
    ids=" ".join,
)
def test_bad_input_is_refused_with_a_sentence(words: tuple[str, ...]) -> None:
    done = estimate(*words, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["problems"][0]["message"] and "Traceback" not in done.stderr
