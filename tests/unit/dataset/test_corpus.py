"""Every messy file becomes exactly what it must, or is refused, and nothing else is left on the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sft_tui.dataset import ConvertRequest, convert, preview
from sft_tui.problems import Refusal
from tests.unit.dataset.corpus import Case, all_cases

CASES = all_cases()


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def source_of(case: Case, folder: Path) -> str:
    return case.source.replace("{}", f"{folder}/") if "{}" in case.source else str(folder / case.source)


def test_corpus_is_large() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_case(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    case.make(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    request = ConvertRequest(source_of(case, folder), tmp_path / "out", name="x", **case.options)
    if case.refused is not None:
        with pytest.raises(Refusal) as refusal:
            convert(request)
        assert (int(refusal.value.exit_code), refusal.value.problems[0].code) == case.refused
        assert not (tmp_path / "out").exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    else:
        result = convert(request)
        assert read_rows(result.train) == case.rows
        assert {reason: tuple(rows) for reason, rows in result.dropped_rows.items()} == case.dropped
        assert result.dropped == {reason: len(rows) for reason, rows in case.dropped.items()}
        assert result.written == len(case.rows or ())
        assert tuple(note.code for note in result.notes) == case.notes
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["x_train.jsonl"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("case", [c for c in CASES if c.rows is not None], ids=lambda c: c.name.replace(" ", "-"))
def test_preview_shows_what_conversion_writes(case: Case, tmp_path: Path) -> None:
    case.make(tmp_path)
    page = preview(ConvertRequest(source_of(case, tmp_path), tmp_path / "out", **case.options), 1, 1000)
    assert [row.sample for row in page.rows if row.sample is not None] == case.rows
    found: dict[str, tuple[int, ...]] = {}
    for row in page.rows:
        if row.drop is not None:
            assert row.why
            found[row.drop] = (*found.get(row.drop, ()), row.number)
    assert found == case.dropped
