"""Bringing a project's runs back after a reboot: what does it at boot, and the way in which it is done.

A systemd unit of the user where systemd is at work, an `@reboot` line of the user's crontab elsewhere. Both call
`sft-tui service --bring-back`, which goes on with every run that was on when the machine went down.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from platformdirs import user_config_path

from sft_tui.i18n import _
from sft_tui.machine.gpus import GpuReport, read_gpus
from sft_tui.plan.gpu_headroom import cards_of
from sft_tui.problems import ExitCode, Refusal, refuse
from sft_tui.project.files import write_atomically
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.project.state import RunState, Status, read_state
from sft_tui.run.lifecycle import read_plan, resume

_BOOTED_WITH_SYSTEMD = Path("/run/systemd/system")
_LINGER = Path("/var/lib/systemd/linger")
_SIGN = "# Written by sft-tui service for "
_KEPT = ("PATH", "LD_LIBRARY_PATH", "CUDA_HOME", "HF_HOME", "HF_ENDPOINT", "MODELSCOPE_CACHE", "SFT_TUI_TRAIN_PYTHON")
"""Variables that a run may need and that hold no secrets; a boot knows none of them."""
_CARDS_PATIENCE_S = 300.0
_EVERY_S = 5.0


class Kind(StrEnum):
    """What starts it at boot."""

    SYSTEMD = "systemd"
    CRON = "cron"


@dataclass(frozen=True, slots=True)
class Service:
    """What brings the runs of `project` back: the `content` of the unit at `path`, or the line of the crontab."""

    project: Path
    kind: Kind
    content: str
    path: Path | None = None

    @property
    def link(self) -> Path | None:
        """What enables the unit."""
        return None if self.path is None else self.path.parent / "default.target.wants" / self.path.name


def plan_service(project: Path) -> Service:
    """What would be written for `project` on this machine."""
    command = [sys.executable, "-m", "sft_tui.cli", "service", "--bring-back", "--dir", str(project)]
    kept = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    if _BOOTED_WITH_SYSTEMD.is_dir() and shutil.which("systemctl"):
        slug = re.sub(r"[^a-z0-9]+", "-", project.name.lower()).strip("-") or "project"
        mark = hashlib.sha256(os.fsencode(project)).hexdigest()[:6]
        path = user_config_path("systemd") / "user" / f"sft-tui-{slug}-{mark}.service"
        return Service(project, Kind.SYSTEMD, _unit(project, command, kept), path)
    words = [f"{name}={shlex.quote(value)}" for name, value in kept.items()] + [shlex.quote(word) for word in command]
    line = " ".join(words).replace("%", r"\%")  # cron takes a bare % for the end of the line
    return Service(project, Kind.CRON, f"@reboot {line} {_SIGN}{project}")


def _unit(project: Path, command: list[str], kept: dict[str, str]) -> str:
    """systemd.service(5): what it starts outlives it (KillMode), and a disk that is mounted late is waited for."""
    lines = [
        f"{_SIGN}{project}",
        "[Unit]",
        f"Description=sft-tui: bring back the runs of {_escaped(str(project))}",
        "StartLimitIntervalSec=3600",
        "StartLimitBurst=20",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        "KillMode=process",
        "Restart=on-failure",
        "RestartSec=30",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in kept.items()),
        "ExecStart=" + " ".join(_quoted(word).replace("$", "$$") for word in command),
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def lingers() -> bool | None:
    """Whether systemd starts the user's units at boot, without a login; None where it cannot be told."""
    return (_LINGER / getpass.getuser()).exists() if _LINGER.is_dir() else None


def install(service: Service) -> bool:
    """Write the unit or the line; whether anything was new. Raises `Refusal`, for a file of somebody else too."""
    if service.path is None or service.link is None:
        lines = _crontab()
        kept = [line for line in lines if not _is_ours(line, service.project)]
        return lines != [*kept, service.content] and _write_crontab([*kept, service.content])
    _refuse_foreign(service)
    fresh = not service.path.exists() or service.path.read_text(encoding="utf-8") != service.content
    try:
        if fresh:
            write_atomically(service.path, service.content)
        if not service.link.is_symlink():
            service.link.parent.mkdir(parents=True, exist_ok=True)
            service.link.symlink_to(Path("..") / service.path.name)
            fresh = True
    except OSError as error:
        message = _("{path} cannot be written: {reason}.").format(path=service.path, reason=error.strerror or error)
        raise refuse("service_not_writable", message, path=str(service.path), exit_code=ExitCode.PREFLIGHT) from error
    _reload()
    return fresh


