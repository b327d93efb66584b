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

pytestmark = pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs the library datasets")


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
