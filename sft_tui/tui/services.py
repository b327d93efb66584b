"""What the screens ask of the rest of the program: a thin door, so that nothing heavy is imported before it is needed.

Every method may block; screens call them in thread workers, except those marked quick.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sft_tui.machine.gpus import GpuReport
    from sft_tui.run.layout import RunLayout


class Services:
    """The real machine and the real files."""

    def now(self) -> float:
        """Epoch seconds (quick)."""
        return time.time()

    def gpus(self) -> GpuReport:
        """The GPUs as they are now."""
        from sft_tui.machine.gpus import read_gpus

        return read_gpus()

    def runs(self, project: Path) -> list[RunLayout]:
        """The runs of `project`, the newest first (quick)."""
        from sft_tui.run.layout import runs_of

        return runs_of(project)

    def diagnose(self, project: Path) -> Iterator[Any]:
        """The lines of the environment check, each as soon as it is known."""
        from sft_tui.run.doctor import diagnose_machine

        yield from diagnose_machine(project)
