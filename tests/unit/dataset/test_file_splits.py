"""Directories and lists of files whose names say which rows are for testing, and data sets saved by `datasets`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sft_tui.dataset import ConvertRequest, ConvertResult, convert, inspect_source, preview
from sft_tui.dataset.request import Columns
from sft_tui.plan.conversion import fingerprint
from sft_tui.problems import Refusal

Write = Callable[[Path, list[dict[str, Any]]], None]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("question,answer\n" + "".join(f"{row['question']},{row['answer']}\n" for row in rows), "utf-8")


def qa(text: str) -> dict[str, Any]:
    return {"question": f"q {text}", "answer": f"a {text}"}


def run(folder: Path, source: str = "", **options: Any) -> ConvertResult:
    return convert(ConvertRequest(source or str(folder / "set"), folder / "out", name="x", **options))


def answers(path: Path | None) -> list[str]:
    return [json.loads(line)["output"] for line in path.read_text("utf-8").splitlines()] if path else []


@pytest.mark.parametrize(
    ("names", "tests"),
    [
        (["train.jsonl", "test.jsonl", "validation.jsonl"], ["test.jsonl", "validation.jsonl"]),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"],
         ["test-00000-of-00001.parquet"]),
        (["train/a.csv", "test/a.csv", "dev/b.csv"], ["dev/b.csv", "test/a.csv"]),
        (["main/train-0.parquet", "main/test-0.parquet", "socratic/train-0.parquet"], ["main/test-0.parquet"]),
        (["apples_train.jsonl", "apples_test.jsonl"], ["apples_test.jsonl"]),
        (["data.jsonl", "test.jsonl"], ["test.jsonl"]),
        (["训练集.csv", "测试集.csv"], ["测试集.csv"]),
        (["train_sft-0.parquet", "test_sft-0.parquet"], ["test_sft-0.parquet"]),
        (["en/train.jsonl", "en/eval.jsonl", "more.jsonl"], ["en/eval.jsonl"]),
    ],
)  # fmt: skip
def test_rows_of_test_files_are_kept_for_testing(tmp_path: Path, names: list[str], tests: list[str]) -> None:
    writers: dict[str, Write] = {".jsonl": write_jsonl, ".parquet": write_parquet, ".csv": write_csv}
    for name in names:
        path = tmp_path / "set" / name
        writers[path.suffix](path, [qa(f"{name} {number}") for number in range(3)])
    result = run(tmp_path)
    assert sorted({answer.split()[1] for answer in answers(result.test)}) == tests
    assert (result.train_rows, result.test_rows) == (3 * (len(names) - len(tests)), 3 * len(tests))
    (note,) = (note for note in result.notes if note.code == "split_files")
    assert Path(tests[0]).name in note.message
    assert f" {len(tests)} for testing" in note.message
    assert [n.code for n in inspect_source(str(tmp_path / "set")).notes].count("split_files") == 1


@pytest.mark.parametrize(
    "names",
    [
        ["test-1.jsonl", "test-2.jsonl"],
        ["latest.jsonl", "contest.jsonl"],
        ["dev-notes.jsonl", "sales-notes.jsonl"],
        ["train-test-mix.jsonl", "train.jsonl"],
    ],
)
def test_names_that_tell_no_split_are_all_training(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write_jsonl(tmp_path / "set" / name, [qa(name)])
    result = run(tmp_path)
    assert (result.train_rows, result.test_rows) == (2, 0)
    assert not [note for note in result.notes if note.code == "split_files"]


def test_training_rows_come_first_and_max_samples_takes_them(tmp_path: Path) -> None:
    for name in ("test", "train"):
        write_jsonl(tmp_path / "set" / f"{name}.jsonl", [qa(f"{name} {number}") for number in range(10)])
    result = run(tmp_path, max_samples=4)
    assert answers(result.train) == [f"a train {number}" for number in range(4)]
    assert preview(ConvertRequest(str(tmp_path / "set"), tmp_path / "o"), 11, 1).rows[0].test


def test_the_split_can_be_set_aside(tmp_path: Path) -> None:
    for name in ("test", "train"):
        write_jsonl(tmp_path / "set" / f"{name}.jsonl", [qa(name)])
    assert run(tmp_path, columns=Columns(split="")).train_rows == 2


def test_a_pattern_and_a_list_tell_splits_too(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_jsonl(tmp_path / "set" / name / "part-0.jsonl", [qa(name)])
    assert answers(run(tmp_path, f"{tmp_path}/set/*/*.jsonl").test) == ["a test"]
    listed = ",".join(f"{tmp_path}/set/{name}/part-0.jsonl" for name in ("test", "train"))
    assert answers(run(tmp_path, listed, overwrite=True).test) == ["a test"]


def test_rows_on_both_sides_are_counted(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "set/train.jsonl", [qa("same"), qa("other")])
    write_jsonl(tmp_path / "set/test.jsonl", [qa("same")])
    assert "rows_on_both_sides" in {note.code for note in run(tmp_path).notes}


def test_a_renamed_file_is_another_source(tmp_path: Path) -> None:
    for name in ("train/a", "test/a"):
        write_jsonl(tmp_path / "set" / f"{name}.jsonl", [qa("row")])
    request = ConvertRequest(str(tmp_path / "set"), tmp_path / "out")
    before = fingerprint(request)
    (tmp_path / "set/test").rename(tmp_path / "set/more")
    assert fingerprint(request) != before


def save(folder: Path, tables: list[list[dict[str, Any]]]) -> None:
    """A data set as `Dataset.save_to_disk` writes it: streams of Arrow batches, and their names in `state.json`."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{len(tables):05}.arrow" for number in range(len(tables))]
    for name, rows in zip(names, tables, strict=True):
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None, "_fingerprint": "1"}
    (folder / "state.json").write_text(json.dumps(state), "utf-8")
    (folder / "dataset_info.json").write_text("{}", "utf-8")


def test_a_saved_data_set_is_read_by_its_splits(tmp_path: Path) -> None:
    save(tmp_path / "set/train", [[qa(f"{part} {number}") for number in range(5)] for part in range(2)])
    save(tmp_path / "set/test", [[qa("test")]])
    (tmp_path / "set/dataset_dict.json").write_text('{"splits": ["train", "test"]}', "utf-8")
    (tmp_path / "set/train/cache-0123.arrow").write_bytes(
        (tmp_path / "set/test/data-00000-of-00001.arrow").read_bytes()
    )
    result = run(tmp_path)
    assert answers(result.train) == [f"a {part} {number}" for part in range(2) for number in range(5)]
    assert answers(result.test) == ["a test"]
    assert not result.unused


def test_one_saved_data_set_is_all_for_training(tmp_path: Path) -> None:
    turns = [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{n}"}]} for n in range(3)
    ]
    save(tmp_path / "set", [turns])
    result = run(tmp_path)
    assert (result.format, result.train_rows, result.test_rows) == ("sharegpt", 3, 0)


def test_a_saved_data_set_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "set", [[qa("x" * 500) for _row in range(9)]])
    path = tmp_path / "set/data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(Refusal) as found:
        run(tmp_path)
    assert found.value.problems[0].code == "unreadable_source"
    assert not (tmp_path / "out").exists()
