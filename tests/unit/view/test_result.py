"""What a run has made, and how to use it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sft_tui.i18n import current_language, set_language
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import Status, read_state
from sft_tui.view.outcome import read_outcome
from sft_tui.view.result import read_result, write_usage
from tests.tui.runs.run_dirs import make_run


def finished_run(project: Path, *, merged: bool = True) -> RunLayout:
    layout = make_run(project, "done", status=Status.FINISHED, stage="verify", steps=282)
    (layout.save_dir / "adapter_config.json").write_text("{}", encoding="utf-8")
    (layout.save_dir / "adapter_model.safetensors").write_bytes(b"x" * 1000)
    if merged:
        layout.model_dir.mkdir(parents=True)
        (layout.model_dir / "config.json").write_text("{}", encoding="utf-8")
        (layout.model_dir / "model.safetensors").write_bytes(b"x" * 2000)
        (layout.model_dir / "Modelfile").write_text("FROM .\n", encoding="utf-8")
        result = {
            "ok": True,
            "checks": [{"name": "loads", "status": "ok", "message": "fine"}],
            "samples": [{"prompt": '它\'s "what"?', "reference": "a", "before": None, "after": "b"}],
        }
        layout.verify_result.write_text(json.dumps(result), encoding="utf-8")
    return layout


def test_a_merged_model_has_four_uses(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    result = read_result(layout)
    assert result.verified and result.exported and result.trained
    assert [usage.tool for usage in result.usages] == ["transformers", "vLLM", "LLaMA-Factory", "Ollama"]
    words = shlex.split(result.usages[0].command)
    assert words[:2] == ["/opt/train/bin/python", "-c"]
    compile(words[2], "command", "exec")
    assert "它's" in words[2]
    assert result.samples[0].before is None
    sizes = {place.kind: place.size_bytes for place in result.places}
    assert sizes["merged"] == 2000 + 2 + 7 and sizes["configs"] is None


def test_without_a_merge_the_adapter_is_used_on_its_base(tmp_path: Path) -> None:
    result = read_result(finished_run(tmp_path, merged=False))
    assert result.verified is None and not result.exported
    (usage,) = result.usages
    assert "--adapter_name_or_path saves/done" in usage.command and "--template qwen" in usage.command


def test_a_run_that_saved_nothing_has_no_uses(tmp_path: Path) -> None:
    result = read_result(make_run(tmp_path, status=Status.FAILED))
    assert result.usages == () and not result.trained


def test_the_curves_are_shown_by_tensorboard_where_there_are_some(tmp_path: Path) -> None:
    layout = make_run(tmp_path, status=Status.FAILED)
    curves = layout.log_dir / "tensorboard" / "events.out.tfevents.1.node"
    curves.parent.mkdir(parents=True)
    curves.write_bytes(b"x")
    (usage,) = read_result(layout).usages
    assert usage.command == f"tensorboard --logdir ./logs/{layout.name}/tensorboard"
    state = read_state(layout)
    assert state is not None
    assert any(usage.command in line for line in read_outcome(layout, state).places)


def test_what_was_verified_is_said_in_the_user_s_language(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    inner = {"text": "{count} tensors, such as {name}", "values": {"count": 2, "name": "model.{norm}"}}
    said = [{"text": "The merged model lacks {tensors}.", "values": {"tensors": inner}}]
    check = {"name": "agrees", "status": "failed", "message": "The merged model lacks 2 tensors.", "said": said}
    broken = {**check, "said": [{"text": "{x}", "values": {}}]}
    layout.verify_result.write_text(json.dumps({"ok": False, "checks": [check, broken], "samples": []}))
    before = current_language()
    try:
        set_language("zh_CN")
        shown = [check.message for check in read_result(layout).checks]
    finally:
        set_language(before)
    assert shown[0].startswith("合并后的模型缺少") and "model.{norm}" in shown[0]
    assert shown[1] == check["message"]


def test_broken_results_are_no_success(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    layout.verify_result.write_text('{"checks": 3, "samples": [1], "error": "x"}', encoding="utf-8")
    result = read_result(layout)
    assert result.verified is False and result.verify_error == "x" and result.samples == ()


def test_the_commands_are_kept_in_a_file(tmp_path: Path) -> None:
    layout = finished_run(tmp_path)
    text = write_usage(layout, read_result(layout), "How to use done", "Type:").read_text(encoding="utf-8")
    assert "vllm serve models/done" in text and f"cd {tmp_path}" in text
