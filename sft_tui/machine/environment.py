"""Where LLaMA-Factory is installed: found by looking at files, never by importing it into this process."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sft_tui.i18n import _
from sft_tui.packages import normalised

OVERRIDE = "SFT_TUI_TRAIN_PYTHON"
_DIST = re.compile(r"^(?P<name>.+?)-(?P<version>\d[^-]*)\.(?:dist|egg)-info$")


@dataclass(frozen=True, slots=True)
class Environment:
    """An installation of LLaMA-Factory.

    `python` runs our small scripts beside it, `cli` is the start of its command line (`[.../llamafactory-cli]`).
    `version` is LLaMA-Factory's, None where no metadata tells it; `packages` are the versions of all distributions
    there, by normalised name (`liger-kernel`). `why` says in a sentence how it was found.
    """

    python: str
    cli: tuple[str, ...]
    why: str
    version: str | None = None
    packages: dict[str, str] = field(default_factory=dict)

    def has(self, package: str) -> bool:
        """Whether the distribution `package` (any spelling) is installed there."""
        return normalised(package) in self.packages


@dataclass(frozen=True, slots=True)
class Search:
    """The environment that was chosen, or None, and what was looked at before it, each with what was found there."""

    environment: Environment | None
    looked_at: tuple[str, ...]


def find_environment() -> Search:
    """Look for LLaMA-Factory; the first place that has it is taken.

    `SFT_TUI_TRAIN_PYTHON` comes first, because it is set on purpose, and nothing else is tried when it is set. Then
    this Python, an active venv or conda environment, and `llamafactory-cli` on PATH.
    """
    looked_at: list[str] = []
    for python, origin in _candidates():
        environment = _look(python, origin)
        if environment is not None:
            return Search(environment, tuple(looked_at))
        looked_at.append(_("{origin}: no LLaMA-Factory in {python}").format(origin=origin, python=python))
    if OVERRIDE not in os.environ:
        on_path = _from_path()
        if on_path is not None:
            return Search(on_path, tuple(looked_at))
        looked_at.append(_("PATH: no llamafactory-cli"))
    return Search(None, tuple(looked_at))


def _candidates() -> Iterator[tuple[str, str]]:
    override = os.environ.get(OVERRIDE)
    if override:
        yield shutil.which(override) or override, OVERRIDE
        return
    yield sys.executable, _("this Python")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = os.environ.get(variable)
        if prefix:
            yield str(Path(prefix) / "bin" / "python"), variable


def _look(python: str, origin: str) -> Environment | None:
    if not Path(python).is_file():
        return None
    packages = installed_packages(python)
    cli = Path(python).parent / "llamafactory-cli"
    if "llamafactory" not in packages and not cli.is_file():
        return None
    command = (str(cli),) if cli.is_file() else (python, "-m", "llamafactory.cli")
    why = _("{origin} ({python}) has it").format(origin=origin, python=python)
    return Environment(python, command, why, packages.get("llamafactory"), packages)


def _from_path() -> Environment | None:
    cli = shutil.which("llamafactory-cli")
    if cli is None:
        return None
    python = _python_of_script(Path(cli))
    packages = installed_packages(python)
    why = _("{cli} is on PATH").format(cli=cli)
    return Environment(python, (cli,), why, packages.get("llamafactory"), packages)


def _python_of_script(script: Path) -> str:
    """The interpreter that runs `script`: the one in its first line, or the one beside it, or this one."""
    try:
        with script.open("rb") as stream:
            first = stream.readline(512).decode("utf-8", "replace").strip()
    except OSError:
        first = ""
    words = first.removeprefix("#!").split() if first.startswith("#!") else []
    named = words[1] if len(words) > 1 and words[0].endswith("/env") else words[0] if words else ""
    if "python" in Path(named).name:
        return shutil.which(named) or named
    beside = script.resolve().parent / "python"
    return str(beside) if beside.is_file() else sys.executable


def installed_packages(python: str) -> dict[str, str]:
    """Versions of the distributions in the site-packages of the interpreter at `python`, by normalised name."""
    packages: dict[str, str] = {}
    for folder in reversed(_site_packages(python)):
        try:
            names = [p.name for p in Path(folder).iterdir()]
        except OSError:
            continue
        for name in names:
            match = _DIST.match(name)
            if match:
                packages[normalised(match["name"])] = match["version"]
    return packages


def _site_packages(python: str) -> list[str]:
    if Path(python) == Path(sys.executable):
        return [p for p in sys.path if Path(p).is_dir()]
    more = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return more + _site_packages_of_prefix(Path(python).parent.parent)


def _user_site(prefix: Path) -> list[Path]:
    """Where `pip install --user` puts packages for the interpreter in `prefix`: by its minor version."""
    if os.environ.get("PYTHONNOUSERSITE"):
        return []
    base = Path(os.environ.get("PYTHONUSERBASE") or Path.home() / ".local")
    minors = {folder.name for folder in prefix.glob("lib/python3.*") if folder.is_dir()}
    return [folder for folder in sorted(base.glob("lib/python3.*/site-packages")) if folder.parent.name in minors]


def _site_packages_of_prefix(prefix: Path) -> list[str]:
    folders = sorted(prefix.glob("lib/python3.*/site-packages")) + sorted(prefix.glob("lib64/python3.*/site-packages"))
    config = prefix / "pyvenv.cfg"
    if not config.is_file():
        folders += sorted(prefix.glob("lib/python3*/dist-packages"))
        return [str(p) for p in (*_user_site(prefix), *folders)]
    text = config.read_text(encoding="utf-8", errors="replace").lower()
    if re.search(r"include-system-site-packages\s*=\s*true", text):
        home = re.search(r"^home\s*=\s*(.+)$", text, re.MULTILINE)
        if home:
            folders += sorted(Path(home[1].strip()).parent.glob("lib/python3*/*-packages"))
    return [str(p) for p in folders]
