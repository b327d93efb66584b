"""Start-up of the light commands against what they cannot do without."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import interleaved, say, verdict, wall_s

ROOT = Path(__file__).parent.parent


def main(argv: list[str]) -> bool:
    """Measure; whether every figure holds."""
    rounds = 5 if "--quick" in argv else 15
    say("Start-up, against python -c 'import argparse, yaml, pydantic'")
    sft = str(Path(sys.executable).parent / "sft-tui")
    with tempfile.TemporaryDirectory() as scratch:
        commands = {
            "imports": [sys.executable, "-c", "import argparse, yaml, pydantic"],
            "--help": [sft, "--help"],
            "runs": [sft, "runs"],
            "check": [sft, "check", str(ROOT / "data" / "demo" / "answers.yaml")],
        }
        times = interleaved(
            {name: (lambda words=words: wall_s(words, Path(scratch))) for name, words in commands.items()}, rounds
        )
    held = [verdict(f"sft-tui {name}", times[name] / times["imports"], 1.5) for name in ("--help", "runs", "check")]
    return all(held)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
