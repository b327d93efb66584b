"""What is done to a run: each fault starts it, waits for its moment and strikes; `judge` does the rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.world import FINAL, Skip, Violation, World, mount_small

Fault = Callable[[World], None]
FAULTS: dict[str, Fault] = {}
BOOT = "11111111-2222-3333-4444-555555555555"


def fault(*stages: str, start: bool = True, crash: bool = False) -> Callable[[Fault], Fault]:
    """Register a fault: what it does after the run was started and a moment of `stages` came, crashed or alive."""

    def register(function: Fault) -> Fault:
        def whole(world: World) -> None:
            if start:
                world.start()
                world.moment(*stages)
            if crash:
                world.crash()
            function(world)

        FAULTS[function.__name__] = whole
        return function

    return register


def _kills(name: str, *roles: str, number: int = signal.SIGKILL) -> None:
    def strike(world: World) -> None:
        world.kill(*roles, number=number)

    strike.__name__ = name
    fault()(strike)


_kills("kill_supervisor", "supervisor")
_kills("kill_trainer", "trainer")
_kills("kill_keeper", "keeper")
_kills("kill_supervisor_and_keeper", "supervisor", "keeper")
_kills("hang_up", number=signal.SIGHUP)


@fault(start=False)
def kill_child(world: World) -> None:
    """What the trainer has started is killed, or the launcher is and its ranks are not."""
    world.scenario(**world.rng.choice([{"helpers": 2}, {"ranks": 2}]))
    world.start()
    world.moment("train")
    world.kill(world.rng.choice(["child", "rank", "trainer"]))


@fault(crash=True)
def kill_all(world: World) -> None:
    """Everything is gone at once."""


@fault("convert", "train")
def kill_supervisor_twice(world: World) -> None:
    """The one that adopted dies too."""
    world.kill("supervisor")
    world.status()
    time.sleep(world.rng.uniform(0, 0.5))
    world.kill("supervisor")


@fault(start=False)
def kill_front_end(world: World) -> None:
    """The command that follows is killed, hung up or interrupted, at the very start or later."""
    number = world.rng.choice([signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    front = world.popen("--non-interactive", "answers.yaml")
    if world.rng.random() < 0.5:
        time.sleep(world.rng.uniform(0.05, 2.0))
    else:
        world.wait(lambda: world.state() or front.poll() is not None, "the start")
        world.moment()
    front.send_signal(number)
    world.note(f"signal {number} to the front end at {world.where()}")
    _out, err = front.communicate(timeout=30)
    if "Traceback" in err:
        raise Violation(f"the front end printed a traceback on signal {number}: {err[-500:]}")
    if not world.state():
        world.start()


@fault("train", "train", "convert", "export")
def freeze(world: World) -> None:
    """Stopped and continued; while it is stopped the run is looked at."""
    roles = world.rng.choice([("supervisor",), ("trainer",), ("keeper",), ()])
    world.kill(*roles, number=signal.SIGSTOP)
    working = world.processes("trainer", "rank", "convert")
    try:
        time.sleep(world.rng.uniform(0.1, 0.8))
        status = world.status()
    finally:
        world.kill(number=signal.SIGCONT)
    if working and set(working) <= set(world.processes()) and status in FINAL:
        raise Violation(f"{roles} only stood still, but `runs` said {status}")


@fault(start=False)
def disk_full(world: World) -> None:
    """The file system fills up, the run fails or stops, room is made again."""
    small = world.root / "small"
    if not mount_small(small, 1024):
        raise Skip("no small file system can be mounted")
    world.project = Path(shutil.copytree(world.project, small / "project"))
    world.start()
    world.moment()
    filler, left = small / "filler", world.rng.choice([0, 8 << 10, 64 << 10])
    with filler.open("wb") as stream:
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        try:
            os.posix_fallocate(stream.fileno(), 0, max(free - left, 1))
        except OSError:
            world.note("not all could be taken")
    world.note(f"full but for {left} bytes at {world.where()}")
    world.wait(lambda: not world.processes(), "the end on a full disk", 90)
    if world.rng.random() < 0.3:
        world.sft("resume", world.run)
        world.wait(lambda: not world.processes(), "the end on a full disk", 90)
    filler.unlink()


def _tear(path: Path, world: World, *ways: str) -> None:
    way = world.rng.choice(ways)
    world.note(f"{way} {path.name}")
    if not path.is_file():
        return
    data = path.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    rubbish = world.rng.choice([b"[" * 5000, os.urandom(300), b'{"run": 7}'])
    cut = data[: world.rng.randrange(last, max(len(data), last + 1))]
    path.unlink()
    if way != "delete":
        path.write_bytes({"empty": b"", "rubbish": rubbish, "cut": cut}[way])


@fault(crash=True)
def torn_events(world: World) -> None:
    """The last line of the events is half there, or they are gone."""
    _tear(world.run_dir / "events.jsonl", world, "cut", "cut", "delete", "empty")
    world.events_torn = True


@fault("train", crash=True)
def torn_trainer_log(world: World) -> None:
    """The trainer's own log ends in the middle of a line."""
    _tear(world.save_dir / "trainer_log.jsonl", world, "cut")
    world.lines_torn = 1


