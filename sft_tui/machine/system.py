"""Memory, processors and disk of this computer."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class System:
    """What this computer has. Bytes; `cpus` counts those that this process may use.

    `cpu_bf16` says whether they compute in bf16 (None: not known); where not, it is ten times slower than float32.
    """

    ram_total_bytes: int
    ram_available_bytes: int
    cpus: int
    disk_free_bytes: int
    disk_path: str
    cpu_bf16: bool | None = None


def read_system(project: Path) -> System:
    """Look at this computer, and at the disk that `project` is (or will be) on."""
    import psutil

    memory = psutil.virtual_memory()
    place = existing_parent(project)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _cgroup_limit()
    total = min(memory.total, limit) if limit else memory.total
    free = shutil.disk_usage(place).free
    return System(total, min(memory.available, total), affinity, free, str(place), computes_in_bf16())


_BF16_FLAGS = frozenset(("avx512_bf16", "amx_bf16", "bf16"))
"""How /proc/cpuinfo names it: on x86-64 by `flags`, on ARM by `Features`."""


def computes_in_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether the processors have bf16 arithmetic; None where the system does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), None)
    return None if flags is None else not _BF16_FLAGS.isdisjoint(flags)


def existing_parent(path: Path) -> Path:
    """`path`, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _cgroup_limit() -> int | None:
    """The memory limit of the control group (containers, SLURM) in bytes, or None."""
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None
