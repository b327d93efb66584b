"""Suggestions, fitting, time, disk and known models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sft_tui.memory import disk_needs, estimate, estimate_time, find_config, fit_options, known_config, suggestions
from sft_tui.memory.architecture import read_architecture
from sft_tui.memory.models import known_models
from sft_tui.memory.timing import card_tflops
from sft_tui.memory.weights import count_parameters
from sft_tui.problems import Refusal

GIB = 2**30
GUIDE: dict[str, Any] = {
    "bf16": True, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "cutoff_len": 4096,
    "lora_rank": 32, "lora_alpha": 64, "lora_dropout": 0.1,
}  # fmt: skip


def config(name: str) -> dict[str, Any]:
    found = known_config(name)
    assert found is not None
    return found


def test_the_cheapest_loss_of_quality_comes_first_and_each_figure_is_true() -> None:
    found = suggestions(config("Qwen2.5-7B"), GUIDE)
    order = [suggestion.quality for suggestion in found]
    assert order == sorted(order, key=["none", "slight", "some"].index)
    assert [suggestion.kind for suggestion in found][:2] == ["liger", "smaller_batch"]
    before = estimate(config("Qwen2.5-7B"), GUIDE).peak_bytes
    for suggestion in found:
        after = estimate(config("Qwen2.5-7B"), {**GUIDE, **suggestion.changes}).peak_bytes
        assert (suggestion.peak_bytes, suggestion.saves_bytes) == (after, before - after)


def test_costly_ones_are_left_out_where_a_free_one_is_enough() -> None:
    found = suggestions(config("Qwen2.5-7B"), GUIDE, 40 * GIB)
    assert {suggestion.quality for suggestion in found} == {"none"}


def test_a_shorter_cutoff_says_what_it_truncates() -> None:
    lengths = tuple([3000] * 30 + [200] * 70)
    texts = [s.text for s in suggestions(config("Qwen2.5-7B"), GUIDE, lengths=lengths) if s.kind == "shorter_cutoff"]
    assert texts and "30%" in texts[0]


@pytest.mark.parametrize("gib", [80, 48, 24, 16, 12])
def test_fitting_keeps_the_effective_batch_size(gib: int) -> None:
    fitted = fit_options(config("Qwen2.5-7B"), GUIDE, gib * GIB)
    assert fitted.fits and fitted.estimate.upper_bytes <= gib * GIB
    batch = fitted.options["per_device_train_batch_size"] * fitted.options["gradient_accumulation_steps"]
    assert batch == 8
    assert {**GUIDE, **fitted.changes} == fitted.options


def test_fitting_uses_only_what_is_installed_and_says_when_nothing_helps() -> None:
    fitted = fit_options(config("Qwen2.5-7B"), GUIDE, 24 * GIB, packages=())
    assert "enable_liger_kernel" not in fitted.changes and "quantization_bit" not in fitted.changes
    assert not fit_options(config("Llama-3.1-70B"), GUIDE, 8 * GIB).fits


def test_time_is_a_range_and_unknown_without_a_known_card() -> None:
    unknown = estimate_time(config("Qwen2.5-7B"), GUIDE, samples=800, mean_tokens=200, gpu_name="Strange 1")
    assert unknown.seconds_low is None and unknown.steps == 300
    known = estimate_time(config("Qwen2.5-7B"), GUIDE, samples=800, mean_tokens=200, gpu_name="NVIDIA H100 80GB HBM3")
    assert known.seconds_low and known.seconds_high and known.seconds_low < known.seconds_high
    measured = estimate_time(config("Qwen2.5-7B"), GUIDE, samples=800, mean_tokens=200, seconds_per_step=0.9)
    assert measured.seconds_low and measured.seconds_low < 270 < (measured.seconds_high or 0)


def test_the_measured_speeds_are_within_the_range() -> None:
    for name, rank, batch, length, seconds in (
        ("Qwen2.5-7B", 32, 4, 4096, 2.18), ("Qwen2.5-7B", 16, 2, 2048, 0.608), ("Qwen2.5-1.5B", 32, 4, 4096, 0.857),
        ("Llama-3.1-8B", 32, 4, 4096, 2.39), ("Qwen2.5-0.5B", 8, 1, 1024, 0.27), ("Qwen2.5-7B", 8, 1, 4096, 0.613),
    ):  # fmt: skip
        options = {
            "per_device_train_batch_size": batch, "gradient_accumulation_steps": 1, "cutoff_len": length,
            "lora_rank": rank, "num_train_epochs": 1, "bf16": True,
        }  # fmt: skip
        found = estimate_time(config(name), options, samples=batch * 100, mean_tokens=length, gpu_name="NVIDIA H100")
        assert found.seconds_low and found.seconds_high
        assert found.seconds_low <= seconds * 100 <= found.seconds_high, name


def test_cards_are_found_by_name() -> None:
    assert card_tflops("NVIDIA A100-SXM4-80GB") == 312
    assert card_tflops("NVIDIA GeForce RTX 4090") == 165
    assert card_tflops("NVIDIA L40S") == 362
    assert card_tflops(None) is card_tflops("Voodoo 2") is None


def test_disk_needs_grow_with_what_is_kept() -> None:
    options = {**GUIDE, "save_steps": 100, "save_total_limit": 3}
    lora = disk_needs(config("Qwen2.5-7B"), options, steps=1000)
    assert 14 * GIB < lora["merged"] < 15 * GIB
    assert 3 * GIB < lora["checkpoints"] < 5 * GIB, "80M parameters, 12 bytes each, four at a time"
    full = disk_needs(config("Qwen2.5-7B"), {**options, "finetuning_type": "full"}, steps=1000)
    assert full["checkpoints"] > 200 * GIB and "merged" not in full
    bare = disk_needs(config("Qwen2.5-7B"), {**options, "save_only_model": True}, steps=1000, export=False)
    assert bare["checkpoints"] < lora["checkpoints"] and "merged" not in bare
    assert disk_needs(config("Qwen2.5-7B"), {**options, "save_strategy": "no"}, download=True)["download"] > 14 * GIB


SIZES = {
    "Qwen/Qwen2.5-7B-Instruct": 7.62, "Qwen3-4B": 4.02, "Llama-3.2-1B": 1.24, "Llama-3.1-70B": 70.6,
    "Mistral-7B-v0.3": 7.25, "gemma-2-9b": 9.24, "gemma-3-1b-it": 1.0, "Phi-4-mini-instruct": 3.84, "phi-4": 14.7,
    "GLM-4-9B-0414": 9.4, "Yi-1.5-9B": 8.83, "internlm2_5-7b-chat": 7.74, "Baichuan2-7B-Chat": 7.51,
    "Mixtral-8x7B-v0.1": 46.7, "Qwen3-30B-A3B": 30.5, "Qwen1.5-MoE-A2.7B": 14.3, "SmolLM2-135M": 0.1345,
    "DeepSeek-R1-Distill-Qwen-1.5B": 1.78, "Qwen2.5-72B": 72.7, "gemma-2-27b": 27.2,
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_known_models_have_their_published_size(name: str) -> None:
    billions = count_parameters(read_architecture(config(name))) / 1e9
    assert billions == pytest.approx(SIZES[name], rel=0.02)


def test_every_known_model_can_be_estimated() -> None:
    assert len(known_models()) >= 200
    for row in {json.dumps(entry) for entry in known_models().values()}:
        read_architecture(json.loads(row))


def test_names_are_found_in_any_case_and_without_organisation() -> None:
    assert known_config("qwen/qwen2.5-7b-instruct") == known_config("Qwen2.5-7B") is not None
    assert known_config("nobody/nothing") is None


def test_a_model_that_cannot_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    codes = {}
    for name in ("model.gguf", "list.json", "broken.json", "adapter", "empty", "", "absent", "Qwen2.5-7B-Instuct"):
        with pytest.raises(Refusal) as refused:
            find_config(str(tmp_path / name) if name != "Qwen2.5-7B-Instuct" else name)
        codes[name] = refused.value.problems[0].code
    assert codes == {
        "model.gguf": "gguf", "list.json": "bad_config", "broken.json": "bad_config", "adapter": "adapter_not_model",
        "empty": "no_config", "": "gguf", "absent": "unknown_model", "Qwen2.5-7B-Instuct": "unknown_model",
    }  # fmt: skip


def test_a_directory_and_its_file_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config("Qwen3-0.6B")))
    assert find_config(str(tmp_path)) == find_config(str(tmp_path / "config.json")) == config("Qwen3-0.6B")
