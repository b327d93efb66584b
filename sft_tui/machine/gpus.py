"""The GPUs of this computer: memory, load and who uses them, read through NVML without touching CUDA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sft_tui.machine import nvml

DRIVER_BYTES = 480 << 20
"""What an idle card shows as used already (driver 580): it is missing from the free memory."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process on a GPU. What the system does not let us see (another user's, another container's) is None."""

    pid: int
    user: str | None
    command: str | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG slice of one (`mig`), as it is now.

    `index` is NVML's, in PCI bus order. `uuid` is what `CUDA_VISIBLE_DEVICES` takes. `used_bytes` counts everybody and
    the driver. `total_bytes` is 0 where the driver does not tell (memory shared with the system). `vgpu` marks a
    virtual machine's share, whose processes cannot be seen.
    """

    index: int
    uuid: str
    name: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    utilisation: int | None
    temperature_c: int | None
    power_w: float | None
    compute_capability: tuple[int, int] | None
    processes: tuple[GpuProcess, ...]
    mig: bool = False
    vgpu: bool = False

    @property
    def supports_bf16(self) -> bool | None:
        """Whether the card computes bf16 itself (Ampere, 8.0, and later); None where its generation is unknown."""
        return None if self.compute_capability is None else self.compute_capability >= (8, 0)


@dataclass(frozen=True, slots=True)
class GpuReport:
    """All GPUs that could be read. `reason` is a sentence where none or not all could, `code` its stable name:

    `no_library`, `no_driver`, `version_mismatch`, `no_permission`, `gpu_lost`, `reset_required`, `old_driver`,
    `no_gpu`, `no_binding` (nvidia-ml-py is missing), `nvml_error`. `driver` is the driver's version.
    """

    gpus: tuple[Gpu, ...]
    reason: str | None = None
    code: str | None = None
    driver: str | None = None


def read_gpus() -> GpuReport:
    """Read every GPU now. Never raises: what went wrong is in `reason` and `code`."""
    try:
        library = nvml.library()
    except nvml.NvmlUnavailable as unavailable:
        return GpuReport((), str(unavailable), unavailable.code)
    driver = _text(nvml.ask(library, library.nvmlSystemGetDriverVersion, None))
    try:
        count = int(library.nvmlDeviceGetCount())
    except library.NVMLError as error:
        nvml.close()
        failure = nvml.error_code(library, error)
        return GpuReport((), nvml.explain(failure, str(error)), failure, driver)
    gpus: list[Gpu] = []
    code: str | None = None
    detail = ""
    for index in range(count):
        try:
            gpus.extend(_read_card(library, index))
        except library.NVMLError as error:
            code, detail = nvml.error_code(library, error), str(error)
    if count == 0:
        code = "no_gpu"
    if code is not None:
        nvml.close()
        return GpuReport(tuple(gpus), nvml.explain(code, detail), code, driver)
    return GpuReport(tuple(gpus), driver=driver)


def freest(gpus: Iterable[Gpu], count: int = 1) -> tuple[Gpu, ...]:
    """The `count` GPUs with the most free memory, the freest first; among equals the idlest, then the lowest index."""
    order = sorted(gpus, key=lambda gpu: (-gpu.free_bytes, gpu.utilisation or 0, gpu.index, gpu.uuid))
    return tuple(order[:count])


def usable(wanted: str | Sequence[int], gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Those of `gpus` that `hardware.gpus` lets a run use: `auto` any, `none` none, or those with these numbers.

    A card that is cut into MIG slices has several rows of one number.
    """
    if isinstance(wanted, str):
        return tuple(gpus) if wanted == "auto" else ()
    return tuple(gpu for gpu in gpus if gpu.index in wanted)


def choose_cards(wanted: str | Sequence[int], gpus: Iterable[Gpu], count: int = 1) -> tuple[Gpu, ...]:
    """The cards of `gpus` that a run should use: with `auto` the `count` freest, otherwise those with the numbers
    `wanted`, in that order, of one in slices the freest; fewer where some are not there. The one choice for plans and
    for runs that wait.
    """
    there = usable(wanted, gpus)
    if isinstance(wanted, str):
        return freest(there, count)
    named = (freest(gpu for gpu in there if gpu.index == index) for index in dict.fromkeys(wanted))
    return tuple(gpu for found in named for gpu in found)


