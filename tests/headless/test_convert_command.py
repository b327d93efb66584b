"""`convert` from outside: results, refusals, what is on the disk afterwards, and what is not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ROWS = "question,answer\n" + "".join(f"q{number},a{number}\n" for number in range(20))


def sft_tui(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sft_tui.cli", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "SFT_TUI_LANG": "en", **environment},
        check=False,
    )


def convert(cwd: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = sft_tui("convert", *words, "--json", cwd=cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    if code:
        assert all(problem["message"] for problem in found["problems"])
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(_ROWS)
    return tmp_path


def test_result_has_the_promised_keys(here: Path) -> None:
    found = convert(here, "a.csv", "--out", "data", "--test-size", "0.1", "--instruction", "I", "--system", "S")
    assert {"written": 20, "train_rows": 18, "test_rows": 2, "dropped": {}, "format": "alpaca"}.items() <= found.items()
    assert found["train"] == "data/a_train.jsonl"
    assert found["test"] == "data/a_test.jsonl"
    rows = [json.loads(line) for name in ("train", "test") for line in (here / found[name]).read_text().splitlines()]
    assert sorted(row["input"] for row in rows) == sorted(f"q{number}" for number in range(20))
    assert all(row["instruction"] == "I" and row["system"] == "S" for row in rows)
    info = json.loads((here / "data/dataset_info.json").read_text())
    columns = {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
    for side in ("train", "test"):
        assert info[f"a_{side}"] == {"file_name": f"a_{side}.jsonl", "formatting": "alpaca", "columns": columns}


def test_without_json_stdout_is_the_path(here: Path) -> None:
    done = sft_tui("convert", "a.csv", cwd=here)
    assert done.stdout == "data/a_train.jsonl\n"
    assert "20 samples" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["nowhere.csv"], 2, "nowhere.csv"),
        (["a.csv", "--input-column", "quest"], 2, "question, answer"),
        (["a.csv", "--output-column", "quest"], 2, "--output-column"),
        (["a.csv", "--format", "xml"], 2, "xml"),
        (["a.csv", "--max-samples", "0"], 2, "--max-samples"),
        (["a.csv", "--max-samples", "-3"], 2, "--max-samples"),
        (["a.csv", "--max-samples", "many"], 2, "many"),
        (["a.csv", "--test-size", "-1"], 2, "--test-size"),
        (["a.csv", "--test-size", "1.0"], 2, "--test-size"),
        (["a.csv", "--test-size", "0.0"], 2, "--test-size"),
        (["a.csv", "--test-size", "1.5"], 2, "--test-size"),
        (["a.csv", "--test-size", "nan"], 2, "--test-size"),
        (["a.csv", "--test-size", "20"], 2, "--test-size"),
        (["a.csv", "--test-size", "abc"], 2, "abc"),
        (["a.csv", "--name", "a,b"], 2, "a,b"),
        (["a.csv", "--name", ""], 2, "name"),
        (["a.csv", "--seed", "x"], 2, "--seed"),
        (["a.csv", "--sheet", "x"], 2, "--sheet"),
        (["a.csv", "--out", "a.csv/x"], 3, "a.csv"),
    ],
)
def test_refusals_name_the_cause_and_leave_nothing(here: Path, words: list[str], code: int, named: str) -> None:
    before = files(here)
    found = convert(here, *words, code=code)
    if code:
        text = json.dumps(found["problems"], ensure_ascii=False)
        assert named in text
        assert files(here) == before
        assert sorted(path.name for path in here.iterdir()) == ["a.csv"]


def test_strict_names_rows_and_writes_nothing(here: Path) -> None:
    (here / "b.csv").write_text("question,answer\nq,a\nq,\n,a\n")
    found = convert(here, "b.csv", "--strict", code=3)
    assert "empty_input 1: rows 3" in found["problems"][0]["message"]
    assert "empty_output 1: rows 2" in found["problems"][0]["message"]
    assert not (here / "data").exists()


def test_duplicates_are_no_error_under_strict(here: Path) -> None:
    (here / "b.csv").write_text("id,question,answer\n1,q,a\n2,q,a\n3,q2,a\n4, q,a \n")
    found = convert(here, "b.csv", "--strict", "--dedupe")
    assert found["dropped"] == {"duplicate": 2}
    assert found["dropped_rows"] == {"duplicate": [2, 4]}
    assert found["written"] == 2


def test_nothing_usable_is_refused(here: Path) -> None:
    (here / "b.csv").write_text("question,answer\n,a\nq,\n")
    found = convert(here, "b.csv", code=3)
    assert found["problems"][0]["code"] == "no_rows"
    assert not (here / "data").exists()


def test_same_again_is_done_and_other_bytes_are_refused(here: Path) -> None:
    convert(here, "a.csv")
    stamp = (here / "data/a_train.jsonl").stat()
    convert(here, "a.csv")
    assert (here / "data/a_train.jsonl").stat().st_ino == stamp.st_ino
    (here / "a.csv").write_text(_ROWS + "q,a\n")
    before = files(here)
    found = convert(here, "a.csv", code=2)
    assert "--overwrite" in found["problems"][0]["hint"]
    assert files(here) == before
    assert convert(here, "a.csv", "--overwrite")["written"] == 21


def test_the_source_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a_train.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    before = files(tmp_path)
    found = convert(tmp_path, "a_train.jsonl", "--out", ".", "--name", "a", code=2)
    assert found["problems"][0]["code"] == "source_is_target"
    assert files(tmp_path) == before
    assert convert(tmp_path, "a_train.jsonl", "--out", ".", "--name", "a", "--overwrite")["written"] == 1


def test_entries_of_others_stay(here: Path) -> None:
    (here / "data").mkdir()
    others = {"other": {"file_name": "o.json", "columns": {"prompt": "x"}}, "名": {"hf_hub_url": "a/b"}}
    (here / "data/dataset_info.json").write_text(json.dumps(others))
    convert(here, "a.csv")
    info = json.loads((here / "data/dataset_info.json").read_text())
    assert {key: info[key] for key in others} == others
    assert "a_train" in info


@pytest.mark.parametrize("text", ["{", "[]", '{"a": }', "\xff"])
def test_an_unreadable_register_is_refused(here: Path, text: str) -> None:
    (here / "data").mkdir()
    (here / "data/dataset_info.json").write_bytes(text.encode("latin-1"))
    before = files(here)
    found = convert(here, "a.csv", code=3)
    assert "dataset_info.json" in found["problems"][0]["message"]
    assert files(here) == before


def test_max_samples_counts_records_read(here: Path) -> None:
    (here / "b.csv").write_text("question,answer\nq1,\nq2,a2\nq3,a3\nq4,a4\n")
    found = convert(here, "b.csv", "--max-samples", "3")
    assert (found["written"], found["dropped"]) == (2, {"empty_output": 1})


def test_random_sample_is_seeded_and_in_order(here: Path) -> None:
    def drawn(seed: str) -> list[int]:
        found = convert(here, "a.csv", "--max-samples", "7", "--sample", "random", "--seed", seed, "--overwrite")
        rows = (here / found["train"]).read_text().splitlines()
        return [int(json.loads(row)["input"][1:]) for row in rows]

    first = drawn("1")
    assert len(first) == 7
    assert first == sorted(first)
    assert drawn("1") == first
    assert drawn("2") != first


def test_default_name_is_the_cleaned_stem(tmp_path: Path) -> None:
    (tmp_path / "my data,v1.2.csv").write_text("question,answer\nq,a\n")
    assert convert(tmp_path, "my data,v1.2.csv")["train"] == "data/my_data_v1_2_train.jsonl"


def test_concurrent_conversions_register_both(here: Path) -> None:
    names = [f"n{number}" for number in range(4)]
    running = [
        subprocess.Popen([sys.executable, "-m", "sft_tui.cli", "convert", "a.csv", "--name", name], cwd=here,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in names
    ]  # fmt: skip
    assert [process.wait() for process in running] == [0] * len(names)
    info = json.loads((here / "data/dataset_info.json").read_text())
    assert set(info) == {f"{name}_train" for name in names}


def test_a_killed_conversion_leaves_nothing(tmp_path: Path) -> None:
    line = json.dumps({"question": "q" * 200, "answer": "a" * 200}) + "\n"
    with (tmp_path / "big.jsonl").open("w") as stream:
        stream.write(line * 400_000)
    words = [sys.executable, "-m", "sft_tui.cli", "convert", "big.jsonl", "--dedupe", "--test-size", "0.5"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(size > 0 for size in written_by(process.pid)):
            break
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["big.jsonl"]


def written_by(pid: int) -> Iterator[int]:
    """The sizes of the nameless files that a process has open."""
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            if "(deleted)" in str(link.readlink()):
                yield link.stat().st_size


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        row = json.dumps({"question": "q" * 500, "answer": "a" * 500}) + "\n"
        (tmp_path / "a.jsonl").write_text(row * 1000)
        (small / "dataset_info.json").write_text('{"other": {"file_name": "o.json"}}')
        before = files(small)
        found = convert(tmp_path, "a.jsonl", "--out", "small", code=3)
        assert found["problems"][0]["code"] == "disk_full"
        assert files(small) == before
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_readers_of_the_old_file_are_not_disturbed(here: Path) -> None:
    convert(here, "a.csv")
    with (here / "data/a_train.jsonl").open() as reader:
        first = reader.readline()
        (here / "a.csv").write_text(_ROWS.replace("q", "other"))
        convert(here, "a.csv", "--overwrite", "--input-column", "otheruestion")
        assert "other" not in first + reader.read()
    assert "other0" in (here / "data/a_train.jsonl").read_text()


def test_stale_temporary_files_are_cleaned(here: Path) -> None:
    (here / "data").mkdir()
    stale, young = here / "data/.0123456789abcdef.sft-tui-tmp", here / "data/.1123456789abcdef.sft-tui-tmp"
    for path in (stale, young):
        path.write_text("left by a killed process, or in use")
    os.utime(stale, (0, 0))
    convert(here, "a.csv")
    assert list((here / "data").glob(".*")) == [young]


def test_what_is_used_and_what_is_not_is_told(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": f"a{n}", "id": n, "audios": [f"{n}.wav"], "label": n != 1} for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    words = ("convert", "a.json", "--out", "out", "--audios-column", "")
    told = sft_tui(*words, cwd=tmp_path).stderr
    assert "Used: `question` as input; `answer` as output; `label` as label" in told
    assert "Not used: `id`: numbers; `audios`: file paths" in told
    assert "1 left out, rejected: rows 2" in told
    data = json.loads(sft_tui(*words, "--json", cwd=tmp_path).stdout)
    assert data["dropped"] == {"rejected": 1}
    assert data["mapping"] == {"input": "question", "output": "answer", "label": "label"}
    assert data["unused_columns"] == [
        {"name": "id", "looks_like": "numbers"},
        {"name": "audios", "looks_like": "file paths"},
    ]
    shown = json.loads(sft_tui("preview", "a.json", "--audios-column", "", "--json", cwd=tmp_path).stdout)
    assert shown["unused_columns"] == data["unused_columns"]
    assert [row["drop"] for row in shown["rows"]] == [None, "rejected", None]


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("https://huggingface.co/datasets/acme/fruit", "hub:acme/fruit"),
        ("https://modelscope.cn/datasets/acme/fruit/", "USE_MODELSCOPE_HUB=1"),
        ("https://example.com/a b.csv", "curl -fLO 'https://example.com/a b.csv'"),
        ("file:///data/a%20b.csv", "/data/a b.csv"),
        ("s3://bucket/a.csv", "Copy it"),
    ],
)
def test_an_address_is_told_from_a_path(tmp_path: Path, source: str, way: str) -> None:
    (problem,) = convert(tmp_path, source, "--out", "data", code=2)["problems"]
    assert problem["code"] == "source_is_address"
    assert source in problem["message"]
    assert way in problem["hint"]


def test_a_directory_with_splits_tells_them(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("test", 2)):
        (tmp_path / "set" / name).mkdir(parents=True)
        rows = "".join(f"{name} {number},a\n" for number in range(count))
        (tmp_path / "set" / name / "rows.csv").write_text(f"question,answer\n{rows}")
    found = convert(tmp_path, "set", "--out", "data")
    assert (found["train_rows"], found["test_rows"]) == (3, 2)
    assert "test" not in (tmp_path / found["train"]).read_text()
