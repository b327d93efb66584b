"""Facts besides the log: which signal, the OOM killer, the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sft_tui.factory.failures import Facts, diagnose_file, diagnose_text, gather_facts
from sft_tui.factory.failures.facts import cgroup_oom_count, host_oom
from sft_tui.problems import Refusal

KILLED = "E1103 api.py:874] failed (exitcode: -9) local_rank: 1 (pid: 244) of binary: python3.11\n"


def ids(text: str, facts: Facts) -> list[str]:
    return [diagnosis.id for diagnosis in diagnose_text(text, facts)]


@pytest.mark.parametrize("facts", [Facts(signal=9), Facts(exit_code=-9), Facts(exit_code=137)])
def test_a_kill_without_a_word_is_main_memory_or_a_person(facts: Facts) -> None:
    assert ids("training ...\n", facts) == ["host-oom"]


def test_the_oom_killer_tells_the_two_apart() -> None:
    assert ids(KILLED, Facts(signal=9, host_oom=True))[0] == "host-oom"
    assert ids(KILLED, Facts(signal=9, host_oom=False))[0] == "killed"
    assert ids(KILLED, Facts())[0] == "host-oom"


@pytest.mark.parametrize(("number", "known"), [(1, "hangup"), (15, "terminated"), (11, "crash"), (7, "shared-memory")])
def test_signals(number: int, known: str) -> None:
    assert ids("", Facts(exit_code=128 + number)) == [known]


def test_gpu_memory_is_not_main_memory() -> None:
    text = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    assert ids(text, Facts(exit_code=1, host_oom=False)) == ["gpu-oom"]


def test_an_ordinary_exit_code_is_no_signal() -> None:
    assert Facts(exit_code=1).death_signal is None
    assert Facts(exit_code=0).death_signal is None
    assert Facts(exit_code=255).death_signal is None


def test_a_full_disk_explains_a_failure_without_a_message() -> None:
    assert ids("something odd\n", Facts(exit_code=1, disk_free_bytes=0)) == ["disk-full"]
    assert ids("something odd\n", Facts(exit_code=1, disk_free_bytes=10**12)) == []
    assert ids("all is well\n", Facts(exit_code=0, disk_free_bytes=0)) == []


def test_silence_with_an_idle_gpu_is_a_stall() -> None:
    text = "***** Running training *****\n{'loss': 1.2, 'grad_norm': 0.4}\n"
    assert ids(text, Facts(silent_s=7200, gpu_utilisation=0)) == ["webui-stall"]
    assert ids(text, Facts(silent_s=7200, gpu_utilisation=80)) == []
    assert ids(text, Facts(silent_s=5, gpu_utilisation=0)) == []


def test_a_process_killed_before_its_first_word(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.touch()
    assert [d.id for d in diagnose_file(log, Facts(exit_code=137))] == ["host-oom"]
    with pytest.raises(Refusal):
        diagnose_file(log, Facts(exit_code=1))


def test_facts_of_a_real_process(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], check=False
    )
    facts = gather_facts(exit_code=child.returncode, stage="train", project=tmp_path, pids=frozenset({2**22 + 1}))
    assert facts.death_signal == 9
    assert facts.stage == "train"
    assert facts.disk_free_bytes is not None and facts.disk_free_bytes > 0
    assert facts.host_memory_free_bytes is not None and facts.host_memory_free_bytes > 0
    assert facts.host_oom in (None, False)


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    facts = gather_facts(project=tmp_path / "gone", log=tmp_path / "gone.log")
    assert facts.disk_free_bytes is None
    assert facts.silent_s is None
    assert facts.exit_code is None


def test_the_silence_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("x")
    os.utime(log, (1, 1))
    silent = gather_facts(log=log).silent_s
    assert silent is not None and silent > 1000


def test_the_kernel_log_is_read_where_it_may_be() -> None:
    assert host_oom(frozenset({2**22 + 1})) in (None, False)
    count = cgroup_oom_count()
    assert count is None or count >= 0