def visible_environment(gpus: Sequence[Gpu]) -> dict[str, str]:
    """The environment that shows a program just `gpus`, in this order (none hides every card).

    By UUID, because CUDA's own numbering differs from NVML's unless `CUDA_DEVICE_ORDER` is set, and stays valid when a
    card goes missing.
    """
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in gpus)}


def _read_card(library: Any, index: int) -> Iterator[Gpu]:
    """The card at `index`, or its MIG slices where it is cut into some."""
    card = library.nvmlDeviceGetHandleByIndex(index)
    mig_mode = nvml.ask(library, lambda: library.nvmlDeviceGetMigMode(card)[0], 0)
    slices = list(_mig_handles(library, card)) if mig_mode == library.NVML_DEVICE_MIG_ENABLE else []
    for handle in slices:
        yield _read_device(library, index, handle, card, mig=True)
    if not slices:
        yield _read_device(library, index, card, card, mig=False)


def _mig_handles(library: Any, card: Any) -> Iterator[Any]:
    for number in range(int(nvml.ask(library, lambda: library.nvmlDeviceGetMaxMigDeviceCount(card), 0))):
        handle = nvml.ask(library, partial(library.nvmlDeviceGetMigDeviceHandleByIndex, card, number), None)
        if handle is not None:
            yield handle


def _read_device(library: Any, index: int, device: Any, card: Any, *, mig: bool) -> Gpu:
    """One row: memory and processes of `device`, sensors of the `card` that it is on."""

    def ask(name: str, *arguments: Any, unknown: Any = None) -> Any:
        return nvml.ask(library, partial(getattr(library, name), *arguments), unknown)

    try:
        memory = library.nvmlDeviceGetMemoryInfo(device)
        total, used, free = int(memory.total), int(memory.used), int(memory.free)
    except library.NVMLError_NotSupported:
        total = used = free = 0
    rates = ask("nvmlDeviceGetUtilizationRates", card)
    capability = ask("nvmlDeviceGetCudaComputeCapability", card)
    milliwatts = ask("nvmlDeviceGetPowerUsage", card)
    return Gpu(
        index=index,
        uuid=_text(library.nvmlDeviceGetUUID(device)) or "",
        name=_text(ask("nvmlDeviceGetName", device)) or "NVIDIA GPU",
        total_bytes=total,
        used_bytes=used,
        free_bytes=free,
        utilisation=None if rates is None or mig else int(rates.gpu),
        temperature_c=ask("nvmlDeviceGetTemperature", card, library.NVML_TEMPERATURE_GPU),
        power_w=None if milliwatts is None else milliwatts / 1000,
        compute_capability=None if capability is None else (int(capability[0]), int(capability[1])),
        processes=_processes(ask("nvmlDeviceGetComputeRunningProcesses", device, unknown=())),
        mig=mig,
        vgpu=ask("nvmlDeviceGetVirtualizationMode", card) == library.NVML_GPU_VIRTUALIZATION_MODE_VGPU,
    )


def _processes(found: Iterable[Any]) -> tuple[GpuProcess, ...]:
    """The processes, the largest first, with user and command where the system shows them."""
    rows = [_process(entry) for entry in found]
    return tuple(sorted(rows, key=lambda process: (-(process.memory_bytes or 0), process.pid)))


def _process(entry: Any) -> GpuProcess:
    import psutil

    memory = entry.usedGpuMemory
    user: str | None = None
    command: str | None = None
    try:
        process = psutil.Process(entry.pid)
        user = process.username()
        command = " ".join(process.cmdline()) or process.name()
    except (psutil.Error, KeyError):
        pass
    return GpuProcess(int(entry.pid), user, command, None if memory is None else int(memory))


def _text(value: Any) -> str | None:
    """NVML's strings: bytes in old bindings, text in new ones."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
