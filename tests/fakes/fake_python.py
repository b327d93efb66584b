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
    """Write a result like our verify.py: to what its spec (a JSON file) calls `out`, or to an argument verify.json."""
    out = next((Path(a) for a in sys.argv[1:] if a.endswith("verify.json")), None)
    questions: list[str] = []
    for argument in sys.argv[1:]:
        if argument.endswith("spec.json"):
            spec = json.loads(Path(argument).read_text(encoding="utf-8"))
            out = Path(spec["out"])
            questions = [str(row.get("instruction") or row.get("messages") or row) for row in spec.get("samples", [])]
    ok = bool(scenario["verify"].get("ok", True))
    message = "the merged model answers" if ok else "the merged model answers exactly as the base model does"
    result = {
        "ok": ok,
        "checks": [{"name": "answers_changed", "status": "ok" if ok else "failed", "message": message}],
        "seconds": 0.1,
        "samples": [
            {"prompt": prompt, "reference": "red", "before": "I do not know [/b]", "after": "红色。"}
            for prompt in questions or ["苹果是什么颜色？", "How heavy is an apple?"]
        ],
    }
    result.update({k: v for k, v in scenario["verify"].items() if k != "ok"})
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    sys.stdout.write(f"verify: {message}\n")
    return 0 if ok else 1
