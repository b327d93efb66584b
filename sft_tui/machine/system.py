"""Memory, processors and disk of this computer."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class System:
    """What this computer has. Bytes; `cpus` counts those that this process may use."""

    ram_total_bytes: int
    ram_available_bytes: int
    cpus: int
    disk_free_bytes: int
    disk_path: str


def read_system(project: Path) -> System:
    """Look at this computer, and at the disk that `project` is (or will be) on."""
    import psutil

    memory = psutil.virtual_memory()
    place = existing_parent(project)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _cgroup_limit()
    total = min(memory.total, limit) if limit else memory.total
    return System(total, min(memory.available, total), affinity, shutil.disk_usage(place).free, str(place))


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
