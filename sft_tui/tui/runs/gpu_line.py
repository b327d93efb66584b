"""The GPUs that a run uses, a line each: memory, load, power, temperature, as NVML reads them."""

from __future__ import annotations

from textual.content import Content

from sft_tui.i18n import _
from sft_tui.machine.gpus import Gpu
from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import clean
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.tui.widgets.lines import Lines
from sft_tui.view.watch import Snapshot

MOST_LINES = 2


def gpu_text(gpu: Gpu, signs: Signs, bar_cells: int = 10) -> str:
    """`GPU 0 H100  18.0/79.6 GiB bar  97%  412 W  61 C`; what the card does not tell is left out."""
    name = clean(gpu.name).removeprefix("NVIDIA ").split(" 80GB")[0]
    parts = [f"GPU {gpu.index} {name}"]
    if gpu.total_bytes:
        share = gpu.used_bytes / gpu.total_bytes
        parts.append(f"{text.gib(gpu.used_bytes)}/{text.gib(gpu.total_bytes)} GiB {signs.bar(share, bar_cells)}")
    else:
        parts.append(_("memory - (shared with the system)"))
    if gpu.utilisation is not None:
        parts.append(f"{gpu.utilisation}%")
    if gpu.power_w is not None:
        parts.append(f"{gpu.power_w:.0f} W")
    if gpu.temperature_c is not None:
        parts.append(f"{gpu.temperature_c}{' C' if signs.ascii else '°C'}")
    return "  ".join(parts)


def gpu_lines(snapshot: Snapshot, signs: Signs) -> list[Content]:
    """The lines for `snapshot`: at most `MOST_LINES` cards, the rest as a number; a sentence where there is none."""
    if snapshot.on_cpu:
        return [Content(_("CPU: this run uses no GPU"))]
    if not snapshot.alive:
        return []
    if not snapshot.gpus:
        reason = clean(snapshot.gpu_reason or "", " ")
        return [Content(_("GPU - ({reason})").format(reason=reason))] if reason else []
    lines = [Content(gpu_text(gpu, signs)) for gpu in snapshot.gpus[:MOST_LINES]]
    more = len(snapshot.gpus) - MOST_LINES
    if more > 0:
        lines.append(Content(_("and {count} more, g shows all").format(count=more)))
    return lines


class GpuLine(Lines):
    """The run's cards."""

    def update_from(self, snapshot: Snapshot) -> None:
        """Show the cards of `snapshot`."""
        self.show(gpu_lines(snapshot, signs_of(self)))