@fault()
def torn_state(world: World) -> None:
    """state.json is damaged or gone: while the run lives, after a crash, or after it has finished."""
    when = world.rng.choice(["alive", "crashed", "crashed", "ended"])
    if when == "crashed":
        world.crash()
    elif when == "ended":
        world.wait(lambda: not world.processes(), "the end")
    _tear(world.run_dir / "state.json", world, "cut", "empty", "delete", "rubbish")


@fault("train")
def torn_checkpoint(world: World) -> None:
    """The newest checkpoint was only half written."""
    world.wait(lambda: len(list(world.save_dir.glob("checkpoint-*"))) > 1 or not world.processes(), "checkpoints")
    time.sleep(world.rng.uniform(0, 0.2))
    world.crash()
    newest = max(world.save_dir.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    hit = world.rng.choice(sorted(path for path in newest.iterdir() if path.is_file()))
    data = hit.read_bytes()
    world.note(f"half of {newest.name}/{hit.name}")
    hit.unlink() if world.rng.random() < 0.3 else hit.write_bytes(data[: len(data) // 2])


def _shifted(data: Any, shift: float) -> Any:
    if isinstance(data, dict):
        times = {k: v for k, v in data.items() if k in ("started", "updated", "created", "finished") and v}
        return {k: v + shift if k in times else _shifted(v, shift) for k, v in data.items()}
    return data


@fault()
def clock_step(world: World) -> None:
    """The clock was wrong by up to a day when all this was written, and the supervisor died."""
    world.kill("supervisor")
    shift = world.rng.choice([-86400.0, -3600.0, -5.0, 5.0, 3600.0, 86400.0])
    if state := world.state():
        (world.run_dir / "state.json").write_text(json.dumps(_shifted(state, shift)), encoding="utf-8")
    for file in [*world.save_dir.rglob("*.*"), *world.run_dir.rglob("*.*")]:
        if file.is_file():
            seen = file.stat()
            os.utime(file, (seen.st_atime + shift, seen.st_mtime + shift))
    world.note(f"clock by {shift}")


@fault(crash=True)
def reboot(world: World) -> None:
    """Everything is gone, and the numbers of the processes belong to others now."""
    path = world.run_dir / "state.json"
    text = re.sub(r'"boot_id": "[^"]+"', f'"boot_id": "{BOOT}"', path.read_text())
    path.write_text(re.sub(r'"pid": \d+', f'"pid": {os.getpid()}', text))


@fault(crash=True)
def request_left(world: World) -> None:
    """A request to stop comes when nobody is there to take it."""
    world.sft("stop", world.run, *world.rng.choice([(), ("--now",)]))
    folder = world.run_dir / "requests"
    folder.mkdir(exist_ok=True)
    (folder / f"{time.time_ns()}-stop.json").write_text('{"kind": "stop"}')
    (folder / "rubbish.json").write_text("{")


@fault(start=False)
def two_starts(world: World) -> None:
    """The same run is started twice at once, or resumed twice at once."""
    words = ["--non-interactive", "answers.yaml", "--detach"]
    if world.rng.random() < 0.5:
        FAULTS["kill_all"](world)
        words = ["resume", world.run]
    both = [world.popen(*words) for _ in range(2)]
    while any(process.poll() is None for process in both):
        if len(world.trainers()) > 1:
            raise Violation("two trainers of one run at once")
        time.sleep(0.03)
    errors = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    world.note(f"codes {codes}")
    if all(codes) or any("Traceback" in error for error in errors):
        raise Violation(f"{words} twice: {codes} {errors}")


@fault(start=False)
def two_unnamed_starts(world: World) -> None:
    """Two starts without a name at once are two runs, or one is refused."""
    answers = world.project / "answers.yaml"
    answers.write_text(answers.read_text().replace("name: apples", "name: null"))
    world.changed.add("answers.yaml")
    both = [world.popen("--non-interactive", "answers.yaml", "--detach", "--json") for _ in range(2)]
    told = [process.communicate(timeout=90) for process in both]
    good = [json.loads(out)["run"] for (out, _err), process in zip(told, both, strict=True) if not process.returncode]
    names = set(good)
    if not names or len(names) != len(good) or len(names) != len(list((world.project / "runs").iterdir())):
        raise Violation(f"two starts were told of {good}: {[err[-200:] for _out, err in told]}")
    for world.run in sorted(names):  # the last one is judged like any other
        world.wait(lambda: world.state().get("status") in FINAL, f"the end of {world.run}")
        if world.state()["status"] != "finished":
            raise Violation(f"of {len(names)} runs at once one ended {world.where()}")


@fault("train", "export", "convert", crash=True)
def source_changed(world: World) -> None:
    """The source is another one, longer or shorter before the run goes on."""
    _other_source(world)


@fault("convert")
def source_changed_while_converting(world: World) -> None:
    """The source is rewritten, appended to or cut while it is read."""
    _other_source(world)


def _other_source(world: World) -> None:
    lives = bool(world.processes())
    learned_before = world.state().get("stages", {}).get("train", {}).get("status") == "finished"
    name = world.rng.choice(["other", "longer", "shorter"])
    world.changed.add("rows.csv")
    shutil.copyfile(world.root / f"{name}.csv", world.project / "rows.csv")
    # what was read whole and compared just before may be used; which of both it was, data, steps and model agree on
    world.sources = [name, "rows"] if learned_before or lives else [name]
    world.note(f"source is {name} from {world.where()} on")


@fault()
def stop(world: World) -> None:
    """Stopped at random moments, once or twice, kindly or at once."""
    for _ in range(world.rng.choice([1, 1, 2])):
        world.sft("stop", world.run, *world.rng.choice([(), ("--now",)]))
        time.sleep(world.rng.uniform(0, 0.6))
    world.wait(lambda: not world.processes("supervisor"), "the end of the stopped run", 60)


@fault(start=False)
def stop_deaf(world: World) -> None:
    """A trainer that hears nothing is stopped all the same."""
    world.scenario(ignore_abort=True, ignore_term=True)
    FAULTS["stop"](world)


@fault()
def moved(world: World) -> None:
    """The project is renamed while it runs."""
    world.project = world.project.rename(world.root / "moved")
    time.sleep(world.rng.uniform(0, 0.5))


@fault()
def copied(world: World) -> None:
    """A copy made while it runs is not running, and what is done to it does not touch the first."""
    copy = world.root / "copy"
    shutil.copytree(world.project, copy, ignore_dangling_symlinks=True)
    told = world.sft("runs", "--json", project=copy)
    if "running" in [run["status"] for run in json.loads(told.out)]:
        raise Violation("the copy claims to run")
    stopped = world.sft("stop", world.run, project=copy)
    world.wait(lambda: world.state().get("status") in FINAL, "the first one's end")
    if world.state()["status"] != "finished":
        raise Violation(f"a stop of the copy ({stopped.code}) ended the first one: {world.where()}")
