"""The campaign's command line: trials, counts, and for each violation how to repeat it. Exit 1 on any violation."""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.faults import FAULTS
from tests.chaos.judge import Reference, bring_home, judge, reference_of, truth
from tests.chaos.world import Skip, Violation, World, digest, remove
from tests.headless import make_project

SCENARIO = {
    "startup_s": 0.05,
    "step_s": 0.015,
    "end_s": 0.05,
    "export_s": 0.15,
}
TRAIN = {"save_steps": 8, "logging_steps": 1, "num_train_epochs": 3, "eval_strategy": "no", "val_size": 0.0}
SOURCES = {"rows": (120, "answer"), "other": (120, "reply"), "longer": (150, "answer"), "shorter": (80, "answer")}
REAL_FAULTS = ("kill_all", "kill_supervisor", "kill_trainer", "stop", "kill_front_end", "kill_supervisor_and_keeper")


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def make_world(root: Path, rng: random.Random, *, real: bool = False) -> World:
    """A project as the headless tests have it, or the demo, and the sources that may take the first one's place."""
    if real:
        from sft_tui.headless.demo_command import copy_demo

        project = copy_demo(root / "project")
        answers = yaml.safe_load((project / "answers.yaml").read_text(encoding="utf-8"))
        answers["train"] |= {
            "max_steps": 12,
            "save_steps": 4,
            "logging_steps": 1,
            "eval_strategy": "no",
            "val_size": 0.0,
        }
        (project / "answers.yaml").write_text(yaml.safe_dump(answers, allow_unicode=True), encoding="utf-8")
        return World(root, rng, None, run="demo", wait_s=400)
    made = make_project(root, {**SCENARIO, "helpers": int(rng.random() < 0.2)})
    made.answer(train=TRAIN)
    for name, (rows, word) in SOURCES.items():
        with (root / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("question", "answer"), *((f"问题 {i}", f"{word} {i}") for i in range(rows))])
    shutil.copyfile(root / "rows.csv", made.path / "rows.csv")
    return World(root, rng, made.fake.python)


def undisturbed(real: bool) -> dict[str, Reference]:
    """What a run gives that nobody disturbs, for each source."""

    def reference(name: str) -> Reference:
        with tempfile.TemporaryDirectory(prefix="chaos-reference-") as folder:
            world = make_world(Path(folder), random.Random(0), real=real)
            if name != "rows":
                shutil.copyfile(world.root / f"{name}.csv", world.project / "rows.csv")
            result = world.sft("--non-interactive", "answers.yaml")
            if result.code:
                raise SystemExit(f"the undisturbed run failed: {result.err[-2000:]}")
            return reference_of(world)

    names = ["rows"] if real else list(SOURCES)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(reference, names), strict=True))


def trial(
    seed: str, number: int, fault: str, references: dict[str, Reference], *, real: bool, keep: bool
) -> str | None:
    """Do one trial; None where all held, "skipped: ..." or what did not hold."""
    root = Path(tempfile.mkdtemp(prefix=f"chaos-{number}-"))
    world = make_world(root, random.Random(f"{seed}/{number}"), real=real)
    inputs = digest([world.project])
    found = None
    try:
        FAULTS[fault](world)
        truth(world)
        bring_home(world)
        inputs = {str(world.project / Path(k).relative_to(root / "project")): v for k, v in inputs.items()}
        judge(world, references, {k: v for k, v in inputs.items() if Path(k).name not in world.changed})
    except Skip as skip:
        found = f"skipped: {skip}"
    except Violation as violation:
        found = str(violation)
    except Exception:  # noqa: BLE001 - an accident of the harness is a finding too
        found = traceback.format_exc()[-1500:]
    left = world.processes()
    world.crash()
    if found and not found.startswith("skipped"):
        found += "\n    " + "\n    ".join([*world.notes, f"left: {left}", *([f"kept: {root}"] if keep else [])])
    if not (keep and found):
        remove(root)
    return found


def campaign(
    seed: int, numbers: list[int], *, real: bool, jobs: int, keep: bool, only: list[str] | None = None
) -> bool:
    """Do the trials, print the counts; whether all held."""
    names = only or (list(REAL_FAULTS) if real else sorted(FAULTS))
    random.Random(seed).shuffle(names)
    label = f"{seed}{'r' if real else ''}"
    references = undisturbed(real)
    began, done, bad, skipped = time.monotonic(), Counter[str](), Counter[str](), Counter[str]()

    def one(number: int) -> None:
        name = names[number % len(names)]
        found = trial(label, number, name, references, real=real, keep=keep)
        done[name] += 1
        if found is not None and found.startswith("skipped"):
            skipped[name] += 1
        elif found is not None:
            bad[name] += 1
            again = f"--seed {seed} {'--real 1 ' if real else ''}--fault {name} --trial {number}"
            say(f"VIOLATION {name}: python -m tests.chaos {again}\n  {found}")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, numbers))
    for name in sorted(done):
        say(f"{name:34} {done[name]:4} trials {bad[name]:4} violations {skipped[name]:4} skipped")
    say(
        f"seed {seed}, {'real' if real else 'fake'} trainer: {done.total()} trials, {bad.total()} violations, "
        f"{skipped.total()} skipped, {time.monotonic() - began:.0f} s"
    )
    return not bad


def main(arguments: list[str] | None = None) -> int:
    """Parse, and do what is asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, default=300, help="random faults over the fake trainer")
    parser.add_argument("--real", type=int, default=0, help="random faults over the real one, on the demo's model")
    parser.add_argument("--trial", type=int, help="only this one, and keep what it leaves")
    parser.add_argument("--fault", nargs="+", choices=sorted(FAULTS), help="only these kinds")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to it
    options: dict[str, Any] = {"jobs": args.jobs, "keep": args.trial is not None, "only": args.fault}
    with tempfile.TemporaryDirectory(prefix="chaos-cache-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        if args.trial is not None:
            return 0 if campaign(args.seed, [args.trial], real=bool(args.real), **options) else 1
        good = args.trials == 0 or campaign(args.seed, list(range(args.trials)), real=False, **options)
        if args.real:
            good = campaign(args.seed, list(range(args.real)), real=True, **{**options, "jobs": 1}) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
