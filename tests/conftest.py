"""Every test speaks English and leaves the user's own state alone."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_HOME = Path(tempfile.mkdtemp(prefix="sft-tui-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["SFT_TUI_LANG"] = "en"
os.environ["XDG_STATE_HOME"] = str(_HOME / "state")
os.environ["XDG_CACHE_HOME"] = str(_HOME / "cache")
os.environ.pop("SFT_TUI_TRAIN_PYTHON", None)
