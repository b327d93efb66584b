"""What keeps a run from starting."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.machine.gpus import GpuProcess
from sft_tui.plan.context import ModelFacts, gather
from sft_tui.plan.make import make_plan
from sft_tui.plan.preflight import check_options, preflight
from sft_tui.problems import Severity, exit_code_for
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


MIXED = {"mix_strategy": "interleave_under", "interleave_probs": "0.7,0.3"}


def option_problems(project: Path, **train: object) -> dict[str, str]:
    """The codes of the errors that the options of a planned run on the demo's model have, by key."""
    (project / "data").mkdir(exist_ok=True)
    (project / "data" / "other.json").write_text(json.dumps([{"instruction": "a", "input": "", "output": "b"}] * 20))
    (project / "data" / "dataset_info.json").write_text('{"other": {"file_name": "other.json"}}')
    answers = make_answers(train=train, hardware={"gpus": "none"})
    situation = make_situation(project=project, base=project, rows=50)
    found = check_options(answers, situation, make_plan(answers, situation).train_options, ())
    return {p.key or "": p.code for p in found if p.severity is Severity.ERROR}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({}, {}),
        ({"dataset": "other"}, {}),
        ({"dataset": "othr"}, {"train.dataset": "unknown_dataset"}),
        ({"eval_dataset": "other", "val_size": 0.0}, {}),
        ({"eval_dataset": "othr", "val_size": 0.0}, {"train.eval_dataset": "unknown_dataset"}),
        ({"dataset": "apples_train,other"} | MIXED, {}),
        ({"dataset": "apples_train,other,other"} | MIXED, {"train.interleave_probs": "conflict"}),
        ({"stage": "dpo"}, {"train.stage": "wrong_stage"}),
        ({"stage": "dpo", "dataset": "other"}, {"train.dataset": "wrong_stage"}),
    ],
)
def test_datasets_beside_the_converted_one_must_be_registered(
    tmp_path: Path, train: dict[str, object], expected: dict[str, str]
) -> None:
    assert option_problems(tmp_path, **train) == expected


def test_test_rows_must_leave_something_to_train_on(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"question": "q", "answer": "a"}\n' * 20)
    answers = make_answers(data={"source": str(source), "test_size": 20}, hardware={"gpus": "none"})
    situation = make_situation(project=tmp_path, base=tmp_path, source=str(source), rows=20)
    found = preflight(answers, situation, make_plan(answers, situation), light=True)
    assert [p.code for p in found if p.key == "data.test_size"] == ["out_of_range"]
    assert not [p for p in found if p.key == "train.val_size"]


def data_problems(
    folder: Path, rows: list[dict[str, object]], template: str = "qwen", **data: object
) -> dict[str, str]:
    """What the preflight says of the data: the sentences by code and severity."""
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = make_answers(
        data={"source": str(source), "columns": {}, **data}, model={"path": "demo", "template": template}
    )
    situation = make_situation(project=folder, base=folder, source=str(source), rows=len(rows))
    situation = replace(situation, model=replace(situation.model, template=template))
    found = preflight(answers, situation, make_plan(answers, situation))
    return {f"{p.code} {p.severity.value}": p.message for p in found if (p.key or "").startswith("data")}


def test_what_data_says_beside_its_texts_is_said_before_the_start(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"question": "q", "answer": "a", "id": n, "label": n > 3} for n in range(30)]
    found = data_problems(tmp_path, rows)
    assert "`id`: numbers" in found["unused_columns info"]
    assert "Of the first 20 rows: 4 rows" in found["rejected warning"]
    assert "`label`" in found["label_column warning"]


def test_pictures_for_a_model_of_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    row: dict[str, object] = {"query": "<image>q", "response": "a", "images": ["a.png"]}
    assert "template_media error" in data_problems(tmp_path, [row] * 3)
    found = data_problems(tmp_path, [row] * 3, "qwen2_vl")
    assert "template_media error" not in found
    assert "media_not_counted warning" in found
    missing = data_problems(tmp_path, [{**row, "images": ["b.png"]}, row], "qwen2_vl")
    assert "missing_file warning" in missing


