"""Facts of the machine that a log does not hold, gathered right after a failure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from sft_tui.factory.failures.records import Facts

_OOM = re.compile(r"Out of memory: Killed process (\d+)|oom-kill:.*?\bpid=(\d+)|Memory cgroup out of memory.*?(\d+)")
_KMSG_LIMIT = 4000
_LATELY_S = 900.0


def gather_facts(
    *,
    exit_code: int | None = None,
    signal: int | None = None,
    stage: str | None = None,
    project: Path | None = None,
    pids: frozenset[int] = frozenset(),
    since: float | None = None,
    log: Path | None = None,
    gpu_memory_free_bytes: int | None = None,
    gpu_memory_total_bytes: int | None = None,
    gpu_utilisation: float | None = None,
) -> Facts:
    """What the machine tells after a stage ended with `exit_code` or by `signal` (also as a negative exit code).

    `pids` are the processes that belonged to the stage, `since` the time (seconds since 1970) at which it started (a
    quarter of an hour ago unless given): they tie the kernel's OOM messages to it. The disk is the one of `project`;
    `log` tells how long it is silent.
    The GPU's numbers are the caller's, who has NVML open. What cannot be read is None.
    """
    if signal is None and exit_code is not None and exit_code < 0:
        signal = -exit_code
    return Facts(
        exit_code=exit_code,
        signal=signal,
        stage=stage,
        host_oom=host_oom(pids, time.time() - _LATELY_S if since is None else since),
        disk_free_bytes=_disk_free(project),
        host_memory_free_bytes=_memory_available(),
        gpu_memory_free_bytes=gpu_memory_free_bytes,
        gpu_memory_total_bytes=gpu_memory_total_bytes,
        gpu_utilisation=gpu_utilisation,
        silent_s=_silence(log),
    )


def host_oom(pids: frozenset[int] = frozenset(), since: float | None = None) -> bool | None:
    """Whether the kernel's OOM killer ended one of `pids` (any process where none is named) after `since`.

    Reads /dev/kmsg, `dmesg` or the kernel's journal, whichever this user may read, and the counter of the control
    group of this process; None where none of them can be read, or where it struck and the pids tell nothing (they are
    those of the host, and this may be a container).
    """
    messages = _kernel_messages(since)
    struck = [match for line in messages or () if (match := _OOM.search(line))]
    if any(not pids or int(next(filter(None, match.groups()))) in pids for match in struck):
        return True
    if _cgroup_oom_kills():
        return True
    return None if messages is None or struck else False


def _kernel_messages(since: float | None) -> list[str] | None:
    """Lines of the kernel's log written after `since`; None where it may not be read."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return _dmesg(since)
    lines: list[str] = []
    try:
        for _index in range(_KMSG_LIMIT):
            try:
                record = os.read(descriptor, 8192).decode("utf-8", errors="replace")
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue
            except OSError:
                return _dmesg(since)
            head, _sep, message = record.partition(";")
            fields = head.split(",")
            at = boot + int(fields[2]) / 1e6 if len(fields) > 2 and fields[2].isdigit() else None
            if since is None or at is None or at >= since:
                lines.append(message)
    finally:
        os.close(descriptor)
    return lines


def _dmesg(since: float | None) -> list[str] | None:
    if since is not None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
        commands = [["dmesg", "--since", stamp], ["journalctl", "-k", "-q", "--no-pager", "--since", stamp]]
    else:
        commands = [["dmesg"], ["journalctl", "-k", "-q", "--no-pager", "-n", str(_KMSG_LIMIT)]]
    for command in commands:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=5,
                check=False,
                errors="replace",
                text=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout:
            return done.stdout.splitlines()
    return None


def cgroup_oom_count() -> int | None:
    """How often the OOM killer struck in the control group of this process (cgroup v2); None where not readable."""
    try:
        group = next(
            line[3:].strip() for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")
        )
        events = Path("/sys/fs/cgroup", group.lstrip("/"), "memory.events").read_text()
    except (OSError, StopIteration):
        return None
    found = re.search(r"^oom_kill (\d+)$", events, re.MULTILINE)
    return int(found[1]) if found else None


_COUNT_AT_START = cgroup_oom_count()


def _cgroup_oom_kills() -> bool:
    """Whether the group's counter has risen since this process started."""
    now = cgroup_oom_count()
    return now is not None and _COUNT_AT_START is not None and now > _COUNT_AT_START


def _disk_free(project: Path | None) -> int | None:
    if project is None:
        return None
    try:
        return shutil.disk_usage(project).free
    except OSError:
        return None


def _memory_available() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _silence(log: Path | None) -> float | None:
    if log is None:
        return None
    try:
        return max(0.0, time.time() - log.stat().st_mtime)
    except OSError:
        return None
