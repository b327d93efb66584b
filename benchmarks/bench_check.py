"""`check` against LLaMA-Factory finding the same mistake, and the corpora: what is caught, what is a false alarm."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import say, verdict
from sft_tui.factory.check import CheckContext, check_yaml_file
from sft_tui.factory.probe import load_factory
from sft_tui.problems import Problem, Severity
from tests.corpora.workspace import build

CORPORA = Path(__file__).parent.parent / "tests" / "corpora"
MISTAKES = (
    "unknown_modules_to_save",
    "template_llama",
    "dataset_unknown",
    "pair_quantization_full",
    "target_unknown",
    "model_missing_shard",
)
"""From the parser's first line to the loading of the weights: what LLaMA-Factory needs its imports for in any case."""
AT_LEAST = 20


def main(argv: list[str]) -> bool:
    """Measure; whether every figure holds. `--quick`: fewer mistakes."""
    with tempfile.TemporaryDirectory() as scratch:
        workspace = build(Path(scratch) / "workspace")
        return all([side_by_side(workspace, MISTAKES[:2] if "--quick" in argv else MISTAKES), corpora(workspace)])


def side_by_side(workspace: Path, names: tuple[str, ...]) -> bool:
    """Each mistake by both programs, started anew, in turns."""
    say("The same mistake, found by `sft-tui check` and by `llamafactory-cli train`")
    ratios = []
    for name in names:
        shutil.copyfile(CORPORA / "configs_bad" / f"{name}.yaml", workspace / f"{name}.yaml")
        ours = [sys.executable, "-m", "sft_tui.cli", "check", f"{name}.yaml", "--json"]
        theirs = [str(Path(sys.executable).parent / "llamafactory-cli"), "train", f"{name}.yaml"]
        quick = min(_seconds(ours, workspace) for _round in range(3))
        slow = _seconds(theirs, workspace)
        ratios.append(slow / quick)
        say(f"  {name:<26} {quick:6.2f} s   {slow:6.2f} s   {ratios[-1]:5.1f}x sooner")
    return verdict("sooner than LLaMA-Factory, median", statistics.median(ratios), AT_LEAST, least=True)


def _seconds(command: list[str], workspace: Path) -> float:
    """How long a command takes that must find something wrong."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=workspace, env=env, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode != 0, command
    return time.perf_counter() - started


def corpora(workspace: Path) -> bool:
    """How many of the broken configs are caught with the right key, how many of the sound ones raise an alarm."""
    say("The corpora (each config proven by the real LLaMA-Factory)")
    context = CheckContext(load_factory(sys.executable), workspace, gpus=(), cpus=os.cpu_count())
    bad, good = (sorted((CORPORA / f"configs_{kind}").glob("*.yaml")) for kind in ("bad", "good"))
    caught = sum(_caught(path, workspace, context) for path in bad)
    alarms = sum(any(p.severity is Severity.ERROR for p in _problems(path, workspace, context)) for path in good)
    return all(
        [
            verdict(f"caught of {len(bad)} broken configs", 100 * caught / len(bad), 95, " %", least=True),
            verdict(f"false alarms on {len(good)} sound configs", alarms, 0, ""),
        ]
    )


def _problems(path: Path, workspace: Path, context: CheckContext) -> list[Problem]:
    target = workspace / path.name
    shutil.copyfile(path, target)
    return check_yaml_file(target, context)


def _caught(path: Path, workspace: Path, context: CheckContext) -> bool:
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = set(lines[0].removeprefix("# expect:").split())
    wanted = (Severity.ERROR,) if lines[1].endswith(" error") else (Severity.ERROR, Severity.WARNING)
    found = {p.key for p in _problems(path, workspace, context) if p.severity in wanted}
    return bool(found & keys) or (keys == {"-"} and bool(found))
