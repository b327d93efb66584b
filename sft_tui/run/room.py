"""The GPU memory that a training needs, looked for once more just before it starts, or waited for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from sft_tui.factory.commands import gpu_environment
from sft_tui.i18n import _
from sft_tui.machine.gpus import Gpu, GpuProcess, GpuReport, read_gpus
from sft_tui.memory.estimate import DRIVER_BYTES
from sft_tui.plan.model import Plan, PlannedEstimate, PlannedStage
from sft_tui.run.wait import Waiting, wait_for_memory

GIB = 2**30
_EMPTY_SHARE = 256 << 20
"""What an empty card may lack of its total, besides the driver's share."""
_EVERY_S = 2.0
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


def wait_for_room(plan: Plan) -> Generator[Waiting, None, None]:
    """How the wait for the plan's memory stands, until it is over. The plan must have an estimate."""
    need = plan.estimate
    assert need is not None
    cards = cards_of(plan, read_gpus())
    total = min((gpu.total_bytes for gpu in cards), default=0)
    wanted = wanted_free_bytes(need, total) if total else least_free_bytes(need)
    among = None if plan.any_gpu else [gpu.uuid for gpu in cards]
    return wait_for_memory(plan.run, wanted, count=max(1, len(plan.gpus)), among=among, every_s=_EVERY_S)


def on_cards(plan: Plan, gpus: Sequence[Gpu]) -> Plan:
    """The plan with its stages on `gpus` instead of the cards that it was made for."""
    before = plan.stage("train")
    old = before.env.get("CUDA_VISIBLE_DEVICES") if before else None
    new = gpu_environment([gpu.uuid for gpu in gpus], [gpu.index for gpu in gpus])

    def moved(stage: PlannedStage) -> PlannedStage:
        if not old or stage.env.get("CUDA_VISIBLE_DEVICES") != old:
            return stage
        shown = stage.shown.replace(old, new["CUDA_VISIBLE_DEVICES"])
        return replace(stage, env={**stage.env, **new}, shown=shown)

    return replace(plan, gpus=tuple(gpu.index for gpu in gpus), stages=tuple(moved(stage) for stage in plan.stages))


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


def waiting_text(waiting: Waiting) -> str:
    """What a waiting run waits for, and for how long it has."""
    fields: dict[str, Any] = {
        "minutes": f"{int(waiting.waited_s) // 60}:{int(waiting.waited_s) % 60:02}",
        "need": f"{waiting.needed_bytes / GIB:.1f}",
        "free": "?" if waiting.best_free_bytes is None else f"{waiting.best_free_bytes / GIB:.1f}",
    }
    text = _("Waiting for GPU memory since {minutes} (m:ss): {need} GiB must be free, {free} GiB are.").format(**fields)
    if waiting.ahead:
        text += " " + _("Runs before this one: {count}.").format(count=waiting.ahead)
    if waiting.reason:
        text += f" {waiting.reason}"
    return text
