"""Several sources in one run: converted one by one, mixed by LLaMA-Factory, told apart to the end."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.headless import Project, make_project

WEIGHTS = (3, 1, 1)


def register(folder: Path, **entries: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_info.json").write_text(json.dumps(entries))


def write_rows(path: Path, count: int, start: int = 0, **names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    prompt, answer = names.get("prompt", "question"), names.get("answer", "answer")
    rows = ({prompt: f"{path.stem} {n}", answer: f"a{n}"} for n in range(start, start + count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with rows.csv (40), more/rows.jsonl (20, other columns), and a register of someone else's beside it."""
    made = make_project(tmp_path_factory.mktemp("sources"))
    write_rows(made.path / "more/rows.jsonl", 20, prompt="ask", answer="reply")
    write_rows(made.path / "held.jsonl", 5)
    mine = made.path.parent / "mine"
    write_rows(mine / "pears.jsonl", 30, prompt="p", answer="r")
    columns = {"prompt": "p", "response": "r"}
    pears = {"file_name": "pears.jsonl", "columns": columns}
    register(mine, pears=pears, pairs={**pears, "ranking": True}, code={"script_url": "x"})
    return made


def three(*weights: float | None) -> list[dict[str, Any]]:
    sources: list[dict[str, Any]] = [
        {"path": "rows.csv"},
        {"path": "more/rows.jsonl", "columns": {"input": "ask", "output": "reply"}},
        {"registered": "pears", "dataset_dir": "../mine"},
    ]
    return [{**source, "weight": weight} if weight else source for source, weight in zip(sources, weights, strict=True)]


def config(project: Project, run: str) -> dict[str, Any]:
    found = yaml.safe_load((project.path / f"configs/{run}/train_config.yaml").read_text())
    assert isinstance(found, dict)
    return found


def test_each_source_becomes_a_data_set_and_the_weights_are_llamafactorys(project: Project) -> None:
    project.answer(data={"source": three(*WEIGHTS)})
    result = project.run()
    assert result.code == 0, result.err
    options = config(project, "apples")
    assert options["dataset"] == "rows_train,rows-2_train,pears_train"
    assert options["mix_strategy"] == "interleave_under"
    assert [float(share) for share in options["interleave_probs"].split(",")] == [0.6, 0.2, 0.2]
    info = json.loads((project.path / "data/dataset_info.json").read_text())
    lines = {name: (project.path / "data" / entry["file_name"]).read_text().count("\n") for name, entry in info.items()}
    assert lines == {
        "rows_train": 36, "rows_test": 4, "rows-2_train": 18, "rows-2_test": 2, "pears_train": 27, "pears_test": 3,
    }  # fmt: skip
    log = (project.path / "logs/apples/convert.log").read_text()
    assert log.count("rows for training") == 3 and "pears.jsonl" in log
    assert "nothing to do" in project.run().err
    again = project.sft("--non-interactive", "runs/apples/answers.yaml")
    assert again.code == 0 and "nothing to do" in again.err
    kept = yaml.safe_load((project.path / "runs/apples/answers.yaml").read_text())["data"]["sources"]
    assert [source.get("path") or source["registered"] for source in kept] == [
        "./rows.csv", "./more/rows.jsonl", "pears",
    ]  # fmt: skip


def test_one_that_was_changed_is_converted_again_alone(project: Project) -> None:
    project.answer(run={"name": "changed"}, data={"source": three(None, None, None)})
    assert project.run().code == 0
    assert "mix_strategy" not in config(project, "changed")
    write_rows(project.path / "more/rows.jsonl", 21, prompt="ask", answer="reply")
    planned = json.loads(project.run("--fresh", "--dry-run", "--json").out)["plan"]
    names = [made["name"] for made in (planned["conversion"], *planned["more_conversions"])]
    assert names == ["rows", "rows-3", "pears"]


@pytest.mark.parametrize(("held", "rows"), [("held.jsonl", 5), ({"registered": "pears", "dataset_dir": "../mine"}, 30)])
def test_what_is_evaluated_on_is_a_file_or_a_name(project: Project, held: Any, rows: int) -> None:
    run = f"eval-{rows}"
    project.answer(run={"name": run}, data={"eval": held, "test_size": 0})
    result = project.run()
    assert result.code == 0, result.err
    options = config(project, run)
    name = options["eval_dataset"]
    assert options["dataset"].startswith("rows") and name.endswith("_test") and "," not in name
    assert options["val_size"] == 0
    entry = json.loads((project.path / "data/dataset_info.json").read_text())[name]
    assert (project.path / "data" / entry["file_name"]).read_text().count("\n") == rows


