"""What must be true after a fault, and the way back: resume until the run has ended like an undisturbed one."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.world import FINAL, WORKERS, Violation, World, digest

ROUNDS = 6
_LIVE = ("pending", "waiting", "running", "stopping")
STAGES = ["convert", "train", "export", "verify"]


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run gives: the last loss, the logged steps, the converted rows, and who made the model."""

    loss: float
    steps: tuple[int, ...]
    data: frozenset[str]
    made_from: Any


def reference_of(world: World) -> Reference:
    """What lies there after a run that has ended."""
    losses: dict[int, float] = {}
    for line in (world.save_dir / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a torn line that the trainer itself wrote behind
            continue
        if "loss" in row:
            losses[int(row["current_steps"])] = float(row["loss"])
    data = frozenset(digest(sorted((world.project / "data").glob("*.jsonl"))).values())
    return Reference(losses[max(losses)], tuple(sorted(losses)), data, _made_from(world))


def _made_from(world: World) -> Any:
    """What the adapter says that it was made from, after it was seen that the model was made from this adapter."""
    if world.python is None:
        return None
    adapter = json.loads((world.save_dir / "adapter_config.json").read_text())["made_from"]
    merged = json.loads((world.project / "models" / world.run / "made_from.json").read_text())["made_from"]
    if adapter != merged:
        raise Violation(f"the merged model was made from {merged}, the adapter that is there from {adapter}")
    return adapter


def truth(world: World) -> None:
    """`runs` says what is the case: alive with living processes, not alive without. A moment's grace for changes."""
    for _try in range(12):
        alive = bool(world.processes(*WORKERS))
        status = world.status()
        still = bool(world.processes(*WORKERS))
        if alive != still or (status in _LIVE) == alive or status == "missing":
            return
        time.sleep(0.25)
    raise Violation(f"`runs` says {status}, and alive are: {world.described() or 'none'}")


def bring_home(world: World) -> None:
    """Resume until the run has finished; a reasoned refusal to go on with other data is answered with a fresh start."""
    for _round in range(ROUNDS):
        world.wait(lambda: not world.processes(*WORKERS), "the end of the attempt")
        status = world.status()
        if world.processes("supervisor"):  # looking at it let somebody adopt it
            continue
        if status == "finished":
            return
        if status not in FINAL:
            raise Violation(f"nothing lives, but `runs` says {status}")
        result = world.sft("resume", world.run)
        if result.code in (2, 3) and "--from-start" in result.err:
            world.sft("resume", world.run, "--from-start")
    raise Violation(f"not finished after {ROUNDS} rounds: {world.where()}; {world.state().get('message')}")


def judge(world: World, references: dict[str, Reference], inputs: dict[str, str]) -> None:
    """Every invariant of a run that has ended."""
    world.wait(lambda: not world.processes(), "the end of all processes", 10)
    told = world.told()
    if told["status"] != "finished" or told["stages"] != dict.fromkeys(STAGES, "finished"):
        raise Violation(f"`runs` says {told}")
    found = reference_of(world)
    expected = [references[name] for name in world.sources]
    if not any(_same(found, reference, world.lines_torn) for reference in expected):
        raise Violation(f"another result: {found} instead of {expected}")
    _events(world)
    for name, content in inputs.items():
        if digest([Path(name)]).get(name) != content:
            raise Violation(f"changed or gone: {name}")
    outside = [*(world.root / "home").rglob("*"), *(world.root / "sibling").iterdir()]
    if [path.name for path in outside] != ["precious.txt"]:
        raise Violation(f"something was written outside the project: {outside}")
    if world.project.name == "moved" and (world.root / "project").exists():
        raise Violation(f"the old directory was made again: {[*(world.root / 'project').rglob('*')][:5]}")


def _same(found: Reference, wanted: Reference, lines_torn: int) -> bool:
    same = abs(found.loss - wanted.loss) <= 1e-3 and found.made_from == wanted.made_from
    return same and len(set(wanted.steps) - set(found.steps)) <= lines_torn and wanted.data <= found.data


def _events(world: World) -> None:
    """Every line whole; each stage's end after its start; each logged step told; the run's end the last."""
    lines = (world.run_dir / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events, torn = [], 0
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            torn += 1
    if torn > int(world.events_torn) or any(not isinstance(e, dict) or "type" not in e for e in events):
        raise Violation(f"{torn} torn or glued lines in the events")
    told = [(e["type"], e.get("stage")) for e in events if e["type"].startswith(("run_", "stage_"))]
    ended = [e["stage"] for e in events if e["type"] == "stage_finished" and e["status"] == "finished"]
    if told[-1] != ("run_finished", None) or events[-1].get("status") not in ("finished", None):
        raise Violation(f"the events do not end with the run's end: {told[-4:]}")
    if world.events_torn:
        return
    if [stage for stage in STAGES if stage not in ended] or told[0][0] != "run_started":
        raise Violation(f"stages without an end in the events: {ended}")
    open_stage = None
    for kind, stage in told:
        if kind == "stage_finished" and open_stage not in (stage, None):
            raise Violation(f"{stage} ended in the events while {open_stage} was at work: {told}")
        open_stage = stage if kind == "stage_started" else None if kind == "stage_finished" else open_stage
    steps = {int(e["step"]) for e in events if e["type"] == "metric" and "loss" in e}
    missing = set(reference_of(world).steps) - steps
    if missing:
        raise Violation(f"steps without an event: {sorted(missing)}")
