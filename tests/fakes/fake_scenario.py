"""What the fake does: defaults, named scenarios, and where a scenario is read from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, Any] = {
    "steps": None,
    "startup_s": 0.05,
    "step_s": 0.02,
    "end_s": 0.0,
    "export_s": 0.0,
    "lines_per_step": 0,
    "log_lines": [],
    "hold_at": [],
    "loss": [2.9, 1.2],
    "nan_from": None,
    "check_data": True,
    "ignore_abort": False,
    "ignore_term": False,
    "ranks": 0,
    "helpers": 0,
    "write_adapter": True,
    "checkpoint_bytes": 0,
    "disk_full": False,
    "oom_above": {},
    "fail": None,
    "verify": {"ok": True},
    "probe": None,
}

NAMED: dict[str, dict[str, Any]] = {
    "ok": {},
    "slow": {"step_s": 0.5, "steps": 600},
    "busy": {"step_s": 0.1, "lines_per_step": 2, "steps": 600},
    "oom": {"fail": {"at_step": 2, "text": "oom"}},
    "oom_once": {"oom_above": {"per_device_train_batch_size": 1}},
    "fail_once": {"fail": {"at_step": 3, "text": "RuntimeError: fake failure", "times": 1}},
    "hang": {"fail": {"at_step": 2, "hang": True}},
    "killed": {"fail": {"at_step": 2, "signal": 9}},
    "disk_full": {"disk_full": True},
    "no_adapter": {"write_adapter": False},
    "nan": {"nan_from": 3},
    "export_fails": {"fail": {"stage": "export", "text": "RuntimeError: fake export failure"}},
    "verify_fails": {"verify": {"ok": False}},
}


def load_scenario(script: Path) -> dict[str, Any]:
    """Defaults, changed by `FAKE_SCENARIO` (JSON, a name, or a file) or scenario.json beside `script`."""
    asked = os.environ.get("FAKE_SCENARIO", "").strip()
    beside = script.absolute().parent / "scenario.json"
    if not asked and beside.is_file():
        asked = str(beside)
    if not asked:
        return dict(DEFAULTS)
    if asked in NAMED:
        chosen = NAMED[asked]
    elif asked.startswith("{"):
        chosen = json.loads(asked)
    else:
        chosen = json.loads(Path(asked).read_text(encoding="utf-8"))
    unknown = set(chosen) - set(DEFAULTS)
    if unknown:
        raise SystemExit(f"fake: unknown scenario keys {sorted(unknown)}")
    return {**DEFAULTS, **chosen}
