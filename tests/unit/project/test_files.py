"""The one atomic write: what it keeps of the file that it replaces, and what it leaves where it fails."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sft_tui.project import files
from sft_tui.project.files import (
    NotAPlainFile,
    open_append,
    open_lock,
    parse_json,
    read_json,
    replacing,
    write_atomically,
    write_json,
)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.parametrize("content", ["text é 文\n", b"\x00bytes\xff"])
def test_text_and_bytes_arrive_as_they_are(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "deep" / "er" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(path.parent) == ["file"]  # noqa: PTH208


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_the_mode_of_a_replaced_file_stays(tmp_path: Path, mode: int, umask: None) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, "new")
    assert (path.read_text(), _mode(path)) == ("new", mode)


def test_a_new_file_follows_the_umask_and_a_private_one_is_private(tmp_path: Path, umask: None) -> None:
    write_atomically(tmp_path / "new", "x")
    write_json(tmp_path / "secret", {}, private=True)
    (tmp_path / "was-open").write_text("x")
    (tmp_path / "was-open").chmod(0o644)
    write_atomically(tmp_path / "was-open", "y", private=True)
    assert [_mode(tmp_path / name) for name in ("new", "secret", "was-open")] == [0o640, 0o600, 0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    write_atomically(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_a_symbolic_link_stays_one_and_its_target_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "kept" / "answers.yaml"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o600)
    (tmp_path / "second").symlink_to(target)
    link = tmp_path / "link"
    link.symlink_to("second")
    write_atomically(link, "new")
    assert link.is_symlink() and (target.read_text(), _mode(target)) == ("new", 0o600)
    assert os.listdir(target.parent) == ["answers.yaml"]  # noqa: PTH208
    target.unlink()
    write_atomically(link, "again")
    assert target.read_text() == "again" and link.is_symlink()


def test_a_file_of_the_program_replaces_a_planted_link(tmp_path: Path) -> None:
    victim, state = tmp_path / "victim", tmp_path / "state.json"
    victim.write_text("mine")
    state.symlink_to(victim)
    write_json(state, {"run": "x"}, follow=False)
    assert victim.read_text() == "mine" and not state.is_symlink() and read_json(state) == {"run": "x"}


def test_links_in_a_circle_are_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(tmp_path / "a", "x")
    assert (tmp_path / "a").is_symlink() and sorted(os.listdir(tmp_path)) == ["a", "b"]  # noqa: PTH208


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("directory", "pipe"):
        with pytest.raises(OSError):
            write_atomically(tmp_path / name, "x")
    assert (tmp_path / "directory").is_dir() and (tmp_path / "pipe").is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["directory", "pipe"]  # noqa: PTH208


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    with pytest.raises(KeyboardInterrupt), replacing(path, durable=False) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="surrogates"):
        write_atomically(path, "\udcff")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["answers.yaml"]  # noqa: PTH208


def test_a_long_name_has_room_for_the_temporary_one(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 255), "x")
    assert (tmp_path / ("n" * 255)).read_text() == "x"


def test_file_and_directory_are_flushed_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    write_atomically(tmp_path / "a", "x")
    assert flushed == [False, True]
    write_json(tmp_path / "b", {}, durable=False)
    assert flushed == [False, True]


def test_names_that_are_no_utf8_go_through_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    write_json(tmp_path / "plan.json", {"source": name})
    assert read_json(tmp_path / "plan.json") == {"source": name}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 200_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, "{}".encode("utf-16"), b'"\xff"', b"1" * 9999],
    ids=["empty", "torn", "deep", "deep objects", "utf-16", "latin-1", "huge number"],
)
def test_json_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert read_json(path) is None and parse_json(content) is None


def test_only_plain_files_of_a_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 10)
    (tmp_path / "large").write_text(json.dumps("x" * 20))
    (tmp_path / "small").write_bytes(b'\xef\xbb\xbf{"a": 1}'[:10])
    os.mkfifo(tmp_path / "pipe")
    assert [read_json(tmp_path / name) for name in ("large", "pipe", "none", ".")] == [None] * 4
    (tmp_path / "small").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "small") == [1]


def test_appending_goes_to_the_end_and_a_fresh_file_begins_anew(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "train.log"
    for text in (b"one\n", b"two\n"):
        with open_append(path) as stream:
            stream.write(text)
    assert path.read_bytes() == b"one\ntwo\n" and _mode(path) == 0o640
    with open_append(path, fresh=True) as stream:
        stream.write(b"three\n")
    assert path.read_bytes() == b"three\n"


def test_planted_links_and_pipes_are_refused_with_a_sentence(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "log").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "not-made")
    os.mkfifo(tmp_path / "pipe")
    for name in ("log", "dangling"):
        for opened in (open_append, open_lock):
            with pytest.raises(NotAPlainFile, match="symbolic link"):
                opened(tmp_path / name)
    for opened in (open_append, open_lock):
        with pytest.raises(NotAPlainFile):
            opened(tmp_path / "pipe")
    assert victim.read_text() == "mine" and not (tmp_path / "not-made").exists()


def test_a_lock_file_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.write_text("1234")
    with open_lock(path) as lock:
        assert os.get_inheritable(lock.fileno()) is False
    assert path.read_text() == "1234"