def test_reasoning_is_kept_where_the_template_has_a_place_for_it(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "hm"}]
    rows: list[dict[str, object]] = [{"messages": turns}] * 3
    assert "between <think> and </think>" in data_problems(tmp_path, rows, "qwen3")["reasoning info"]
    assert "it is left out" in data_problems(tmp_path, rows, "qwen")["reasoning warning"]
    assert "between <think> and </think>" in data_problems(tmp_path, rows, "qwen", reasoning="keep")["reasoning info"]


def test_a_chinese_file_name_names_the_data(tmp_path: Path) -> None:
    (tmp_path / "苹果 问答.csv").write_text("question,answer\nq,a\n")
    answers = make_answers(data={"source": "苹果 问答.csv"}, hardware={"gpus": "none"})
    situation = gather(answers, tmp_path / "answers.yaml", light=True)
    assert situation.dataset == "苹果-问答"
    named = make_answers(data={"source": "苹果 问答.csv", "name": situation.dataset})
    assert named.data.name == situation.dataset


def test_a_role_that_no_column_shall_play_is_no_unknown_column(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"question": "q", "answer": "a", "label": 0}, {"question": "q", "answer": "b"}]
    found = data_problems(tmp_path, rows, columns={"label": ""})
    assert list(found) == ["unused_columns info"]


def test_files_with_commas_between_are_found_beside_the_answers(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"question": "q", "answer": "a"}\n' * 30)
    answers = make_answers(data={"source": "a.jsonl, b.jsonl"})
    situation = gather(answers, tmp_path / "answers.yaml")
    assert situation.source == f"{tmp_path}/a.jsonl,{tmp_path}/b.jsonl"
    found = preflight(answers, situation, make_plan(answers, situation))
    assert [problem.code for problem in found if problem.key and problem.key.startswith("data.")] == []


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("https://example.org/a.csv", "curl"),
        ("https://huggingface.co/datasets/a/b", "hub:a/b"),
        ("rosw.jsonl", "rows.jsonl"),
        ("*.cvs", ""),
    ],
)
def test_a_glance_says_of_a_source_what_a_look_says(tmp_path: Path, source: str, hint: str) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "q", "answer": "a"}\n' * 30)
    answers = make_answers(data={"source": source})
    situation = gather(answers, tmp_path / "answers.yaml", light=True)
    plan = make_plan(answers, situation)
    glance, look = (
        [p for p in preflight(answers, situation, plan, light=light) if p.key == "data.source"]
        for light in (True, False)
    )
    assert [(p.code, p.message, p.hint) for p in glance] == [(p.code, p.message, p.hint) for p in look]
    assert hint in (glance[0].hint or "")


@pytest.mark.parametrize(
    ("version", "answer", "severity"),
    [
        ("9.9.9", {"ok": True}, Severity.WARNING),
        ("9.9.9", {"ok": False, "kind": "ValueError", "message": "At most one of fp16 and bf16"}, Severity.ERROR),
        ("9.9.9", None, Severity.ERROR),
        ("0.9.5", {"ok": True}, Severity.ERROR),
    ],
    ids=["accepted", "refused", "silent", "tested version"],
)
def test_an_untested_version_s_own_parser_knows_better_than_our_rules(
    tmp_path: Path, version: str, answer: dict[str, object] | None, severity: Severity
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"question": "q", "answer": "a"}\n' * 50)
    python = tmp_path / "python"  # what it would say of the config, without the ten seconds
    told = json.dumps({"kind": "", "message": "", "warnings": [], **answer}) if answer else ""
    python.write_text(f"#!/bin/sh\ncat > \"$4\" <<'EOF'\n{told}\nEOF\n")
    python.chmod(0o755)
    train = {"fp16_full_eval": True, "bf16_full_eval": True}
    answers = make_answers(data={"source": str(source)}, train=train, hardware={"gpus": "none"})
    situation = make_situation(project=tmp_path, base=tmp_path, source=str(source), rows=50)
    environment = situation.environment
    assert environment is not None
    situation = replace(
        situation,
        search=replace(situation.search, environment=replace(environment, python=str(python))),
        factory=replace(situation.factory, source="probe", version=version),
    )
    found = preflight(answers, situation, make_plan(answers, situation))
    rule = next(problem for problem in found if problem.key == "train.fp16_full_eval")
    assert rule.severity is severity
    assert ("accepts it" in rule.message) is (severity is Severity.WARNING)
