"""`python -m benchmarks [NAME ...]`: run all benchmarks, or those named; exit 1 if a figure does not hold."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks.measuring import say


def main(argv: list[str]) -> int:
    """Run the benchmarks whose names are given, or all of them."""
    names = [word for word in argv if not word.startswith("-")]
    options = [word for word in argv if word.startswith("-")]
    found = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    fine = True
    for name in names or found:
        say(f"== {name}")
        fine = bool(importlib.import_module(f"benchmarks.bench_{name}").main(options)) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
