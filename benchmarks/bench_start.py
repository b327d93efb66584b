"""Start-up of the light commands against what they cannot do without."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measuring import interleaved, say, verdict, wall_s
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, Status, write_state

ROOT = Path(__file__).parent.parent
SFT = str(Path(sys.executable).parent / "sft-tui")
ONE_MODEL = """
import argparse, yaml, pydantic
class Model(pydantic.BaseModel):
    number: int
Model(number=1)
"""


def main(argv: list[str]) -> bool:
    """Measure; whether every figure holds."""
    rounds = 5 if "--quick" in argv else 15
    say("Start-up, against python -c 'import argparse, yaml, pydantic'")
    with tempfile.TemporaryDirectory() as scratch:
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": scratch}  # as after an installation
        commands = {
            "imports": [sys.executable, "-c", "import argparse, yaml, pydantic"],
            "one model": [sys.executable, "-c", ONE_MODEL],
            "--help": [SFT, "--help"],
            "runs": [SFT, "runs"],
            "check": [SFT, "check", str(ROOT / "data" / "demo" / "answers.yaml")],
        }
        for words in commands.values():
            wall_s(words, Path(scratch), compiled)
        times = interleaved(
            {name: partial(wall_s, words, Path(scratch), compiled) for name, words in commands.items()}, rounds
        )
    say(f"  (the least that pydantic can do, one model of one field: {times['one model'] / times['imports']:.2f}x)")
    held = [verdict(f"sft-tui {name}", times[name] / times["imports"], 1.5) for name in ("--help", "runs", "check")]
    return all([*held, many_runs(rounds)])


def many_runs(rounds: int) -> bool:
    """`runs` in a project with 500 runs against one with 5."""
    with tempfile.TemporaryDirectory() as scratch:
        commands = {}
        for count in (5, 500):
            for number in range(count):
                layout = RunLayout(Path(scratch, str(count)), f"run-{number}")
                write_state(layout, RunState(layout.name, Status.FINISHED, metrics={"step": 1.0}), durable=False)
            commands[str(count)] = partial(wall_s, [SFT, "runs", "--dir", str(Path(scratch, str(count)))])
        times = interleaved(commands, rounds)
    return verdict("sft-tui runs with 500 runs, against 5", times["500"] / times["5"], 3)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