def remove(service: Service) -> bool:
    """Remove the unit or the line; whether there was one. Raises `Refusal`."""
    if service.path is None or service.link is None:
        lines = _crontab()
        kept = [line for line in lines if not _is_ours(line, service.project)]
        return kept != lines and _write_crontab(kept)
    _refuse_foreign(service)
    there = service.path.exists()
    service.link.unlink(missing_ok=True)
    service.path.unlink(missing_ok=True)
    _reload()
    return there


def _is_ours(text: str, project: Path) -> bool:
    return text.rstrip("\n").endswith(f"{_SIGN}{project}")


def _refuse_foreign(service: Service) -> None:
    assert service.path is not None
    if service.path.is_symlink() or service.path.exists():
        with contextlib.suppress(OSError, ValueError):
            first = service.path.read_text(encoding="utf-8").split("\n", 1)[0]
            if not service.path.is_symlink() and first.startswith(_SIGN):
                return
        message = _("{path} is there already, and not of sft-tui.").format(path=service.path)
        raise refuse("service_foreign", message, path=str(service.path), exit_code=ExitCode.PREFLIGHT)


def _reload() -> None:
    """Have a running systemd see what was written; at the next boot it does so anyway."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["systemctl", "--user", "daemon-reload"], capture_output=True, timeout=10, check=False)


def _crontab() -> list[str]:
    """The lines of the user's crontab. Raises `Refusal` where there is no cron."""
    try:
        done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        message = _("There is neither systemd nor cron here that could start anything at boot.")
        hint = _("Have this run at boot by other means: {command}").format(command="sft-tui service --bring-back")
        raise refuse("no_service_manager", message, hint=hint, exit_code=ExitCode.PREFLIGHT) from error
    if done.returncode != 0 and "no crontab" not in done.stderr.lower():
        message = _("The crontab cannot be read: {reason}").format(reason=done.stderr.strip())
        raise refuse("crontab", message, exit_code=ExitCode.PREFLIGHT)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _write_crontab(lines: list[str]) -> bool:
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(["crontab", "-"], input=text, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        message = _("The crontab cannot be written: {reason}").format(reason=done.stderr.strip())
        raise refuse("crontab", message, exit_code=ExitCode.PREFLIGHT)
    return True


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """A run that was on when the machine went down; `refused` says in a sentence why it could not be gone on with."""

    run: str
    refused: str | None = None


def bring_back(project: Path, read: Callable[[], GpuReport] = read_gpus) -> list[BroughtBack]:
    """Go on with every run of `project` that was on when the machine went down, the oldest first.

    A run that was being stopped stays so. Cards that the driver does not show yet are waited for.
    """
    found: list[BroughtBack] = []
    for layout in reversed(runs_of(project)):
        state = read_state(layout)
        if state is None or not went_down(state):
            continue
        _await_cards(layout, read)
        try:
            resume(layout)
        except Refusal as refusal:
            found.append(BroughtBack(layout.name, str(refusal)))
        else:
            found.append(BroughtBack(layout.name))
    return found


def went_down(state: RunState) -> bool:
    """Whether the run was on, and not being stopped, when the machine went down."""
    on = state.status in (Status.PENDING, Status.WAITING, Status.RUNNING)
    return on and state.supervisor is not None and state.supervisor.before_boot


def _await_cards(layout: RunLayout, read: Callable[[], GpuReport]) -> None:
    plan = read_plan(layout)
    deadline = time.monotonic() + _CARDS_PATIENCE_S
    while plan is not None and plan.gpus and len(cards_of(plan, read())) < len(plan.gpus):
        if time.monotonic() > deadline:
            return
        time.sleep(_EVERY_S)
