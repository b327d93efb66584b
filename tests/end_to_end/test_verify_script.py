"""verify.py on real models: true merges of several kinds of adapter pass, each kind of damage fails its own check."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BASE = ROOT / "data" / "demo" / "model"
SCRIPT = ROOT / "sft_tui" / "factory" / "remote" / "verify.py"
PYTHON = os.environ.get("SFT_TUI_TRAIN_PYTHON", sys.executable)

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("verify"),  # one process makes all results
    pytest.mark.skipif(
        "SFT_TUI_TRAIN_PYTHON" not in os.environ and importlib.util.find_spec("peft") is None,
        reason="needs a training environment",
    ),
]

# Makes adapters of several kinds with PEFT, merged as LLaMA-Factory's export does: in float32, saved in bfloat16.
MERGE = """
import sys, torch, transformers
from pathlib import Path
from peft import LoraConfig, get_peft_model
base, out = sys.argv[1], Path(sys.argv[2])
kinds = {
    "lora": {},
    "rslora": {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "dora": {"use_dora": True},
    "saved": {"modules_to_save": ["norm"]},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
}
for kind, options in kinds.items():
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **options}
    model = get_peft_model(model, LoraConfig(**config))
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.data += 0.02 * torch.randn_like(weight)
    model.save_pretrained(out / kind / "adapter")
    model.merge_and_unload().to(torch.bfloat16).save_pretrained(out / kind / "merged")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    tokenizer.save_pretrained(out / kind / "merged")
"""
RUN_ALL = "import sys, verify; print('STATUSES', *[verify.main([spec]) for spec in sys.argv[1:]])"
SAMPLE = {
    "instruction": "请根据问题给出准确的回答。",
    "input": "小明有5个苹果，吃了2个，还剩几个？",
    "output": "5 - 2 = 3\n答：3个苹果。",
    "system": "你是一个有用的AI助手。",
}
CONVERSATION = {
    "conversations": [
        {"from": "human", "value": "日本的首都是哪里？"},
        {"from": "gpt", "value": "答：东京。"},
        {"from": "human", "value": "那法国呢？"},
        {"from": "gpt", "value": "答：巴黎。"},
    ],
    "system": "你是一个有用的AI助手。",
    "tools": "",
}
GOOD = ("lora", "rslora", "dora", "saved", "embedding")


def _spec(folder: Path, name: str, kind: str = "lora", **changes: Any) -> Path:
    """Write a spec for the given kind's adapter and merged model; `changes` replace its keys."""
    spec: dict[str, Any] = {
        "base": str(BASE),
        "adapter": str(folder / kind / "adapter"),
        "merged": str(folder / kind / "merged"),
        "template": "qwen",
        "trust_remote_code": False,
        "samples": [SAMPLE],
        "cutoff_len": 256,
        "max_new_tokens": 8,
        "finetuning_type": "lora",
        "device": "cpu",
        "out": str(folder / "results" / f"{name}.json"),
    }
    path = folder / f"{name}.spec.json"
    path.write_text(json.dumps({**spec, **changes}, ensure_ascii=False), encoding="utf-8")
    return path


def _damaged(folder: Path, name: str) -> Path:
    """A copy of the plain LoRA merge, to be damaged."""
    return Path(shutil.copytree(folder / "lora" / "merged", folder / f"merged-{name}"))


def _overwrite(model: Path, tensor: str, data: bytes) -> None:
    """Put other bytes at the start of a tensor."""
    with (model / "model.safetensors").open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        begin = json.loads(file.read(length))[tensor]["data_offsets"][0]
        file.seek(8 + length + begin)
        file.write(data)


