"""Where the files of a run are: the guide's directories, several runs side by side."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The paths of run `name` in the project directory `project` (absolute)."""

    project: Path
    name: str

    @property
    def run_dir(self) -> Path:
        """`runs/<run>`: answers, plan, state, events, requests."""
        return self.project / "runs" / self.name

    @property
    def answers(self) -> Path:
        """The answers that this run was planned from."""
        return self.run_dir / "answers.yaml"

    @property
    def plan(self) -> Path:
        """The plan that the supervisor carries out."""
        return self.run_dir / "plan.json"

    @property
    def state(self) -> Path:
        """The present state, replaced atomically."""
        return self.run_dir / "state.json"

    @property
    def events(self) -> Path:
        """Everything that happened, one JSON object a line, only appended to."""
        return self.run_dir / "events.jsonl"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor itself prints."""
        return self.run_dir / "supervisor.log"

    @property
    def requests(self) -> Path:
        """Where front ends leave what they want from the supervisor."""
        return self.run_dir / "requests"

    @property
    def verify_result(self) -> Path:
        """What verification found."""
        return self.run_dir / "verify.json"

    @property
    def lock(self) -> Path:
        """Held by the one supervisor of this run."""
        return self.run_dir / ".supervisor.lock"

    @property
    def trainer_lock(self) -> Path:
        """Held by the processes of the one stage of this run that is at work."""
        return self.run_dir / ".trainer.lock"

    def exit_marker(self, stage: str, attempt: int) -> Path:
        """How an attempt at `stage` has ended, written by what kept its processes."""
        return self.run_dir / "exit" / f"{stage}.{attempt}.json"

    @property
    def reserve(self) -> Path:
        """Room on the disk that is given back when the run ends, so that its end can be written."""
        return self.run_dir / ".reserve"

    @property
    def config_dir(self) -> Path:
        """`configs/<run>`: the YAML files of LLaMA-Factory."""
        return self.project / "configs" / self.name

    @property
    def save_dir(self) -> Path:
        """`saves/<run>`: adapter and checkpoints."""
        return self.project / "saves" / self.name

    @property
    def log_dir(self) -> Path:
        """`logs/<run>`: a log for each stage."""
        return self.project / "logs" / self.name

    @property
    def model_dir(self) -> Path:
        """`models/<run>`: the merged model."""
        return self.project / "models" / self.name

    def stage_log(self, stage: str) -> Path:
        """The log file of `stage`."""
        return self.log_dir / f"{stage}.log"

    @classmethod
    def of_run_dir(cls, run_dir: Path) -> RunLayout:
        """The layout that the directory `runs/<run>` belongs to."""
        resolved = run_dir.resolve()
        return cls(resolved.parent.parent, resolved.name)


def run_that_saved(path: Path) -> RunLayout | None:
    """The run whose `saves/<run>` is `path` (absolute) or holds it; None where no project has such a run."""
    for folder in (path, *path.parents):
        layout = RunLayout(folder.parent.parent, folder.name)
        if folder == layout.save_dir and (layout.plan.is_file() or layout.state.is_file()):
            return layout
    return None


def runs_of(project: Path) -> list[RunLayout]:
    """The runs of `project`, those with a state or a plan, the one that was written last first."""
    found: list[tuple[int, str]] = []
    with contextlib.suppress(OSError):
        for name in os.listdir(project / "runs"):  # noqa: PTH208 - the names are all that is needed
            layout = RunLayout(project, name)
            changed = _changed(layout.state) or _changed(layout.plan)
            if changed is not None:
                found.append((changed, name))
    return [RunLayout(project, name) for _changed_at, name in sorted(found, reverse=True)]


def _changed(path: Path) -> int | None:
    """When the plain file `path` was written last (ns); None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None
