"""Logs of any size and kind: bounded, and a sentence where there is nothing to read."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sft_tui.factory.failures import diagnose_file, last_exception, read_log, read_stream
from sft_tui.factory.failures.reading import CUT, HEAD_BYTES, TAIL_BYTES, decode_log
from sft_tui.problems import Refusal

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"


def code_of(path: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        diagnose_file(path)
    assert str(path) in str(refusal.value)
    return refusal.value.problems[0].code


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    assert code_of(tmp_path / "gone.log") == "no_log"
    assert code_of(tmp_path) == "log_is_directory"
    (tmp_path / "empty.log").touch()
    assert code_of(tmp_path / "empty.log") == "empty_log"
    (tmp_path / "blank.log").write_text("\n \n\n")
    assert code_of(tmp_path / "blank.log") == "empty_log"


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(os.urandom(100_000))
    assert code_of(tmp_path / "model.bin") == "binary_log"
    (tmp_path / "zeros.bin").write_bytes(b"PK\x03\x04" + bytes(5000))
    assert code_of(tmp_path / "zeros.bin") == "binary_log"
    assert code_of(Path("/dev/zero")) == "not_a_log"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_of_another_user(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(OOM)
    log.chmod(0)
    assert code_of(log) == "log_unreadable"


def test_odd_bytes_do_not_matter(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(b"\xff\xfe\xba broken \xe4\xbd\n" + OOM.encode())
    log.write_bytes(b"caf\xe9 \x80\x81\n\x1b[31mred\x1b[0m\n" + OOM.encode())
    assert [d.id for d in diagnose_file(log)] == ["gpu-oom"]


def test_a_log_of_powershell(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(("some line\r\n" + OOM).encode("utf-16"))
    assert [d.id for d in diagnose_file(log)] == ["gpu-oom"]


def test_a_log_that_was_truncated_while_it_was_written(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(bytes(1_000_000) + OOM.encode())
    assert [d.id for d in diagnose_file(log)] == ["gpu-oom"]


def test_of_a_large_log_head_and_tail_are_read(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    with log.open("wb") as stream:
        stream.write(b"the beginning\n")
        for number in range(200):
            stream.write((b"%d " % number) * 20_000 + b"\n")
        stream.write(OOM.encode())
    text = read_log(log)
    assert text.startswith("the beginning\n")
    assert text.endswith(OOM)
    assert CUT in text
    assert len(text) <= HEAD_BYTES + TAIL_BYTES + len(CUT)
    with log.open("rb") as stream:
        assert read_stream(stream, "file") == text
    piped = read_stream(io.BytesIO(log.read_bytes()), "pipe")
    assert piped.startswith("the beginning\n")
    assert piped.endswith(OOM)
    assert len(piped) <= HEAD_BYTES + TAIL_BYTES + len(CUT) + 1024 * 1024


def test_a_stream_is_read_whole_where_it_is_short() -> None:
    text = "".join(f"line {n}\n" for n in range(200_000))
    assert read_stream(io.BytesIO(text.encode()), "pipe") == text
    with pytest.raises(Refusal):
        read_stream(io.BytesIO(b""), "pipe")


def test_a_fifo_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with subprocess.Popen([sys.executable, "-c", f"open({str(fifo)!r}, 'w').write({OOM!r})"]):
        assert [d.id for d in diagnose_file(fifo)] == ["gpu-oom"]


def test_memory_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "huge.log"
    with log.open("wb") as stream:
        stream.truncate(3 * 1024**3)
        stream.seek(0)
        stream.write(b"head\n")
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n" + OOM.encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [d.id for d in diagnose_file(log)] == ["gpu-oom"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_one_endless_line(tmp_path: Path) -> None:
    log = tmp_path / "line.log"
    log.write_text("x" * 6_000_000 + "\n" + OOM)
    assert [d.id for d in diagnose_file(log)] == ["gpu-oom"]
    log.write_text("a 1%|" * 900_000)
    assert diagnose_file(log) == []
    assert last_exception(read_log(log)) is None


def test_text_stays_as_it_is() -> None:
    assert decode_log("显存不足\n".encode(), "log") == "显存不足\n"
