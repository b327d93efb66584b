"""LLaMA-Factory's own loader takes what was written, and trains on exactly the ids that the preview shows.

What it trains on is the same as without the conversion, where its own register can describe the source.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sft_tui.dataset import Columns, ConvertRequest, ConvertResult
from sft_tui.factory.dataset_info import read_dataset_info
from sft_tui.factory.length import trained_rows
from sft_tui.factory.rendering import Renderer
from sft_tui.plan.conversion import convert_and_register
from tests.end_to_end.factory_sets import KINDS, register, write

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("factory_dataset")]  # one LLaMA-Factory for all

MODEL = Path(__file__).parents[2] / "data" / "demo" / "model"
TEMPLATES = ("qwen", "qwen3", "llama3", "default")
ALL_TEMPLATES = ("qwen3", "llama3", "glm4", "mistral", "default")
"""For the comparison with what LLaMA-Factory is given by hand: different marks, systems, and ways to call tools."""
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"train_on_prompt": True},
    {"mask_history": True},
    {"packing": True},
    {"neat_packing": True, "mask_history": True},
    {"cutoff_len": 40},
)
_CALL = '{"name": "f", "arguments": {"x": 1.50}}'
_TOOLS = [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "number"}}}}]


def turns(*texts: str, **more: Any) -> dict[str, Any]:
    sides = ["user", "assistant"] * len(texts)
    return {"messages": [{"role": s, "content": t} for s, t in zip(sides, texts, strict=False)], **more}


def alpaca_rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"question": f"苹果 {number} + 1?", "answer": f"{number + 1} 个\n好", "sys": "简短" if number % 2 else None}
        for number in range(12)
    ]
    return [*rows, {"question": "word " * 60, "answer": "long " * 60}, {"question": "", "answer": "dropped"}]


def chat_rows() -> list[dict[str, Any]]:
    called = {"messages": [
        {"role": "user", "content": "call it"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"x": 1.50}'}}]},
        {"role": "tool", "content": "r1"},
        {"role": "tool", "content": "r2"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\ndone"},
    ], "tools": _TOOLS}  # fmt: skip
    return [
        turns("one", "two", "three", "four", "five", "six"),
        {"messages": [{"role": "system", "content": "be brief"}, *turns("q", "a")["messages"]]},
        called,
        turns("only a question"),
        turns("word " * 30, "long " * 30, "word " * 30, "long " * 30),
    ]


def history_rows() -> list[dict[str, Any]]:
    return [
        {"instruction": "now", "input": "this", "output": "answer", "history": [["q1", "a1"], ["q2", "a2"]]},
        {"instruction": "now", "input": "", "output": "answer", "history": []},
    ]


def judged_rows() -> list[dict[str, Any]]:
    """Rows that say of themselves what is trained on: reasoning, weights, labels."""
    thinking = turns("why?", "so.", "and?", "thus.")
    thinking["messages"][3]["reasoning_content"] = "let me see"
    cut = turns("one", "two", "three", "never")
    cut["messages"][3]["weight"] = 0
    return [{**thinking, "label": True}, {**cut, "label": True}, {**turns("q", "rejected"), "label": False}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, ConvertResult]]:
    folder = tmp_path_factory.mktemp("factory")
    results = {}
    for name, rows in (("alpaca", alpaca_rows()), ("chat", chat_rows()), ("history", history_rows()),
                       ("judged", judged_rows())):  # fmt: skip
        columns = Columns(input="question", output="answer", system="sys") if name == "alpaca" else Columns()
        source = str(write(folder / f"{name}.jsonl", rows))
        results[name] = convert_and_register(ConvertRequest(source, folder / "data", columns=columns))
    own: dict[str, Any] = {}
    for name, kind in KINDS.items():
        request = ConvertRequest(
            str(write(folder / f"{name}.jsonl", kind.rows)), folder / "kinds", columns=kind.columns
        )
        convert_and_register(replace(request, mask_history=kind.mask_history))
        own |= dict([register(folder / "kinds", name, kind)])
    info = read_dataset_info(folder / "kinds")
    (folder / "kinds" / "dataset_info.json").write_text(json.dumps({**info, **own}))
    return folder, results


def configs(folder: Path) -> list[dict[str, Any]]:
    """A training config for each dataset, template and option."""
    return [
        {**_base(folder, "data"), **option, "template": template, "dataset": f"{name}_train"}
        for name in ("alpaca", "chat", "history", "judged")
        for template in TEMPLATES
        for option in OPTIONS
    ]


def kind_configs(folder: Path) -> list[dict[str, Any]]:
    """A training config for each kind of data and each template, converted and by hand."""
    return [
        {**_base(folder, "kinds"), "mask_history": kind.mask_history, "template": template, "dataset": f"{name}_{way}"}
        for name, kind in KINDS.items()
        for template in ALL_TEMPLATES
        for way in ("train", "own")
    ]


def _base(folder: Path, data: str) -> dict[str, Any]:
    return {
        "stage": "sft", "do_train": True, "finetuning_type": "lora", "use_cpu": True, "report_to": "none",
        "model_name_or_path": str(MODEL), "dataset_dir": str(folder / data), "output_dir": str(folder / "saves"),
        "overwrite_cache": True, "cutoff_len": 256,
    }  # fmt: skip


def loaded(folder: Path, requests: list[dict[str, Any]]) -> list[dict[str, list[list[int]]]]:
    """What LLaMA-Factory's loader makes of each training config."""
    (folder / "requests.json").write_text(json.dumps(requests))
    script = Path(__file__).with_name("factory_dataset.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "requests.json"), str(folder / "answers.json")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HOME": str(folder / "cache"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, list[list[int]]]] = json.loads((folder / "answers.json").read_text())
    return found


