"""A data set of a hub, here a directory of it on the disk, read through the library `datasets`."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from sft_tui.dataset import ConvertRequest, convert, inspect_source
from sft_tui.problems import ExitCode, Refusal

needs_datasets = pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs the library datasets")


OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "USE_MODELSCOPE_HUB")


@pytest.fixture
def hub(tmp_path: Path) -> str:
    """A data set with pictures beside its texts."""
    folder = tmp_path / "pictured"
    folder.mkdir()
    picture = {"bytes": b"", "path": "a.png"}
    text = {"dtype": "string", "_type": "Value"}
    image = {"_type": "Image"}
    features = {"question": text, "answer": text, "picture": image, "more": {"feature": image, "_type": "List"}}
    columns = {"question": ["Q1", "Q2"], "answer": ["A1", "A2"], "picture": [picture] * 2, "more": [[picture]] * 2}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, folder / "train.parquet")
    return f"hub:{folder}"


@needs_datasets
def test_media_columns_are_left_out_and_said(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows come without them; the first look and the conversion name them."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    request = ConvertRequest(source=hub, out_dir=tmp_path / "out", name="pictured", train_python=sys.executable)
    result = convert(request)
    rows = [json.loads(line) for line in result.train.read_text("utf-8").splitlines()]
    assert [(row["instruction"] + row["input"], row["output"]) for row in rows] == [("Q1", "A1"), ("Q2", "A2")]
    (note,) = result.notes
    assert note.code == "media_left_out"
    assert "picture, more" in note.message
    info = inspect_source(hub, train_python=sys.executable)
    assert [found.code for found in info.notes] == ["media_left_out"]
    assert [column.name for column in info.columns] == ["question", "answer"]


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub that does not answer. Returns the directory of the library's cache."""
    for name in OFFLINE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


def refused(source: str) -> Refusal:
    with pytest.raises(Refusal) as found:
        inspect_source(source, train_python="/bin/false")
    return found.value


@pytest.mark.usefixtures("silent")
def test_a_silent_hub_is_told_before_any_library_starts() -> None:
    refusal = refused("hub:acme/fruit")
    assert (refusal.problems[0].code, refusal.exit_code) == ("hub_unreachable", ExitCode.PREFLIGHT)
    assert "127.0.0.1:9" in refusal.problems[0].message


def test_the_variable_that_forbids_the_network_is_named(silent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = refused("hub:acme/fruit").problems[0].message
    assert "HF_HUB_OFFLINE" in message
    assert str(silent) in message


@pytest.mark.parametrize("source", ["hub:", "hub:/nowhere", "hub:@train", "hub:a/b/c", "hub: acme/x"])
def test_a_name_that_names_nothing_is_refused(source: str) -> None:
    refusal = refused(source)
    assert (refusal.problems[0].code, refusal.exit_code) == ("bad_hub_name", ExitCode.USAGE)
    assert "hub:OWNER/NAME" in (refusal.problems[0].hint or "")


def test_a_saved_data_set_needs_no_hub(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text("{}", "utf-8")
    assert "without hub:" in (refused(f"hub:{tmp_path}").problems[0].hint or "")


@needs_datasets
def test_the_cache_of_the_library_is_read_where_the_hub_is_silent(silent: Path) -> None:
    folder = silent / "acme___fruit/default/0.0.0/0123456789abcdef0123456789abcdef01234567"
    folder.mkdir(parents=True)
    table = pa.table({"question": ["Q1", "Q2"], "answer": ["A1", "A2"]})
    with pa.OSFile(str(folder / "fruit-train.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    text = {"dtype": "string", "_type": "Value"}
    info = {
        "features": {"question": text, "answer": text}, "builder_name": "parquet", "dataset_name": "fruit",
        "config_name": "default", "version": {"version_str": "0.0.0", "major": 0, "minor": 0, "patch": 0},
        "splits": {"train": {"name": "train", "num_bytes": 8, "num_examples": 2, "dataset_name": "fruit"}},
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(info), "utf-8")
    found = inspect_source("hub:acme/fruit", train_python=sys.executable)
    assert [column.values for column in found.columns] == [("Q1", "Q2"), ("A1", "A2")]
