"""What keeps a run from starting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.machine.gpus import GpuProcess
from sft_tui.plan import make_plan
from sft_tui.preflight import preflight
from sft_tui.problems import Severity, exit_code_for
from sft_tui.situation import ModelFacts
from tests.unit.plan import GIB, make_answers, make_gpu, make_situation

QWEN_7B = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "torch_dtype": "bfloat16",
}


@pytest.mark.parametrize(("free_gib", "severity"), [(12.0, Severity.ERROR), (80.0, None)])
def test_a_card_that_is_too_full_is_refused_and_its_users_named(
    tmp_path: Path, free_gib: float, severity: Severity | None
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"question": "q", "answer": "a"}\n' * 50)
    holder = GpuProcess(4711, "someone", "python", 8 * GIB)
    gpu = make_gpu(total_gib=80, free_bytes=int(free_gib * GIB), processes=(holder,))
    answers = make_answers(data={"source": str(source)}, preset="guide-16gb")
    situation = make_situation(gpu, project=tmp_path, base=tmp_path, source=str(source), rows=50)
    model = ModelFacts("Qwen/Qwen2.5-7B-Instruct", False, None, QWEN_7B, "qwen", "known", True)
    situation = replace(situation, model=model)
    plan = make_plan(answers, situation)
    found = [p for p in preflight(answers, situation, plan) if p.code == "gpu_memory"]
    assert [p.severity for p in found] == ([severity] if severity else [])
    if severity:
        assert "4711 (someone)" in found[0].message
        assert exit_code_for(found) == 3
        forced = [p for p in preflight(answers, situation, plan, force=True) if p.code == "gpu_memory"]
        assert [p.severity for p in forced] == [Severity.WARNING]
