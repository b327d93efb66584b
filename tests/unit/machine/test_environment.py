"""Where LLaMA-Factory is found, and in which order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sft_tui.machine.environment import Search, find_environment, installed_packages


def _venv(path: Path, *dists: str, cli: bool = True) -> Path:
    (path / "bin").mkdir(parents=True)
    python = path / "bin" / "python"
    python.symlink_to(sys.executable)
    (path / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    site = path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    for dist in dists:
        (site / f"{dist}.dist-info").mkdir()
    if cli:
        script = path / "bin" / "llamafactory-cli"
        script.write_text(f"#!{python}\n")
        script.chmod(0o755)
    return python


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which no Python has LLaMA-Factory."""
    for name in ("SFT_TUI_TRAIN_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(_venv(tmp_path / "own", "sft_tui-1.0", cli=False)))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "own/lib/python3.11/site-packages")])
    return tmp_path


def _python(search: Search) -> str:
    assert search.environment is not None
    return search.environment.python


def test_nothing_is_found_and_every_place_is_named(bare: Path) -> None:
    search = find_environment()
    assert search.environment is None
    assert len(search.looked_at) == 2


def test_this_python_before_a_venv_before_path(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = _venv(bare / "path", "llamafactory-0.9.5")
    monkeypatch.setenv("PATH", f"{bare / 'path/bin'}:/usr/bin:/bin")
    assert _python(find_environment()) == str(on_path)
    active = _venv(bare / "active", "llamafactory-0.9.4")
    monkeypatch.setenv("VIRTUAL_ENV", str(bare / "active"))
    search = find_environment()
    assert _python(search) == str(active)
    assert search.environment is not None
    assert search.environment.version == "0.9.4"
    (bare / "own/lib/python3.11/site-packages/llamafactory-0.9.3.dist-info").mkdir()
    assert _python(find_environment()) == sys.executable


def test_what_is_set_on_purpose_wins(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "own/lib/python3.11/site-packages/llamafactory-0.9.3.dist-info").mkdir()
    chosen = _venv(bare / "chosen", "llamafactory-0.9.5", "liger_kernel-0.8")
    monkeypatch.setenv("SFT_TUI_TRAIN_PYTHON", str(chosen))
    search = find_environment()
    assert search.environment is not None
    assert search.environment.python == str(chosen)
    assert search.environment.has("liger-kernel")
    monkeypatch.setenv("SFT_TUI_TRAIN_PYTHON", "/nowhere/python")
    assert find_environment().environment is None


def test_without_a_command_the_module_is_used(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = _venv(bare / "chosen", "llamafactory-0.9.5", cli=False)
    monkeypatch.setenv("SFT_TUI_TRAIN_PYTHON", str(chosen))
    search = find_environment()
    assert search.environment is not None
    assert search.environment.cli == (str(chosen), "-m", "llamafactory.cli")


def test_packages_on_pythonpath_count(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = _venv(bare / "other")
    (bare / "target" / "llamafactory-0.9.5.dist-info").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(bare / "target"))
    assert installed_packages(str(python)) == {"llamafactory": "0.9.5"}


def test_packages_of_the_user_count_for_a_system_python(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = bare / "usr" / "bin" / "python3"
    (bare / "usr" / "lib" / "python3.11" / "site-packages" / "torch-2.10.0.dist-info").mkdir(parents=True)
    for minor, dist in (("3.11", "torch-2.11.0"), ("3.11", "llamafactory-0.9.5"), ("3.9", "peft-0.1")):
        (bare / "home" / ".local" / "lib" / f"python{minor}" / "site-packages" / f"{dist}.dist-info").mkdir(
            parents=True
        )
    monkeypatch.setenv("HOME", str(bare / "home"))
    monkeypatch.delenv("PYTHONUSERBASE", raising=False)
    monkeypatch.delenv("PYTHONNOUSERSITE", raising=False)
    assert installed_packages(str(python)) == {"llamafactory": "0.9.5", "torch": "2.11.0"}
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    assert installed_packages(str(python)) == {"torch": "2.10.0"}
