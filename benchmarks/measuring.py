"""Small tools that the benchmarks share."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def say(text: str) -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def verdict(name: str, value: float, limit: float, unit: str = "x", *, least: bool = False) -> bool:
    """Report one figure against its limit (`least`: it must be at least that much). Whether it holds."""
    holds = value >= limit if least else value <= limit
    sign = ">=" if least else "<="
    say(f"  {'ok  ' if holds else 'OVER'} {name}: {value:.2f}{unit} (wanted {sign} {limit:g}{unit})")
    return holds


def wall_s(command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    """Seconds that `command` takes; raises if it fails."""
    began = time.perf_counter()
    subprocess.run(
        list(command),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each measure over `rounds`, taken in turn, so that a noisy machine disturbs all alike."""
    seen: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            seen[name].append(measure())
    return {name: statistics.median(values) for name, values in seen.items()}
