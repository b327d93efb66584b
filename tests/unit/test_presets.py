"""Every preset fits its card for the models that it names, by the estimator, with its margin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sft_tui.factory.options import snapshot
from sft_tui.factory.train_config import guide_defaults
from sft_tui.memory import Fit, choose_for_model, estimate, judge, known_config
from sft_tui.presets import (
    Preset,
    choose_preset,
    find_preset,
    load_presets,
    presets_directory,
    read_preset,
)
from sft_tui.problems import Refusal

GIB = 2**30
USABLE = 0.92
"""What of a card's size is there at least: a T4 has 15.0 of 16 GiB, an A10 22.5 of 24, an L40S 45 of 48."""


def test_all_files_are_read() -> None:
    presets = load_presets()
    assert len(presets) == len(list(presets_directory().rglob("*.yaml"))) >= 12
    assert next(iter(presets)) == "cpu" and all(presets[f"{size}gb"].note for size in (8, 12, 16, 24, 32, 40, 48, 80))


@pytest.mark.parametrize("name", [name for name, preset in load_presets().items() if preset.card_gib])
def test_a_preset_fits_its_card(name: str) -> None:
    preset = load_presets()[name]
    assert preset.card_gib is not None
    assert preset.guide or len(preset.models) >= 8
    for packages in ((), ("liger-kernel",)):
        for model in preset.models:
            config = known_config(model)
            assert config is not None, model
            found = estimate(config, guide_defaults() | preset.options_with(packages))
            fit = judge(found, int(preset.card_gib * USABLE * GIB))
            assert fit is Fit.FITS, f"{model} needs {found.upper_bytes / GIB:.1f} GiB with its margin ({packages})"


@pytest.mark.parametrize("preset", load_presets().values(), ids=lambda preset: preset.name)
def test_options_are_known_and_the_effective_batch_size_is_eight(preset: Preset) -> None:
    for packages in ((), ("liger-kernel",)):
        options = preset.options_with(packages)
        assert set(options) <= set(snapshot().options)
        assert options["per_device_train_batch_size"] * options["gradient_accumulation_steps"] == 8
        assert options["lora_alpha"] == 2 * options["lora_rank"] and options["cutoff_len"] % 8 == 0
        assert not preset.guide or not set(options) - {"enable_liger_kernel"} - set(preset.options)


@pytest.mark.parametrize("path", sorted(presets_directory().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_option_is_commented(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    options = [line for line in lines if re.match(r"^\s+\w+: \S", line)]
    assert options and all("  # " in line for line in options)


def test_the_guides_values_are_kept_and_never_chosen() -> None:
    assert find_preset("guide-24gb.yaml").options_with() == {
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "cutoff_len": 4096, "lora_rank": 32,
        "lora_alpha": 64,
    }  # fmt: skip
    assert not any(choose_preset(gib * GIB).guide for gib in range(1, 200))


def test_the_largest_that_fits_the_free_memory_is_chosen() -> None:
    expected = {None: "cpu", 2: "8gb", 8: "8gb", 11.5: "12gb", 15: "16gb", 22.5: "24gb", 23.9: "24gb", 45: "48gb"}
    expected |= {79.6: "80gb", 140: "80gb"}
    for gib, name in expected.items():
        assert choose_preset(None if gib is None else int(gib * GIB)).name == name, gib


def test_a_preset_of_ones_own_and_a_broken_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("# mine\ncard_gib: 24\noptions: {cutoff_len: 512}\n")
    assert find_preset(str(mine)).options_with() == {"cutoff_len": 512}
    for text in ("options: 3\n", "opshuns: {}\n", "options: {\n"):
        mine.write_text(text)
        with pytest.raises(Refusal):
            read_preset(mine)
    with pytest.raises(Refusal) as refused:
        find_preset("24g")
    assert "24gb" in (refused.value.problems[0].hint or "")


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("card_gib: big", "card_gib", 2),
        ("card_gib: -1", "card_gib", None),
        ("card_gib: .nan", "card_gib", 2),
        ("models: Qwen", "models", 2),
        ("if_available: {liger_kernel: 1}", "if_available.liger_kernel", 2),
        ("guide: perhaps", "guide", 2),
        ("opshuns: {}", "opshuns", 2),
    ],
)
def test_a_wrong_value_is_refused_with_file_key_and_sentence(
    tmp_path: Path, text: str, key: str, line: int | None
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"options: {{cutoff_len: 512}}\n{text}\n")
    with pytest.raises(Refusal) as refused:
        read_preset(mine)
    problem = refused.value.problems[0]
    assert (problem.path, problem.key, problem.line) == (str(mine), key, line)
    assert key.rpartition(".")[2] in problem.message and "pydantic" not in problem.message


def test_auto_adapts_the_preset_to_the_model() -> None:
    both = ("liger-kernel", "bitsandbytes")
    small = choose_for_model(24 * GIB, known_config("Qwen2.5-7B"), guide_defaults(), packages=both)
    assert small.preset.name == "24gb" and small.fits and not small.changed
    large = choose_for_model(24 * GIB, known_config("Qwen2.5-14B"), guide_defaults(), packages=both)
    assert large.fits and large.changed and large.options["quantization_bit"] == 4
    batch = large.options["per_device_train_batch_size"] * large.options["gradient_accumulation_steps"]
    assert batch == 8
    assert choose_for_model(24 * GIB, known_config("Llama-3.1-70B"), guide_defaults(), packages=both).fits is False
    without = choose_for_model(4 * GIB, known_config("Qwen2.5-1.5B"), guide_defaults(), packages=("liger-kernel",))
    assert without.preset.name == "8gb" and "quantization_bit" not in without.options
    assert choose_for_model(None, known_config("Qwen2.5-7B"), guide_defaults()).preset.name == "cpu"
    assert choose_for_model(24 * GIB, None, guide_defaults()).fits is None
