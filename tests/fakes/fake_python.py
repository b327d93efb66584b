"""A stand-in for the training environment's Python: answers for our helper scripts, runs anything else for real."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from fake_scenario import load_scenario


def main(real_python: str) -> NoReturn:
    """Answer for verify.py and probe.py as the scenario says; otherwise become `real_python`."""
    script = next((a for a in sys.argv[1:] if a.endswith(".py")), "")
    name = Path(script).name
    if name == "verify.py":
        sys.exit(_verify(load_scenario(Path(sys.argv[0]))))
    if name == "probe.py":
        answer = load_scenario(Path(sys.argv[0]))["probe"]
        if answer is None:
            sys.exit(3)
        Path(sys.argv[-1]).write_text(json.dumps(answer), encoding="utf-8")
        sys.exit(0)
    os.execv(real_python, [real_python, *sys.argv[1:]])


def _verify(scenario: dict[str, Any]) -> int:
    """Write a result like our verify.py: where its arguments name a verify.json, or beside the run in `runs/`."""
    ok = bool(scenario["verify"].get("ok", True))
    result = {
        "ok": ok,
        "message": "the merged model answers" if ok else "the merged model answers as the base model does",
        "loss_before": 2.913,
        "loss_after": 1.284 if ok else 2.913,
        "samples": [
            {"prompt": "苹果是什么颜色？", "expected": "红色", "before": "I do not know [/b]", "after": "红色。"},
            {"prompt": "How heavy is an apple?", "expected": "150 g", "before": "...", "after": "About 150 g."},
        ],
    }
    result.update({k: v for k, v in scenario["verify"].items() if k != "ok"})
    out = next((a for a in sys.argv[1:] if a.endswith("verify.json")), None)
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    sys.stdout.write(f"verify: {result['message']}\n")
    return 0 if ok else 1
