"""The log and the run screen: a log of a million lines against one of a thousand, and bytes to the terminal."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.measuring import interleaved, say, verdict
from benchmarks.pty_probe import Session
from sft_tui.project.files import write_json
from sft_tui.project.identity import ProcessRef
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState, Status, write_state

LINES_A_SECOND = 20
END = "the very last line"


def main(argv: list[str]) -> bool:
    """Measure; whether every figure holds. `--quick`: fewer rounds and seconds."""
    if argv[:1] == ["--show"]:
        show(argv[1], Path(argv[2]), argv[3])
        return True
    rounds, seconds = (2, 6) if "--quick" in argv else (5, 20)
    with tempfile.TemporaryDirectory() as scratch:
        return all([open_big_log(Path(scratch), rounds), bytes_while_training(Path(scratch), seconds)])


def show(screen: str, project: Path, run: str) -> None:
    """In a terminal: the app at the log screen or at the run screen."""
    from sft_tui.tui.app import SftApp

    def start(app: SftApp) -> None:
        layout = RunLayout(project, run)
        if screen == "run":
            app.push_screen(app.make("run", layout))
        else:
            from sft_tui.tui.runs.log import LogScreen

            app.push_screen(LogScreen(layout, "train"))

    SftApp(project, start=start).run()


def session(screen: str, layout: RunLayout) -> Session:
    """The app at `screen` in a pseudo-terminal of 80x24."""
    command = [sys.executable, "-m", "benchmarks.bench_log", "--show", screen, str(layout.project), layout.name]
    env = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "SFT_TUI_LANG": "en"}
    return Session(command, env, str(Path(__file__).parent.parent))


def make_run(project: Path, name: str, lines: int) -> RunLayout:
    """A run in training whose log has `lines` lines."""
    layout = RunLayout(project, name)
    layout.log_dir.mkdir(parents=True)
    layout.save_dir.mkdir(parents=True)
    with layout.stage_log("train").open("w", encoding="utf-8") as log:
        for start in range(0, lines - 1, 10_000):
            end = min(start + 10_000, lines - 1)
            log.write("".join(f"step {n} of a log: {{'loss': '1.2345', 'epoch': '0.1'}}\n" for n in range(start, end)))
        log.write(END + "\n")
    stages = {"train": StageState(Status.RUNNING, 1, None, time.time())}
    write_state(
        layout, RunState(name, Status.RUNNING, "train", stages, ProcessRef.of(os.getpid()), created=time.time())
    )
    write_json(layout.plan, {"gpus": [], "stages": [{"name": "train"}], "train_options": {"num_train_epochs": 3}})
    return layout


def open_big_log(scratch: Path, rounds: int) -> bool:
    """Time to the first screen of the log's end, and the memory held then and after the search of the whole file."""
    say("Opening a log of 1,000,000 lines, against one of 1,000")
    small, large = (make_run(scratch, f"log-{n}", n) for n in (1_000, 1_000_000))
    sizes: dict[str, float] = {}

    def opened(layout: RunLayout) -> float:
        with session("log", layout) as terminal:
            seconds = terminal.wait_for(END)
            terminal.send("g500\r")
            terminal.read(1.5)
            sizes[layout.name] = terminal.resident_bytes() / 1e6
            return seconds

    times = interleaved({"small": lambda: opened(small), "large": lambda: opened(large)}, rounds)
    return all(
        [
            verdict("time to the log's end", times["large"] / times["small"], 3),
            verdict("memory after its index", sizes[large.name] / sizes[small.name], 1.1),
            verdict("memory", sizes[large.name], 80, " MB"),
        ]
    )


def bytes_while_training(scratch: Path, seconds: int) -> bool:
    """Bytes a second to an 80x24 terminal: training at 20 log lines a second, and at rest."""
    say(f"Bytes to an 80x24 terminal while a training writes {LINES_A_SECOND} lines a second")
    layout = make_run(scratch, "busy", 1000)
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(layout, stop))
    writer.start()
    try:
        with session("run", layout) as terminal:
            terminal.wait_for("train.log")
            terminal.read(3)
            cpu = terminal.cpu_seconds()
            rate = terminal.read(seconds) / seconds
            share = (terminal.cpu_seconds() - cpu) / seconds
            stop.set()
            writer.join()
            state = RunState("busy", Status.FINISHED, "train", {"train": StageState(Status.FINISHED, 1)})
            write_state(layout, state)
            terminal.read(6)
            cpu = terminal.cpu_seconds()
            idle = terminal.read(seconds)
            idle_share = (terminal.cpu_seconds() - cpu) / seconds
    finally:
        stop.set()
        writer.join()
    say(f"  CPU while training {share:.1%}, after its end {idle_share:.2%} of a core")
    return all(
        [
            verdict("while training", rate / 1024, 30, " KiB/s"),
            verdict("after its end", idle, 0, " bytes"),
        ]
    )


def _write(layout: RunLayout, stop: threading.Event) -> None:
    """Twenty lines a second, a bar over itself, and figures twice a second."""
    step = 0
    with layout.stage_log("train").open("a", encoding="utf-8") as log:
        metrics = (layout.save_dir / "trainer_log.jsonl").open("a", encoding="utf-8")
        while not stop.wait(1 / LINES_A_SECOND):
            step += 1
            log.write(f"step {step} {{'loss': '{3 / step**0.3:.4f}', 'grad_norm': '1.2', 'epoch': '{step / 1000}'}}\n")
            log.write(f"\r {step % 100}%|{'#' * (step % 40)}| {step}/100000 [00:10<10:00, 1.9s/it]")
            log.flush()
            if step % 10 == 0:
                figures = {"loss": 3 / step**0.3, "lr": 1e-4, "epoch": step / 1000}
                clock = f"0:{step // 1200:02d}:{step // 20 % 60:02d}"
                record = {"current_steps": step, "total_steps": 100_000, "elapsed_time": clock, **figures}
                metrics.write(json.dumps(record) + "\n")
                metrics.flush()
        metrics.close()


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
