"""A stand-in for the `pynvml` module: the cards that a test describes, and NVML's real error classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

GIB = 2**30


@dataclass
class Card:
    """A fake card or MIG slice; a method named in `unsupported` raises NotSupported, `broken` raises that error."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    total: int = 80 * GIB
    used: int = GIB // 2
    load: int = 0
    processes: list[tuple[int, int | None]] = field(default_factory=list)
    unsupported: tuple[str, ...] = ()
    broken: int | None = None
    slices: list[Card] = field(default_factory=list)
    capability: tuple[int, int] = (9, 0)
    vgpu: bool = False


class FakeNvml:
    """Enough of `pynvml` for `sft_tui.machine.gpus`."""

    def __init__(self, cards: list[Card] | None = None, init_error: int | None = None) -> None:
        self.cards = cards or []
        self.init_error = init_error
        self.opened = 0

    def __getattr__(self, name: str) -> Any:
        """Constants and error classes are the real ones."""
        if name.startswith("NVML"):
            return getattr(pynvml, name)
        raise AttributeError(name)

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise pynvml.NVMLError(self.init_error)
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"580.159.04"

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        card = self.cards[index]
        if card.broken is not None:
            raise pynvml.NVMLError(card.broken)
        return card

    def nvmlDeviceGetMigMode(self, card: Card) -> list[int]:
        _supported(card, "mig")
        return [1, 1] if card.slices else [0, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, number: int) -> Card:
        if number >= len(card.slices):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return card.slices[number]

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Any:
        _supported(card, "memory")
        return SimpleNamespace(total=card.total, used=card.used, free=card.total - card.used)

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: Card) -> str:
        return card.name

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Any:
        _supported(card, "load")
        return SimpleNamespace(gpu=card.load, memory=0)

    def nvmlDeviceGetCudaComputeCapability(self, card: Card) -> tuple[int, int]:
        return card.capability

    def nvmlDeviceGetPowerUsage(self, card: Card) -> int:
        _supported(card, "power")
        return 412_000

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:
        _supported(card, "temperature")
        return 61

    def nvmlDeviceGetVirtualizationMode(self, card: Card) -> int:
        return int(pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU if card.vgpu else 0)

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[Any]:
        _supported(card, "processes")
        return [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in card.processes]


def _supported(card: Card, what: str) -> None:
    if what in card.unsupported:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
