"""Converting as a stage: the proof, the fingerprint, free names, and nothing half done."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.dataset import Columns, ConvertRequest
from sft_tui.factory.dataset_info import register
from sft_tui.plan import conversion
from sft_tui.plan.conversion import convert_and_register, fingerprint, free_name, read_proof
from sft_tui.problems import Refusal


@pytest.fixture
def request_(tmp_path: Path) -> ConvertRequest:
    (tmp_path / "a.csv").write_text("question,answer\nq,a\nq2,a2\n,x\n")
    return ConvertRequest(str(tmp_path / "a.csv"), tmp_path / "data")


def test_proof_tells_what_was_done(request_: ConvertRequest) -> None:
    result = convert_and_register(request_)
    proof = read_proof(request_.out_dir, "a")
    assert proof is not None
    mark, found = proof
    assert mark == fingerprint(request_)
    assert replace(found, seconds=0, notes=()) == replace(result, seconds=0, notes=())
    result.train.unlink()
    assert read_proof(request_.out_dir, "a") is None


def test_fingerprint_covers_all_that_has_a_say(request_: ConvertRequest) -> None:
    mark = fingerprint(request_)
    assert fingerprint(replace(request_, out_dir=Path("/elsewhere"), name="b", overwrite=True)) == mark
    others = [
        {"columns": Columns(input="question")}, {"instruction": "I"}, {"system": "S"}, {"max_samples": 1},
        {"sample": "random"}, {"test_size": 0.1}, {"seed": 1}, {"dedupe": True}, {"strict": True},
        {"format": "columns"},
    ]  # fmt: skip
    marks = {fingerprint(replace(request_, **more)) for more in others}  # type: ignore[arg-type]
    assert len(marks | {mark}) == len(others) + 1
    with Path(request_.source).open("a") as stream:
        stream.write("q3,a3\n")
    assert fingerprint(request_) != mark
    with pytest.raises(Refusal):
        fingerprint(replace(request_, source="nowhere.csv"))


def test_free_names(request_: ConvertRequest) -> None:
    mark = fingerprint(request_)
    assert free_name(request_.out_dir, "a", mark) == "a"
    convert_and_register(request_)
    assert free_name(request_.out_dir, "a", mark) == "a"
    assert free_name(request_.out_dir, "a", "another") == "a-2"
    convert_and_register(replace(request_, name="a-2", seed=1))
    assert free_name(request_.out_dir, "a", "another") == "a-3"
    (request_.out_dir / "b_train.jsonl").write_text("")
    assert free_name(request_.out_dir, "b", mark) == "b-2"


def test_nothing_stays_when_registering_fails(request_: ConvertRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "register", full)
    with pytest.raises(Refusal) as refusal:
        convert_and_register(request_)
    assert refusal.value.problems[0].code == "disk_full"
    assert not request_.out_dir.exists()


def test_old_files_come_back_when_registering_fails(request_: ConvertRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    convert_and_register(request_)
    before = {path.name: path.read_bytes() for path in request_.out_dir.iterdir()}

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "register", full)
    with pytest.raises(Refusal):
        convert_and_register(replace(request_, overwrite=True, max_samples=1))
    assert {path.name: path.read_bytes() for path in request_.out_dir.iterdir()} == before
    monkeypatch.undo()
    result = convert_and_register(replace(request_, overwrite=True, max_samples=1))
    assert result.written == 1
    assert {path.name for path in request_.out_dir.iterdir()} == set(before)
    assert json.loads((request_.out_dir / "dataset_info.json").read_text())["a_train"]["formatting"] == "alpaca"


def test_another_conversion_beside_it_leaves_the_way_back(
    request_: ConvertRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = convert_and_register(request_).train
    os.utime(earlier, (1, 1))
    before = earlier.read_bytes()

    def fail(*_arguments: object) -> None:
        monkeypatch.setattr(conversion, "register", register)
        convert_and_register(replace(request_, name="beside"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "register", fail)
    with pytest.raises(Refusal, match="full"):
        convert_and_register(replace(request_, seed=1, max_samples=1, overwrite=True))
    assert earlier.read_bytes() == before
    assert not list(request_.out_dir.glob(".*"))


@pytest.mark.parametrize("failing", [False, True])
def test_mode_and_link_of_the_data_stay(
    request_: ConvertRequest, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    train = convert_and_register(request_).train
    kept = train.rename(request_.out_dir.parent / "kept.jsonl")
    kept.chmod(0o600)
    train.symlink_to(kept)
    before = kept.read_bytes()
    again = replace(request_, max_samples=1, overwrite=True)
    if failing:
        monkeypatch.setattr(conversion, "register", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(Refusal):
            convert_and_register(again)
    else:
        convert_and_register(again)
    assert train.is_symlink() and kept.stat().st_mode & 0o777 == 0o600
    assert (kept.read_bytes() == before) is failing
