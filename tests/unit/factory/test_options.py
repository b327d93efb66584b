"""What is known of a LLaMA-Factory: the shipped snapshot, a remembered probe, an environment's packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from sft_tui.factory.options import GROUPS, Factory, changed_from_default, factory_from, snapshot
from sft_tui.factory.probe import (
    cached_probe,
    load_factory,
    probe_environment,
    root_error,
)
from sft_tui.factory.templates import markers, misfit, template_for_model, tokens_beyond
from sft_tui.problems import ExitCode, Refusal
from tests.corpora.workspace import DEMO_MODEL, build


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("options") / "workspace")


def test_the_snapshot_holds_everything_of_the_tested_version() -> None:
    factory = snapshot()
    assert factory.version == "0.9.5"
    assert factory.source == "snapshot"
    assert len(factory.options) == 346
    assert len(factory.templates) == 121
    assert len(factory.models) == 628
    assert sum(bool(model.template) for model in factory.models.values()) == 461
    assert {option.group for option in factory.options.values()} == set(GROUPS)
    assert all(option.help for option in factory.options.values())
    assert factory.methods == ("full", "freeze", "lora", "oft")
    assert set(factory.stages) == {"pt", "sft", "rm", "ppo", "dpo", "kto"}


def test_options_have_types_choices_and_ranges() -> None:
    options = snapshot().options
    assert options["lora_rank"].types == ("int",)
    assert options["lora_rank"].minimum == 1
    assert options["deepspeed"].types == ("dict", "str")
    assert options["deepspeed"].optional
    assert options["eval_strategy"].choices == ("no", "steps", "epoch")
    assert options["bf16"].type == "bool"
    assert not options["bf16"].in_merge
    assert options["export_dir"].in_merge


def test_what_is_installed_is_not_known_from_a_snapshot() -> None:
    assert snapshot().has("torch") is None


def test_models_are_found_by_name_id_and_directory() -> None:
    for name in ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct", "Qwen2.5-7B-Instruct/"):
        known = snapshot().model_by_id(name)
        assert known is not None
        assert known.template == "qwen"
    assert snapshot().model_by_id("no/such-model") is None


def test_what_differs_from_the_default_is_named() -> None:
    values = {"lora_rank": 8, "lora_alpha": 16, "nonsense": 1}
    assert changed_from_default(values, snapshot()) == {"lora_alpha"}


def test_the_snapshot_knows_the_packages_that_were_seen_in_the_environment(tmp_path: Path) -> None:
    python, cache = str(tmp_path / "env" / "bin" / "python"), tmp_path / "cache"
    factory = load_factory(python, {"llamafactory": "0.9.5", "liger-kernel": "0.6.0"}, cache)
    assert factory.source == "snapshot"
    assert factory.has("liger-kernel") is True
    assert factory.has("deepspeed") is False
    assert load_factory(python, {"torch": "2.14.1"}, cache).has("deepspeed") is None
    assert load_factory(python, None, cache).has("deepspeed") is None


def _fake_python(tmp_path: Path, body: str) -> str:
    """An interpreter that runs `body` instead of the probe; the probe's output file is `$2`."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def _that_answers(tmp_path: Path, watch: list[Path]) -> str:
    """An interpreter that answers the probe as version 9.9.9, installed in the directories `watch`."""
    raw = orjson.loads((Path(__file__).parents[3] / "sft_tui/factory/snapshots/0.9.5.json").read_bytes())
    data = tmp_path / "data.json"
    data.write_bytes(orjson.dumps({**raw, "version": "9.9.9", "watch": [str(path) for path in watch]}))
    return _fake_python(tmp_path, f'cp "{data}" "$2"')


def test_a_probe_is_cached_and_forgotten_when_the_environment_changes(tmp_path: Path) -> None:
    package = tmp_path / "site-packages"
    package.mkdir()
    python = _that_answers(tmp_path, [package])
    cache = tmp_path / "cache"
    assert cached_probe(python, cache) is None
    assert probe_environment(python, cache_dir=cache).factory.version == "9.9.9"
    again = cached_probe(python, cache)
    assert again is not None
    assert again.cached
    assert load_factory(python, cache_dir=cache).version == "9.9.9"
    (package / "torch-3.dist-info").mkdir()
    assert cached_probe(python, cache) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"data": 1, "watched": {}}', b"[1]"])
def test_a_broken_cache_is_no_cache(tmp_path: Path, content: bytes) -> None:
    python = _that_answers(tmp_path, [])
    cache = tmp_path / "cache"
    probe_environment(python, cache_dir=cache)
    assert cached_probe(python, cache) is not None
    (file,) = cache.iterdir()
    file.write_bytes(content)
    assert cached_probe(python, cache) is None


