"""Every test speaks English and leaves the user's own state alone; what takes long starts first."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest

# A shell's background jobs are started deaf to Ctrl-C, and so would be every program that a test starts.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SHARED = "SFT_TUI_TESTS_HOME"  # one directory for all workers of a test run: LLaMA-Factory is probed once


def _home() -> Path:
    """The directory of this test run; whoever makes it takes it away."""
    if _SHARED not in os.environ:
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="sft-tui-tests-")
        atexit.register(shutil.rmtree, os.environ[_SHARED], ignore_errors=True)
    return Path(os.environ[_SHARED])


os.environ["SFT_TUI_LANG"] = "en"
os.environ["XDG_STATE_HOME"] = str(_home() / f"state-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")
os.environ["XDG_CACHE_HOME"] = str(_home() / "cache")
os.environ.pop("SFT_TUI_TRAIN_PYTHON", None)
# Tests run side by side: a second thread of the tiny model's training only waits, and costs what it waits.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start what runs the real LLaMA-Factory first: at the end no worker waits for another's long test."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)