def test_a_source_may_be_in_an_archive(project: Project) -> None:
    with zipfile.ZipFile(project.path / "two.zip", "w") as archive:
        archive.write(project.path / "rows.csv", "in/rows.csv")
        archive.write(project.path / "held.jsonl", "held.jsonl")
    project.answer(run={"name": "zipped"}, data={"source": "two.zip"})
    told = project.run("--dry-run")
    assert told.code == 2 and "two.zip!in/rows.csv" in told.err
    project.answer(run={"name": "zipped"}, data={"source": "two.zip!in/rows.csv", "name": "zipped"})
    assert project.run().code == 0
    assert (project.path / "data/zipped_train.jsonl").read_text().count("\n") == 36
    kept = yaml.safe_load((project.path / "runs/zipped/answers.yaml").read_text())
    assert kept["data"]["source"] == "./two.zip!in/rows.csv"
    assert "nothing to do" in project.sft("--non-interactive", "runs/zipped/answers.yaml").err


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ({"source": [{"path": "rows.csv", "hub": "a/b"}]}, "source_unclear", "path, hub"),
        ({"source": [{"path": "rows.csv", "weight": 1}, {"path": "held.jsonl"}]}, "weights_unclear", "weight"),
        ({"source": three(*WEIGHTS), "eval": "held.jsonl"}, "weights_and_eval", "weights"),
        ({"source": three(*WEIGHTS), "_train": {"mix_strategy": "concat"}}, "weights_unclear", "interleaving"),
        ({"source": three(*WEIGHTS), "_train": {"interleave_probs": "1,0,0"}}, "owned_key", "interleave_probs"),
        ({"source": [{"registered": "paers", "dataset_dir": "../mine"}]}, "unknown_dataset", "pears"),
        ({"source": [{"registered": "pairs", "dataset_dir": "../mine"}]}, "registered_unlike", "preferences"),
        ({"source": [{"registered": "code", "dataset_dir": "../mine"}]}, "registered_unlike", "no file"),
        ({"source": [{"path": "rows.csv"}, {"path": "gone.csv"}]}, "missing_source", "gone.csv"),
        ({"source": [{"path": "rows.csv", "splt": "x"}]}, "unknown_key", "split"),
        ({"source": [{"path": "rows.csv"}, {"path": "more/rows.jsonl"}]}, "unknown_column", "more/rows.jsonl"),
    ],
)
def test_what_does_not_go_together_is_refused(project: Project, data: dict[str, Any], code: str, words: str) -> None:
    train = data.pop("_train", {})
    project.answer(run={"name": "refused"}, data=data, train=train)
    problems = json.loads(project.sft("check", "answers.yaml", "--json").out)["problems"]
    found = [problem for problem in problems if problem["code"] == code]
    assert found and words in f"{found[0]['message']} {found[0]['hint']}", problems
    assert project.run("--dry-run").code in (2, 3)


def test_samples_that_several_sources_hold_are_told_or_left_out(project: Project) -> None:
    turns = [[{"from": "human", "value": f"q{n}"}, {"from": "gpt", "value": f"a{n}"}] for n in range(10)]
    rows = [{"question": f"q{n}", "answer": f"a{n}", "more": n} for n in range(8, 20)]
    for name, lines in (("talk.jsonl", [{"conversations": t} for t in turns]), ("own.jsonl", rows)):
        (project.path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (project.path / "told.csv").write_text("question,answer\nq0,a0\nq19,a19\n")
    sources = {"source": [{"path": "talk.jsonl", "format": "auto", "columns": {}}, {"path": "own.jsonl"}]}
    project.answer(run={"name": "shared"}, data={**sources, "eval": "told.csv", "test_size": 0, "instruction": None})
    assert project.run().code == 0
    log = (project.path / "logs/shared/convert.log").read_text()
    assert "2 training samples of" in log and "are also in" in log
    assert log.count("kept for testing of") == 2
    project.answer(
        run={"name": "once"},
        data={**sources, "eval": "told.csv", "test_size": 3, "dedupe": True, "instruction": None},
    )
    assert project.run().code == 0
    trained = config(project, "once")["dataset"].split(",")
    counts = {}
    for name in trained:
        for side in ("train", "test"):
            file = project.path / "data" / f"{name.removesuffix('_train')}_{side}.jsonl"
            counts[f"{name[:3]} {side}"] = file.read_text().count("\n")
    assert counts == {"tal train": 6, "tal test": 3, "own train": 6, "own test": 3}
    log = (project.path / "logs/once/convert.log").read_text()
    assert "are also in" not in log and "duplicate: 1" in log and "duplicate: 3" in log
    assert "nothing to do" in project.run().err