def _cases(folder: Path) -> Iterator[Path]:
    """Specs of all cases, good and bad."""
    for kind in GOOD:
        yield _spec(folder, kind, kind)
    merged = _damaged(folder, "altered")
    _overwrite(merged, "model.layers.0.mlp.up_proj.weight", bytes.fromhex("803f") * 4)
    yield _spec(folder, "altered", merged=str(merged))
    merged = _damaged(folder, "untrained")
    shutil.copyfile(BASE / "model.safetensors", merged / "model.safetensors")
    yield _spec(folder, "untrained", merged=str(merged))
    yield _spec(folder, "other-adapter", adapter=str(folder / "rslora" / "adapter"))
    merged = _damaged(folder, "no-tokenizer")
    for file in merged.glob("tokenizer*"):
        file.unlink()
    yield _spec(folder, "no-tokenizer", merged=str(merged))
    merged = _damaged(folder, "no-template")
    (merged / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((merged / "tokenizer_config.json").read_text("utf-8"))
    settings.pop("chat_template", None)
    (merged / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    yield _spec(folder, "no-template", merged=str(merged))
    merged = _damaged(folder, "nan")
    _overwrite(merged, "model.norm.weight", bytes.fromhex("c07f") * 4)
    yield _spec(folder, "nan", merged=str(merged))
    merged = _damaged(folder, "cut")
    os.truncate(merged / "model.safetensors", 100_000)
    yield _spec(folder, "cut", merged=str(merged))
    yield _spec(folder, "no-merge", merged=str(folder / "nowhere"))
    yield _spec(folder, "no-adapter", adapter=str(folder / "nowhere"))
    yield _spec(folder, "other-template", template="chatml")
    yield _spec(folder, "no-base", base="nobody/has-this-model")
    yield _spec(folder, "no-samples", samples=[], cpu_bf16=False)
    yield _spec(folder, "conversation", samples=[CONVERSATION])
    yield _spec(folder, "full", finetuning_type="full", adapter=str(folder / "lora" / "merged"))


Results = dict[str, tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Exit status and result of every case, all made in one process (it imports torch once)."""
    folder = tmp_path_factory.mktemp("verify")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([PYTHON, "-c", MERGE, str(BASE), str(folder)], check=True, capture_output=True, env=environment)
    specs = list(_cases(folder))
    done = subprocess.run(
        [PYTHON, "-c", RUN_ALL, *map(str, specs)],
        cwd=SCRIPT.parent,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert "STATUSES" in done.stdout, done.stdout + done.stderr
    statuses = done.stdout.rpartition("STATUSES")[2].split()
    names = [spec.name.removesuffix(".spec.json") for spec in specs]
    written = [json.loads((folder / "results" / f"{name}.json").read_text("utf-8")) for name in names]
    return dict(zip(names, zip(map(int, statuses), written, strict=True), strict=True))


def _statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["status"] for check in result["checks"]}


@pytest.mark.parametrize("kind", [*GOOD, "no-samples", "conversation", "full"])
def test_a_true_merge_passes(results: Results, kind: str) -> None:
    status, result = results[kind]
    assert set(_statuses(result).values()) == {"ok"}, result["checks"]
    assert set(_statuses(result)) == {"tokenizer", "prompts", "changed", "agrees", "loads", "answers"}
    assert (status, result["ok"]) == (0, True)


def test_the_answers_before_and_after_are_given(results: Results) -> None:
    sample = results["lora"][1]["samples"][0]
    assert sample["prompt"] == f"{SAMPLE['instruction']}\n{SAMPLE['input']}"
    assert sample["reference"] == SAMPLE["output"]
    assert sample["before"].startswith("谢谢你的提问")
    assert sample["after"]


def test_a_conversation_is_asked_its_last_question(results: Results) -> None:
    sample = results["conversation"][1]["samples"][0]
    assert (sample["prompt"], sample["reference"]) == ("那法国呢？", "答：巴黎。")
    assert sample["before"]


@pytest.mark.parametrize(
    ("case", "failed"),
    [
        ("altered", {"agrees"}),
        ("untrained", {"changed", "agrees"}),
        ("other-adapter", {"agrees"}),
        ("no-tokenizer", {"tokenizer"}),
        ("no-template", {"tokenizer"}),
        ("nan", {"agrees", "answers"}),
        ("no-merge", {"loads"}),
        ("no-adapter", {"agrees"}),
    ],
)
def test_damage_fails_its_own_check(results: Results, case: str, failed: set[str]) -> None:
    status, result = results[case]
    assert {name for name, word in _statuses(result).items() if word == "failed"} == failed, result["checks"]
    assert (status, result["ok"]) == (1, False)


def test_a_file_that_was_cut_off_fails_and_says_so(results: Results) -> None:
    status, result = results["cut"]
    assert (status, result["ok"]) == (1, False)
    statuses = _statuses(result)
    assert (statuses["agrees"], statuses["loads"]) == ("skipped", "failed")


def test_the_altered_tensor_is_named(results: Results) -> None:
    messages = [check["message"] for check in results["altered"][1]["checks"] if check["name"] == "agrees"]
    assert "model.layers.0.mlp.up_proj.weight" in messages[0]


def test_prompts_that_the_chat_template_does_not_write_are_shown(results: Results) -> None:
    status, result = results["other-template"]
    (check,) = (check for check in result["checks"] if check["name"] == "prompts")
    assert (status, check["status"]) == (0, "differs")
    assert "one question" in check["message"]


def test_without_the_base_model_the_comparison_is_skipped(results: Results) -> None:
    status, result = results["no-base"]
    statuses = _statuses(result)
    assert (status, statuses["changed"], statuses["agrees"], statuses["answers"]) == (0, "skipped", "skipped", "ok")
    assert result["samples"][0]["before"] is None


def test_a_spec_that_cannot_be_read_is_exit_2_with_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [PYTHON, str(SCRIPT), str(tmp_path / "none.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr
