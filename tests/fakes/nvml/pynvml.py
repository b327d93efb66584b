"""A stand-in for nvidia-ml-py for programs that a test starts: the cards are in the JSON file that FAKE_NVML names.

Put this directory on PYTHONPATH. The file is read at each question: `[{"uuid": ..., "total": GiB, "used": GiB,
"processes": [[pid, GiB]]}]`, so that a test can free memory while a program waits for it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

GIB = 2**30
NVML_DEVICE_MIG_ENABLE = 1
NVML_TEMPERATURE_GPU = 0
NVML_GPU_VIRTUALIZATION_MODE_VGPU = 2


class NVMLError(Exception):
    """As the real one."""


class NVMLError_NotSupported(NVMLError):
    """As the real one."""


def _cards() -> list[dict[str, Any]]:
    cards: list[dict[str, Any]] = json.loads(Path(os.environ["FAKE_NVML"]).read_text(encoding="utf-8"))
    return cards


def nvmlInit() -> None:
    """Open."""


def nvmlShutdown() -> None:
    """Close."""


def nvmlSystemGetDriverVersion() -> str:
    return "580.159.04"


def nvmlDeviceGetCount() -> int:
    return len(_cards())


def nvmlDeviceGetHandleByIndex(index: int) -> dict[str, Any]:
    return _cards()[index]


def nvmlDeviceGetMigMode(card: dict[str, Any]) -> list[int]:
    return [0, 0]


def nvmlDeviceGetMemoryInfo(card: dict[str, Any]) -> Any:
    total, used = int(card["total"] * GIB), int(card["used"] * GIB)
    return SimpleNamespace(total=total, used=used, free=total - used)


def nvmlDeviceGetUUID(card: dict[str, Any]) -> str:
    return str(card["uuid"])


def nvmlDeviceGetName(card: dict[str, Any]) -> str:
    return "Fake Card"


def nvmlDeviceGetUtilizationRates(card: dict[str, Any]) -> Any:
    return SimpleNamespace(gpu=50, memory=0)


def nvmlDeviceGetCudaComputeCapability(card: dict[str, Any]) -> tuple[int, int]:
    return (8, 6)


def nvmlDeviceGetPowerUsage(card: dict[str, Any]) -> int:
    return 100_000


def nvmlDeviceGetTemperature(card: dict[str, Any], sensor: int) -> int:
    return 50


def nvmlDeviceGetVirtualizationMode(card: dict[str, Any]) -> int:
    return 0


def nvmlDeviceGetComputeRunningProcesses(card: dict[str, Any]) -> list[Any]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=int(gib * GIB)) for pid, gib in card.get("processes", [])]
