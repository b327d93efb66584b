"""The GPU memory that a training needs, looked for once more just before it starts, or waited for."""

from __future__ import annotations

from sft_tui.i18n import _
from sft_tui.machine.gpus import DRIVER_BYTES, Gpu, GpuProcess, GpuReport
from sft_tui.project.plan_record import Plan, PlannedEstimate
from sft_tui.units import GIB

_EMPTY_SHARE = 256 << 20
"""What an empty card may lack of its total, besides the driver's share."""
_SHOWN = 60


def least_free_bytes(need: PlannedEstimate) -> int:
    """Below so much free memory a run surely does not fit: the peak less its margin and the driver's share."""
    return max(0, int(need.peak_bytes * (1 - need.margin)) - DRIVER_BYTES)


def could_fit(need: PlannedEstimate, gpu: Gpu) -> bool:
    """Whether the run may fit on `gpu` when nobody else uses it; so too where the card does not tell its size."""
    return not gpu.total_bytes or least_free_bytes(need) + DRIVER_BYTES <= gpu.total_bytes


def wanted_free_bytes(need: PlannedEstimate, total_bytes: int) -> int:
    """What to wait for: room for the peak with its margin, or where the card is too small for that, an empty card."""
    comfortable = int(need.peak_bytes * (1 + need.margin)) - DRIVER_BYTES
    empty = total_bytes - DRIVER_BYTES - _EMPTY_SHARE
    return max(min(comfortable, empty), least_free_bytes(need))


def cards_of(plan: Plan, report: GpuReport) -> tuple[Gpu, ...]:
    """The cards of `report` that the plan's training will see."""
    train = plan.stage("train")
    visible = (train.env.get("CUDA_VISIBLE_DEVICES", "") if train else "").split(",")
    by_name = {gpu.uuid: gpu for gpu in report.gpus} | {str(gpu.index): gpu for gpu in report.gpus}
    return tuple(by_name[name] for name in visible if name in by_name)


def waiting_helps(plan: Plan, report: GpuReport) -> bool:
    """Whether the run could fit on its cards, or with `auto` on any one, if nobody else used them."""
    need = plan.estimate
    if need is None:
        return False
    if plan.any_gpu:
        return any(could_fit(need, gpu) for gpu in report.gpus)
    cards = cards_of(plan, report)
    return bool(cards) and all(could_fit(need, gpu) for gpu in cards)


def lacking(plan: Plan, report: GpuReport) -> str | None:
    """Why the training must not start now, with who holds the memory; None where it may, or where nobody can tell."""
    need = plan.estimate
    if need is None or plan.force:
        return None
    cards = [gpu for gpu in cards_of(plan, report) if gpu.total_bytes]
    if not cards:
        return None
    worst = min(cards, key=lambda gpu: gpu.free_bytes)
    if worst.free_bytes >= least_free_bytes(need):
        return None
    message = _("GPU {index} ({name}) has {free} GiB of memory free, the training needs about {need} GiB.").format(
        index=worst.index, name=worst.name, free=f"{worst.free_bytes / GIB:.1f}", need=f"{need.peak_bytes / GIB:.1f}"
    )
    holders = [holder(process) for process in worst.processes]
    who = _("Held by: {who}.").format(who="; ".join(holders[:4])) if holders else _("Who holds it cannot be seen here.")
    hint = _("Wait for it with `hardware.wait: true`, or start all the same with `--force`.")
    return f"{message} {who} {hint}"


def holder(process: GpuProcess) -> str:
    """Who holds memory: `pid 4711 (ann): python train.py, 20.1 GiB`."""
    text = _("pid {pid} ({user})").format(pid=process.pid, user=process.user or "?")
    if process.command:
        command = process.command if len(process.command) <= _SHOWN else process.command[: _SHOWN - 3] + "..."
        text += f": {command}"
    return text + (f", {process.memory_bytes / GIB:.1f} GiB" if process.memory_bytes else "")
