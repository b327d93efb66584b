"""Reading GPUs: what a healthy card gives, and a sentence of its own for each way in which it can fail."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from sft_tui.machine import nvml
from sft_tui.machine.gpus import Gpu, GpuReport, choose_cards, freest, read_gpus, visible_environment
from tests.unit.machine.fake_nvml import GIB, Card, FakeNvml


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Each test opens the library anew."""
    nvml._open = None
    yield
    nvml._open = None


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml) -> GpuReport:
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return read_gpus()


def test_a_card_is_read_with_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("GPU-1", used=20 * GIB, load=97, processes=[(999_999_999, None), (os.getpid(), 18 * GIB)])
    report = use(monkeypatch, FakeNvml([card]))
    assert (report.reason, report.code, report.driver) == (None, None, "580.159.04")
    (gpu,) = report.gpus
    assert (gpu.total_bytes, gpu.used_bytes, gpu.free_bytes) == (80 * GIB, 20 * GIB, 60 * GIB)
    assert (gpu.utilisation, gpu.temperature_c, gpu.power_w, gpu.supports_bf16) == (97, 61, 412.0, True)
    ours, gone = gpu.processes
    assert ours.pid == os.getpid() and ours.user and "py" in (ours.command or "")
    assert (gone.user, gone.command, gone.memory_bytes) == (None, None, None)


def test_the_library_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml([Card("GPU-1")])
    use(monkeypatch, fake)
    read_gpus()
    assert fake.opened == 1


INIT_FAILURES = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no_library",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "no_driver",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "version_mismatch",
    pynvml.NVML_ERROR_NO_PERMISSION: "no_permission",
    pynvml.NVML_ERROR_GPU_IS_LOST: "gpu_lost",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "old_driver",
    pynvml.NVML_ERROR_UNKNOWN: "nvml_error",
}


def test_each_failure_has_its_own_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = set()
    for error, code in INIT_FAILURES.items():
        report = use(monkeypatch, FakeNvml(init_error=error))
        assert report.gpus == () and report.code == code and report.reason
        reasons.add(report.reason)
    assert len(reasons) == len(INIT_FAILURES)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_gpus().code == "no_binding"


def test_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    report = use(monkeypatch, FakeNvml([]))
    assert report.gpus == () and report.code == "no_gpu" and report.reason


def test_a_lost_card_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml([Card("GPU-1"), Card("GPU-2", broken=pynvml.NVML_ERROR_GPU_IS_LOST)])
    report = use(monkeypatch, fake)
    assert [gpu.uuid for gpu in report.gpus] == ["GPU-1"] and report.code == "gpu_lost"
    assert fake.opened == 0, "the library must be opened anew after a lost card"


def test_mig_slices_stand_for_their_card(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = [Card("MIG-a", name="MIG 3g.40gb", total=40 * GIB), Card("MIG-b", name="MIG 3g.40gb", total=40 * GIB)]
    report = use(monkeypatch, FakeNvml([Card("GPU-1", slices=slices), Card("GPU-2")]))
    assert [(gpu.uuid, gpu.index, gpu.mig) for gpu in report.gpus] == [
        ("MIG-a", 0, True),
        ("MIG-b", 0, True),
        ("GPU-2", 1, False),
    ]
    assert report.gpus[0].total_bytes == 40 * GIB and report.gpus[0].utilisation is None


def test_what_a_card_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = ("mig", "load", "power", "temperature", "processes", "memory")
    (gpu,) = use(monkeypatch, FakeNvml([Card("GPU-1", unsupported=silent, vgpu=True, capability=(7, 5))])).gpus
    assert (gpu.utilisation, gpu.power_w, gpu.temperature_c, gpu.processes) == (None, None, None, ())
    assert gpu.total_bytes == 0 and gpu.vgpu and gpu.supports_bf16 is False


def test_the_freest_first_and_shown_by_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [Card("GPU-1", used=70 * GIB), Card("GPU-2", load=50), Card("GPU-3")]
    report = use(monkeypatch, FakeNvml(cards))
    best = freest(report.gpus, 2)
    assert [gpu.uuid for gpu in best] == ["GPU-3", "GPU-2"]
    assert visible_environment(best) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "GPU-3,GPU-2"}
    assert visible_environment(())["CUDA_VISIBLE_DEVICES"] == ""


def test_importing_does_not_import_the_binding() -> None:
    code = "import sys, sft_tui.machine.gpus; print('pynvml' in sys.modules, 'psutil' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_this_machine_can_be_asked() -> None:
    report = read_gpus()
    assert report.gpus or report.reason


@pytest.mark.parametrize(
    ("present", "system", "words"),
    [
        ("/dev/kfd", "Linux", "AMD GPU (ROCm)"),
        ("/dev/davinci0", "Linux", "Ascend NPU"),
        ("/dev/davinci_manager", "Linux", "Ascend NPU"),
        (None, "Darwin", "This is a Mac"),
        (None, "Linux", None),
    ],
)
def test_accelerators_of_other_makers_are_named_and_called_unknown(
    monkeypatch: pytest.MonkeyPatch, present: str | None, system: str, words: str | None
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == present)
    monkeypatch.setattr(platform, "system", lambda: system)
    for code, plain in (("no_library", "No NVIDIA driver"), ("no_gpu", "shows no GPU")):
        sentence = nvml.explain(code)
        assert (words or plain) in sentence
        assert ("unknown" in sentence) is (words is not None)
    assert "unknown" not in nvml.explain("no_permission")


def test_a_machine_without_nvidia_says_what_else_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_other_maker", lambda: "There is an AMD GPU (ROCm).")
    broken = FakeNvml([], init_error=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    report = use(monkeypatch, broken)
    assert (report.code, report.reason) == ("no_library", "There is an AMD GPU (ROCm).")
    nvml._open = None
    report = use(monkeypatch, FakeNvml([]))
    assert (report.code, report.reason) == ("no_gpu", "There is an AMD GPU (ROCm).")


def _rows(*rows: tuple[int, str, int, int]) -> list[Gpu]:
    """Cards by (index, uuid, free GiB, load)."""
    return [Gpu(i, uuid, "", 0, 0, free << 30, load, None, None, None, ()) for i, uuid, free, load in rows]


def test_the_cards_of_a_plan_and_of_a_run_that_waits_are_chosen_in_one_way() -> None:
    equal = _rows((0, "a", 20, 90), (1, "b", 20, 0), (2, "c", 20, 0))
    assert [gpu.uuid for gpu in choose_cards("auto", equal)] == ["b"]
    assert [gpu.uuid for gpu in choose_cards("auto", equal, 2)] == ["b", "c"]
    assert [gpu.uuid for gpu in choose_cards([2, 0, 7], equal)] == ["c", "a"]
    assert choose_cards("none", equal) == ()


def test_of_a_card_in_slices_the_freest_is_taken() -> None:
    slices = _rows((0, "MIG-a", 5, 0), (0, "MIG-b", 9, 0), (0, "MIG-c", 7, 0), (1, "d", 20, 0))
    assert [gpu.uuid for gpu in choose_cards([0], slices)] == ["MIG-b"]
    assert [gpu.uuid for gpu in choose_cards([1, 0], slices)] == ["d", "MIG-b"]
