"""All GPUs of this machine, live, and who holds their memory."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content

from sft_tui.i18n import _
from sft_tui.machine.gpus import Gpu, GpuProcess, GpuReport
from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import clean, one_line
from sft_tui.tui.runs.gpu_line import gpu_text
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.widgets.lines import Lines

POLL_S = 2.0
_MOST_PROCESSES = 6


class GpusScreen(BaseScreen):
    """The cards as NVML reads them, every two seconds."""

    HELP_ID = "gpu"

    def compose_body(self) -> ComposeResult:
        """The cards."""
        yield Lines(id="gpus-lines")

    def heading(self) -> str:
        """What the top line says."""
        return _("GPUs")

    def next_text(self) -> str:
        """Looking is harmless."""
        return _("Looking does not use a card.")

    def primary_label(self) -> str:
        """There is no other way on from here."""
        return _("Back")

    def primary(self) -> None:
        """Enter goes back."""
        self.back()

    def on_mount(self) -> None:
        """Read now and then."""
        self._read()
        self.set_interval(POLL_S, self._read)

    def _read(self) -> None:
        if not self.jobs.busy("gpus"):
            services = self.sft.services
            self.jobs.start("gpus", lambda _job: services.gpus(), self._show)

    def _show(self, report: GpuReport) -> None:
        self.query_one("#gpus-lines", Lines).show(report_lines(report, self.sft.signs, self.size.width - 4))


def report_lines(report: GpuReport, signs: Signs, width: int) -> list[Content]:
    """Each card, its processes below it; the reason where cards are missing."""
    lines: list[Content] = []
    for gpu in report.gpus:
        lines.append(Content.styled(gpu_text(gpu, signs), "bold"))
        lines += [Content(one_line(_process(p), width, signs.ellipsis)) for p in gpu.processes[:_MOST_PROCESSES]]
        lines += _unseen(gpu)
    if report.reason:
        lines.append(Content(clean(report.reason)))
    return lines


def _process(process: GpuProcess) -> str:
    memory = f"{text.gib(process.memory_bytes)} GiB" if process.memory_bytes is not None else "- GiB"
    who = process.user or _("another user or container")
    return f"  {memory:>9}  pid {process.pid}  {who}  {process.command or ''}"


def _unseen(gpu: Gpu) -> list[Content]:
    if gpu.processes or gpu.used_bytes < 2**30:
        return []
    return [Content(_("  memory is in use, but by whom cannot be seen from here (a container?)"))]