def test_a_failed_import_is_told_with_its_cause(tmp_path: Path) -> None:
    lines = (
        "RuntimeError: operator torchvision::nms does not exist",
        "ModuleNotFoundError: Could not import module 'PreTrainedModel'. Are this object's requirements met?",
    )
    python = _fake_python(tmp_path, "".join(f'echo "{line}" >&2\n' for line in lines) + "exit 1")
    with pytest.raises(Refusal) as refusal:
        probe_environment(python, cache_dir=tmp_path)
    assert refusal.value.exit_code is ExitCode.PREFLIGHT
    assert "torchvision::nms" in refusal.value.problems[0].message
    assert root_error(list(lines)) == lines[0]


def test_what_is_not_installed_slow_or_no_python_is_told(tmp_path: Path) -> None:
    absent = _fake_python(tmp_path, "echo \"ModuleNotFoundError: No module named 'llamafactory'\" >&2; exit 1")
    with pytest.raises(Refusal, match="not installed"):
        probe_environment(absent, cache_dir=tmp_path)
    slow = _fake_python(tmp_path, "sleep 5")
    with pytest.raises(Refusal, match="longer than"):
        probe_environment(slow, timeout_s=0.2, cache_dir=tmp_path)
    with pytest.raises(Refusal, match="cannot be started"):
        probe_environment(str(tmp_path / "nowhere"), cache_dir=tmp_path)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, sft_tui.factory.check as c, sft_tui.factory.probe as o; o.load_factory(sys.executable);"
        "heavy = {'torch', 'transformers', 'llamafactory', 'pandas', 'pyarrow', 'polars', 'pydantic', 'textual'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def config() -> dict[str, object]:
    data: dict[str, object] = orjson.loads((DEMO_MODEL / "config.json").read_bytes())
    return data


def test_a_template_is_found_by_name_chat_template_and_architecture(
    config: dict[str, object], workspace: Path, tmp_path: Path
) -> None:
    factory = snapshot()
    assert template_for_model("meta-llama/Meta-Llama-3-8B-Instruct", None, factory).name == "llama3"
    assert template_for_model("/models/Qwen2.5-7B-Instruct", None, factory).certain
    guess = template_for_model(str(DEMO_MODEL), config, factory)
    assert (guess.name, guess.certain) == ("qwen", True)
    bare = template_for_model(str(workspace / "model_no_tokenizer"), config, factory)
    assert (bare.name, bare.certain) == ("qwen", False)
    unknown = template_for_model(str(tmp_path), {"model_type": "new"}, factory)
    assert (unknown.name, unknown.certain) == ("default", False)


@pytest.mark.parametrize(
    ("chat", "kind", "expected"),
    [
        ("{{'<|start_header_id|>' + role + '<|end_header_id|>' + text + '<|eot_id|>'}}", "llama", "llama3"),
        ("{{'[INST] ' + text + ' [/INST]'}}<<SYS>>\\n<</SYS>>", "llama", "llama2"),
        ("<start_of_turn>{{role}}\\n{{text}}<end_of_turn>", "gemma2", "gemma2"),
        ("<|im_start|>{{role}}{{text}}<|im_end|><think>\\n\\n</think>", "qwen3", "qwen3"),
        ("<|im_start|>{{role}}{{text}}<|im_end|>", "qwen3", "qwen3_nothink"),
    ],
)
def test_chat_templates_of_well_known_families(tmp_path: Path, chat: str, kind: str, expected: str) -> None:
    (tmp_path / "tokenizer_config.json").write_bytes(orjson.dumps({"chat_template": chat}))
    assert template_for_model(str(tmp_path), {"model_type": kind}, snapshot()).name == expected


def test_each_default_template_of_a_known_model_is_its_own_guess() -> None:
    factory = snapshot()
    for model in factory.models.values():
        if model.template in factory.templates and model.huggingface:
            assert template_for_model(model.huggingface, None, factory).name == model.template


def test_a_template_that_does_not_fit_is_found_out(config: dict[str, object], workspace: Path) -> None:
    factory, model = snapshot(), workspace / "model"
    assert markers(factory.templates["qwen"]) == {"<|im_start|>", "<|im_end|>"}
    for name in ("qwen", "chatml", "qwen3_nothink"):
        assert misfit(name, model, config, factory) is None
    wrong = misfit("llama3", model, config, factory)
    assert wrong is not None
    assert wrong.better == "qwen"
    thinking = misfit("qwen3", model, config, factory)
    assert thinking is not None
    assert thinking.code == "template_thinking"
    assert tokens_beyond(factory.templates["qwen"], model, config) == []
    assert tokens_beyond(factory.templates["llama3"], model, config)
    assert tokens_beyond(factory.templates["llama3"], model, {**config, "vocab_size": 4096}) == []


def test_an_unknown_newer_version_works_by_its_own_probe() -> None:
    raw = orjson.loads((Path(__file__).parents[3] / "sft_tui/factory/snapshots/0.9.5.json").read_bytes())
    raw["options"].append(
        {"name": "brand_new", "group": "data", "types": ["int", "none"], "default": None, "choices": None, "help": "?"}
    )
    raw["version"] = "1.0.0"
    factory: Factory = factory_from(raw, "probe")
    assert factory.options["brand_new"].optional
    assert factory.has("torch") is True