@pytest.fixture(scope="module")
def answers(data: tuple[Path, dict[str, ConvertResult]]) -> list[dict[str, list[list[int]]]]:
    """What LLaMA-Factory makes of all configs, in their order."""
    folder, _results = data
    return loaded(folder, [*configs(folder), *kind_configs(folder)])


MIXES: tuple[dict[str, Any], ...] = (
    {},
    {"max_samples": 7},
    {"mix_strategy": "interleave_under"},
    {"mix_strategy": "interleave_over"},
    {"mix_strategy": "interleave_under", "interleave_probs": "0.7,0.2,0.1"},
    {"mix_strategy": "interleave_over", "interleave_probs": "0.7,0.2,0.1", "seed": 7},
    {"mix_strategy": "interleave_over", "interleave_probs": "0.1,0.1,0.8", "max_samples": 10, "val_size": 0.1},
    {"mix_strategy": "interleave_under", "interleave_probs": "0.3,0.3,0.4", "val_size": 3, "seed": 1},
)


def test_a_mix_has_the_rows_that_are_planned(tmp_path: Path) -> None:
    counts = {"a": 30, "b": 12, "c": 5}
    for name, count in counts.items():
        source = tmp_path / f"{name}.jsonl"
        source.write_text("".join(json.dumps({"input": f"{name} {n}", "output": "x"}) + "\n" for n in range(count)))
        convert_and_register(ConvertRequest(str(source), tmp_path / "data"))
    base = {**_base(tmp_path, "data"), "template": "default", "dataset": ",".join(f"{name}_train" for name in counts)}
    requests = [{**base, **mix} for mix in MIXES]
    for request, answer in zip(requests, loaded(tmp_path, requests), strict=True):
        assert len(answer["input_ids"]) == trained_rows(request, *counts.values()), request


@pytest.mark.parametrize("name", KINDS)
def test_the_conversion_changes_nothing_that_is_trained_on(
    data: tuple[Path, dict[str, ConvertResult]], answers: list[dict[str, Any]], name: str
) -> None:
    folder, _results = data
    asked = kind_configs(folder)
    made = dict(zip([(a["dataset"], a["template"]) for a in asked], answers[-len(asked) :], strict=True))
    for template in ALL_TEMPLATES:
        converted, by_hand = made[f"{name}_train", template], made[f"{name}_own", template]
        assert converted["input_ids"] == by_hand["input_ids"], template
        assert converted["labels"] == by_hand["labels"], template
        assert len(converted["labels"]) == len(KINDS[name].by_hand or KINDS[name].rows)
        assert all(any(label != -100 for label in row) for row in converted["labels"])


def test_preview_shows_what_is_trained_on(
    data: tuple[Path, dict[str, ConvertResult]], answers: list[dict[str, Any]]
) -> None:
    folder, results = data
    assert {name: result.written for name, result in results.items()} == {
        "alpaca": 13, "chat": 4, "history": 2, "judged": 2,
    }  # fmt: skip
    info = read_dataset_info(folder / "data")
    kept = ("template", "cutoff_len", "train_on_prompt", "mask_history", "packing", "neat_packing")
    with Renderer(sys.executable) as renderer:
        for request, answer in zip(configs(folder), answers, strict=False):
            entry = info[request["dataset"]]
            lines = (folder / "data" / entry["file_name"]).read_text("utf-8").splitlines()
            options = {key: value for key, value in request.items() if key in kept}
            shown = renderer.render([json.loads(line) for line in lines], entry, model=str(MODEL), data_args=options)
            where = (request["dataset"], request["template"], options)
            if shown.packed is not None:
                assert [list(row["ids"]) for row in shown.packed] == answer["input_ids"], where
                assert [list(row["labels"]) for row in shown.packed] == answer["labels"], where
                assert [list(row["attention_mask"]) for row in shown.packed] == answer["attention_mask"], where
            else:
                assert [list(row.ids) for row in shown.rows] == answer["input_ids"], where
                assert [list(row.labels) for row in shown.rows] == answer["labels"], where
                assert len(answer["input_ids"]) == len(lines)
            assert all(row.trained for row in shown.rows)
            assert all(len(row.ids) == len(row.texts) == len(row.special) for row in shown.rows)
