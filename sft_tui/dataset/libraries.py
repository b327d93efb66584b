"""Loading the libraries that do the work, as fast as it goes, and settings of theirs for this process alone."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
from functools import lru_cache

_NAMES = ("numpy", "pyarrow", "pyarrow.compute")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_REUSED_BYTES = 32 << 20
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


@lru_cache
def load_libraries(*more: str) -> None:
    """Import what reads and writes tables, and `more` modules.

    Collecting garbage while thousands of lasting objects are made takes a tenth of the time, and as much again at the
    end of the process if it must look at all of them, so they are set apart for good. numpy's threads for linear
    algebra, which nothing here needs, burn as much while they wait.
    """
    _reuse_memory()
    collects = gc.isenabled()
    threads = os.environ.get(_BLAS_THREADS)
    gc.disable()
    os.environ[_BLAS_THREADS] = "1"
    try:
        for name in (*_NAMES, *more):
            importlib.import_module(name)
    finally:
        if threads is None:
            del os.environ[_BLAS_THREADS]
        else:
            os.environ[_BLAS_THREADS] = threads
        gc.freeze()
        if collects:
            gc.enable()


def _reuse_memory() -> None:
    """Let glibc keep freed blocks of a few MB: giving each back to the kernel costs a page fault for every 4 KiB."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _REUSED_BYTES)
    mallopt(_M_TRIM_THRESHOLD, 4 * _REUSED_BYTES)
