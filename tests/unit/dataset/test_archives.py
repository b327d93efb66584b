"""Files in archives, by their names or as the only one, and packed streams of all kinds."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sft_tui.dataset import ConvertRequest, convert, count_rows, inspect_source
from sft_tui.problems import ExitCode, Refusal

CSV = "question,answer\n" + "".join(f"q{n},a{n}\n" for n in range(500))
JSONL = "".join(json.dumps({"question": f"j{n}", "answer": "a"}) + "\n" for n in range(3))
FILES = {"deep/train.csv": CSV, "README.md": "words", "__MACOSX/deep/._train.csv": "x"}


def write_zip(path: Path, files: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def write_tar(mode: str) -> Callable[[Path, dict[str, str]], None]:
    def write(path: Path, files: dict[str, str]) -> None:
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))

    return write


ARCHIVES: dict[str, Callable[[Path, dict[str, str]], None]] = {
    "a.zip": write_zip,
    "a.tar": write_tar("w"),
    "a.tar.gz": write_tar("w:gz"),
    "a.tar.bz2": write_tar("w:bz2"),
    "a.txz": write_tar("w:xz"),
}


def first(source: Path) -> str:
    result = convert(ConvertRequest(str(source), source.parents[0] / "out", name="x", overwrite=True))
    row = json.loads(result.train.read_text("utf-8").splitlines()[0])
    return str(row["input"] or row["instruction"])


def refused(source: Path | str) -> Refusal:
    with pytest.raises(Refusal) as found:
        count_rows(str(source))
    return found.value


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_only_data_file_of_an_archive_is_read(tmp_path: Path, name: str) -> None:
    ARCHIVES[name](tmp_path / name, FILES)
    assert count_rows(str(tmp_path / name)) == 500
    assert first(tmp_path / name) == "q0"


@pytest.mark.parametrize("name", ARCHIVES)
def test_one_of_several_is_chosen_by_its_name(tmp_path: Path, name: str) -> None:
    ARCHIVES[name](tmp_path / name, FILES | {"test.jsonl": JSONL})
    refusal = refused(tmp_path / name)
    assert refusal.problems[0].code == "several_files"
    assert f"{name}!deep/train.csv" in (refusal.problems[0].hint or "")
    info = inspect_source(f"{tmp_path / name}!test.jsonl")
    assert (info.kind, info.columns[0].values[0]) == ("json", "j0")
    assert count_rows(f"{tmp_path / name}!deep/train.csv") == 500
    refusal = refused(f"{tmp_path / name}!nothing.csv")
    assert (refusal.problems[0].code, refusal.exit_code) == ("missing_source", ExitCode.USAGE)
    assert "test.jsonl" in refusal.problems[0].message


def test_what_a_directory_holds_beside_its_data_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.csv").write_text(CSV)
    write_zip(folder / "more.zip", FILES)
    inspected = inspect_source(str(folder))
    converted = convert(ConvertRequest(str(folder), out_dir=tmp_path / "data"))
    for notes in (inspected.notes, converted.notes):
        (note,) = [note for note in notes if note.code == "files_left_out"]
        assert "more.zip" in note.message and "archive" in note.message
    assert converted.train_rows == 500


def test_the_default_name_is_that_of_the_file(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", FILES)
    assert convert(ConvertRequest(f"{tmp_path}/a.zip!deep/train.csv", tmp_path / "o")).train.name == "train_train.jsonl"
    assert convert(ConvertRequest(f"{tmp_path}/a.zip", tmp_path / "o")).train.name == "a_train.jsonl"


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    ARCHIVES[name](tmp_path / name, FILES)
    data = (tmp_path / name).read_bytes()
    end = data.rstrip(b"\0") if name == "a.tar" else data
    (tmp_path / name).write_bytes(data[: int(len(end) * kept)])
    assert refused(tmp_path / name).exit_code == ExitCode.PREFLIGHT


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_member_that_blows_up_is_refused(tmp_path: Path, name: str) -> None:
    if name == "a.tar":
        pytest.skip("it is as large as what is in it")
    ARCHIVES[name](tmp_path / name, {"a.csv": "0" * (80 << 20)})
    assert refused(tmp_path / name).problems[0].code == "archive_bomb"


def test_archives_in_archives_and_foreign_files_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "in.zip", {"a.csv": CSV})
    for name in ("in.zip", "a.parquet"):
        with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
            archive.writestr(name, (tmp_path / "in.zip").read_bytes() if name == "in.zip" else b"PAR1" + bytes(99))
        assert "Unpack it" in (refused(tmp_path / "out.zip").problems[0].hint or "")
    write_tar("w")(tmp_path / "packed.tar", {"a.csv.gz": gzip.compress(CSV.encode()).decode("latin-1")})
    assert refused(tmp_path / "packed.tar").exit_code == ExitCode.PREFLIGHT
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    assert refused(tmp_path / "none.zip").exit_code == ExitCode.PREFLIGHT


def test_many_members_are_not_looked_through_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_tui.dataset.readers.files.MOST_MEMBERS", 20)
    for name in ("a.zip", "a.tar.gz"):
        ARCHIVES[name](tmp_path / name, {f"{n}.csv": CSV for n in range(21)})
        assert "more than 20 files" in str(refused(tmp_path / name))


def test_a_tar_in_zstandard(tmp_path: Path) -> None:
    import zstandard

    write_tar("w")(tmp_path / "a.tar", FILES)
    (tmp_path / "a.tar.zst").write_bytes(zstandard.compress((tmp_path / "a.tar").read_bytes()))
    assert count_rows(str(tmp_path / "a.tar.zst")) == 500


@pytest.mark.parametrize(("name", "pack"), [("a.csv.bz2", bz2.compress), ("a.csv.xz", lzma.compress)])
def test_packed_streams(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "set" / name
    path.parent.mkdir()
    path.write_bytes(pack(CSV.encode()))
    assert count_rows(str(path)) == count_rows(str(path.parent)) == 500
    path.write_bytes(pack(CSV.encode())[:-30])
    assert refused(path).exit_code == ExitCode.PREFLIGHT
    path.write_bytes(gzip.compress(pack(CSV.encode())))
    assert refused(path).exit_code == ExitCode.PREFLIGHT
