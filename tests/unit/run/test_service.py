"""What starts runs again at boot: written once, taken away again, and never over what belongs to somebody else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sft_tui.problems import Refusal
from sft_tui.run import service as module
from sft_tui.run.service import Kind, install, plan_service, remove


def program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an odd name, on a machine with systemd and a cron of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HF_HOME", '/data/h"f 100%')
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(module, "_BOOTED_WITH_SYSTEMD", tmp_path)
    program(tmp_path / "bin" / "systemctl", f'echo "$@" >> {tmp_path}/systemctl.log')
    table = tmp_path / "table"
    program(
        tmp_path / "bin" / "crontab",
        f'[ "$1" = - ] && exec cat > {table}\ncat {table} 2>/dev/null || {{ echo no crontab for me >&2; exit 1; }}',
    )
    project = tmp_path / "my $project 100%"
    project.mkdir()
    return project


def test_a_unit_is_written_once_and_taken_away(project: Path, tmp_path: Path) -> None:
    service = plan_service(project)
    assert service.kind is Kind.SYSTEMD and service.path is not None and service.link is not None
    assert install(service) and not install(plan_service(project))
    assert service.path.parent == tmp_path / "config" / "systemd" / "user"
    text = service.path.read_text()
    assert 'my $$project 100%%"' in text and 'HF_HOME=/data/h\\"f 100%%"' in text and "hf_secret" not in text
    assert service.link.resolve() == service.path
    assert "daemon-reload" in (tmp_path / "systemctl.log").read_text()
    assert remove(service) and not remove(service)
    assert not service.path.exists() and not service.link.is_symlink()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_accepts_the_unit(project: Path) -> None:
    service = plan_service(project)
    assert service.path is not None and install(service)
    verify = ["systemd-analyze", "verify", "--user", str(service.path)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if service.path.name in line]
    assert complaints == []


def test_a_file_of_somebody_else_stays(project: Path, tmp_path: Path) -> None:
    service = plan_service(project)
    assert service.path is not None
    service.path.parent.mkdir(parents=True)
    service.path.write_text("[Unit]\nDescription=mine\n")
    for change in (install, remove):
        with pytest.raises(Refusal, match="not of sft-tui"):
            change(service)
    assert service.path.read_text() == "[Unit]\nDescription=mine\n"
    service.path.unlink()
    (tmp_path / "target").write_text(service.content)
    service.path.symlink_to(tmp_path / "target")
    with pytest.raises(Refusal):
        install(service)


def test_without_systemd_a_line_of_the_crontab(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BOOTED_WITH_SYSTEMD", tmp_path / "nowhere")
    (tmp_path / "table").write_text("0 3 * * * backup\n")
    service = plan_service(project)
    assert service.kind is Kind.CRON and service.path is None
    assert install(service) and not install(service)
    first, line = (tmp_path / "table").read_text().splitlines()
    assert first == "0 3 * * * backup" and line.startswith("@reboot ") and r"100\%" in line
    command = line.removeprefix("@reboot ").replace(r"\%", "%")
    program(tmp_path / "bin" / "python", 'printf "%s\\n" "$HF_HOME" "$@"')
    shown = subprocess.run(
        ["sh", "-c", command.replace(sys.executable, str(tmp_path / "bin" / "python"))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[0] == '/data/h"f 100%' and shown.stdout.splitlines()[-1] == str(project)
    assert remove(service) and not remove(service)
    assert (tmp_path / "table").read_text() == "0 3 * * * backup\n"


def test_without_any_of_them_it_is_said(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BOOTED_WITH_SYSTEMD", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(Refusal, match="neither systemd nor cron"):
        install(plan_service(project))
