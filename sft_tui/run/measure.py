"""Measuring a run's true peak on the card."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sft_tui.machine.gpus import Gpu, GpuReport


@dataclass(slots=True)
class PeakMeter:
    """The largest memory that a run's cards have shown, in bytes, less what others held on them when it began.

    `peak_bytes` counts the driver's own share as the estimate does. None until a card was read.
    """

    uuids: tuple[str, ...]
    others_bytes: dict[str, int]
    peak_bytes: int | None = None

    @classmethod
    def start(cls, gpus: Sequence[Gpu], own: Collection[int] = ()) -> PeakMeter:
        """A meter for `gpus`, which the run does not use yet, or only by its processes `own`."""
        others = {
            gpu.uuid: sum(process.memory_bytes or 0 for process in gpu.processes if process.pid not in own)
            for gpu in gpus
        }
        return cls(tuple(gpu.uuid for gpu in gpus), others)

    def look(self, report: GpuReport) -> int | None:
        """Take a reading; the peak so far."""
        for gpu in report.gpus:
            if gpu.uuid in self.uuids:
                own = max(0, gpu.used_bytes - self.others_bytes.get(gpu.uuid, 0))
                self.peak_bytes = max(self.peak_bytes or 0, own)
        return self.peak_bytes
