"""The NVIDIA management library behind one small door: lazy, and every refusal told apart.

Only `gpus.py` uses this module. NVML reads the driver: no CUDA context is made, so reading costs no memory on a card.
`pynvml` (of nvidia-ml-py) is imported on the first call and the library stays open, because opening it takes long on
machines with many cards.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sft_tui.i18n import _

_open: Any = None


class NvmlUnavailable(Exception):
    """NVML cannot be used. `code` is stable and for programs, the text is a sentence in the user's language."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)


def library() -> Any:
    """The `pynvml` module with the library opened; raises `NvmlUnavailable` where that cannot be."""
    global _open
    if _open is not None:
        return _open
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError as error:
        raise NvmlUnavailable(
            "no_binding", _("The Python package nvidia-ml-py is not installed, so the GPUs cannot be read.")
        ) from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        code = error_code(nvml, error)
        raise NvmlUnavailable(code, explain(code, str(error))) from error
    _open = nvml
    return nvml


def close() -> None:
    """Close the library; the next `library()` opens it again (after a lost card or a new driver)."""
    global _open
    if _open is not None:
        ask(_open, lambda: _open.nvmlShutdown(), None)
        _open = None


def ask(nvml: Any, question: Callable[[], Any], unknown: Any) -> Any:
    """`question()`, or `unknown` where this card or driver does not tell (vGPU, MIG, old cards)."""
    try:
        return question()
    except nvml.NVMLError:
        return unknown


def error_code(nvml: Any, error: Exception) -> str:
    """Our stable code of an `NVMLError`."""
    codes = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no_library",
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: "no_driver",
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "version_mismatch",
        nvml.NVML_ERROR_NO_PERMISSION: "no_permission",
        nvml.NVML_ERROR_GPU_IS_LOST: "gpu_lost",
        nvml.NVML_ERROR_FUNCTION_NOT_FOUND: "old_driver",
        nvml.NVML_ERROR_RESET_REQUIRED: "reset_required",
        nvml.NVML_ERROR_UNINITIALIZED: "closed",
    }
    return codes.get(getattr(error, "value", None), "nvml_error")


def explain(code: str, detail: str = "") -> str:
    """The sentence for `code`; `detail` is NVML's own text."""
    match code:
        case "no_library":
            return _other_maker() or _("No NVIDIA driver is installed here (libnvidia-ml.so.1 is missing).")
        case "no_driver":
            return _("The NVIDIA driver is installed but its kernel module is not loaded.")
        case "version_mismatch":
            return _(
                "The NVIDIA library and the loaded kernel module have different versions (the driver was updated): "
                "restart the machine."
            )
        case "no_permission":
            return _("You have no permission to use the NVIDIA driver (ask for access to /dev/nvidia*).")
        case "gpu_lost":
            return _("A GPU has fallen off the bus or is otherwise lost: it needs a reset or a restart of the machine.")
        case "old_driver":
            return _("The NVIDIA driver is too old to be read.")
        case "reset_required":
            return _("A GPU needs a reset before it can be used.")
        case "no_gpu":
            return _other_maker() or _("The NVIDIA driver works but shows no GPU.")
        case _:
            return _("The NVIDIA driver cannot be read: {detail}").format(detail=detail or code)


def _other_maker() -> str | None:
    """What to say of accelerators that NVML does not know; None where none is seen."""
    if Path("/dev/kfd").exists():
        return _("There is an AMD GPU (ROCm). Its memory is not read, so whether a run fits is unknown.")
    if Path("/dev/davinci0").exists() or Path("/dev/davinci_manager").exists():
        return _("There is an Ascend NPU. Its memory is not read, so whether a run fits is unknown.")
    if platform.system() == "Darwin":
        return _("This is a Mac: memory is shared with the system and is not read, so whether a run fits is unknown.")
    return None
