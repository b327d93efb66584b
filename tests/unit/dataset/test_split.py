"""The split is exact, seeded, independent of blocks, and keeps duplicates together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.dataset import ConvertRequest, ConvertResult, convert
from sft_tui.dataset.output import split
from sft_tui.dataset.output.sampling import draw_records
from sft_tui.dataset.output.spool import Numbers
from sft_tui.dataset.readers.batch import BLOCK_BYTES, Wanted
from sft_tui.problems import Refusal


def convert_lines(folder: Path, questions: list[int], **options: object) -> ConvertResult:
    rows = "".join(json.dumps({"id": at, "question": f"q{q}", "answer": "a"}) + "\n" for at, q in enumerate(questions))
    (folder / "a.jsonl").write_text(rows)
    return convert(ConvertRequest(str(folder / "a.jsonl"), folder / "out", overwrite=True, **options))  # type: ignore[arg-type]


def questions_of(path: Path | None) -> list[str]:
    return [json.loads(line)["input"] for line in path.read_text().splitlines()] if path else []


@pytest.mark.parametrize(
    ("size", "rows", "tested"),
    [(0.1, 100, 10), (0.1, 1003, 100), (0.25, 10, 3), (0.9, 3, 2), (0.99, 3, 2), (0.01, 3, 1), (7, 50, 7), (0, 5, 0)],
)
def test_exact(size: float, rows: int, tested: int, tmp_path: Path) -> None:
    result = convert_lines(tmp_path, list(range(rows)), test_size=size)
    assert (result.train_rows, result.test_rows) == (rows - tested, tested)
    train, test = questions_of(result.train), questions_of(result.test)
    assert sorted(train + test) == sorted(f"q{number}" for number in range(rows))
    assert train == sorted(train, key=lambda name: int(name[1:]))
    assert test == sorted(test, key=lambda name: int(name[1:]))


def test_seed_decides(tmp_path: Path) -> None:
    tests = [
        questions_of(convert_lines(tmp_path, list(range(200)), test_size=20, seed=seed).test) for seed in (1, 1, 2)
    ]
    assert tests[0] == tests[1] != tests[2]


def test_a_share_of_the_rows_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n" + "q,\n" * 50 + "".join(f"q{n},a\n" for n in range(50)))
    result = convert(ConvertRequest(str(tmp_path / "a.csv"), tmp_path / "out", test_size=0.1))
    assert (result.written, result.test_rows) == (50, 5)


@pytest.mark.parametrize("dedupe", [False, True])
def test_duplicates_stay_on_one_side(dedupe: bool, tmp_path: Path) -> None:
    questions = [number % 37 for number in range(300)] + list(range(100, 160))
    result = convert_lines(tmp_path, questions, test_size=0.2, dedupe=dedupe)
    train, test = questions_of(result.train), questions_of(result.test)
    assert not set(train) & set(test)
    written = len(set(questions)) if dedupe else len(questions)
    assert result.written == written
    assert abs(result.test_rows - 0.2 * written) <= 1
    if dedupe:
        assert result.dropped == {"duplicate": len(questions) - written}
        assert len(set(train + test)) == written


def test_rows_that_are_all_the_same_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="all the same"):
        convert_lines(tmp_path, [1] * 10, test_size=2)
    with pytest.raises(Refusal, match="nothing would be left"):
        convert_lines(tmp_path, list(range(10)), test_size=10)


def test_blocks_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [number % 400 for number in range(1000)]
    results = []
    for size in (BLOCK_BYTES, 100, 3000):
        monkeypatch.setattr(Wanted.__init__, "__defaults__", (size, None))
        result = convert_lines(tmp_path, questions, test_size=0.3, dedupe=False)
        assert result.test is not None
        results.append((result.train.read_bytes(), result.test.read_bytes()))
    assert results[0] == results[1] == results[2]


@settings(max_examples=80, deadline=None)
@given(groups=st.lists(st.integers(0, 12), min_size=2, max_size=60), wanted=st.integers(1, 59), seed=st.integers(0, 9))
def test_buckets_have_no_say(
    groups: list[int], wanted: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    found = []
    for rows in (1 << 21, 4):
        hashes = Numbers(folder, "u8")
        hashes.append(np.array(groups, np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        sides = np.zeros(len(groups), np.uint8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(split, "_BUCKET_ROWS", rows)
            patch.setattr(split, "_CHUNK_ROWS", 3)
            count = split.Chooser(hashes, seed, folder).draw(sides, min(wanted, len(groups) - 1), single=False)
        hashes.close()
        assert count == int((sides == split.TEST).sum())
        for group in set(groups):
            assert len({int(side) for side, of in zip(sides, groups, strict=True) if of == group}) == 1
        found.append(sides.tolist())
    assert found[0] == found[1]
    sizes = [groups.count(group) for group in set(groups)]
    if sizes.count(1) >= max(sizes):
        assert count == min(wanted, len(groups) - 1)
    if len(sizes) > 1:
        assert count > 0


def test_exact_although_a_large_group_comes_last() -> None:
    for seed in range(20):
        hashes = Numbers(Path("/tmp"), "u8")
        hashes.append(np.array([*range(10), *[99] * 10], np.uint64))
        sides = np.zeros(20, np.uint8)
        assert split.Chooser(hashes, seed, Path("/tmp")).draw(sides, 15, single=False) == 15
        hashes.close()


def test_random_samples_are_exact() -> None:
    drawn = draw_records(10_000, 100, 7)
    assert len(drawn) == len(set(drawn.tolist())) == 100
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == draw_records(10_000, 100, 7).tolist() != draw_records(10_000, 100, 8).tolist()
    assert draw_records(5, 9, 1).tolist() == [0, 1, 2, 3, 4]
