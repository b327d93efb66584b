"""A fake training environment, as real to the code under test as files and processes can be."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_VERSIONS = {
    "llamafactory": "0.9.5",
    "torch": "2.14.1",
    "transformers": "5.6.0",
    "peft": "0.18.1",
    "tensorboard": "2.21.0",
    "matplotlib": "3.10.0",
}


@dataclass(frozen=True, slots=True)
class FakeEnvironment:
    """Paths of the fake interpreter and command line, and the variables to start our programs with."""

    python: Path
    cli: Path
    env: dict[str, str]
    scenario_file: Path

    def set_scenario(self, scenario: dict[str, Any]) -> None:
        """What the fake does from its next start on."""
        self.scenario_file.write_text(json.dumps(scenario), encoding="utf-8")

    def go_on(self, step: int) -> None:
        """Let a training that waits at `step` (scenario `hold_at`) go on."""
        self.scenario_file.with_name(f"go-{step}").touch()


def make_fake_environment(tmp_path: Path, scenario: dict[str, Any] | str | None = None) -> FakeEnvironment:
    """Lay out `bin/python`, `bin/llamafactory-cli` and package metadata under `tmp_path`.

    `scenario` is one of the names in fake_scenario.py or a dict as README.md describes; it is kept in
    `bin/scenario.json`, so that it can be changed between two attempts, and `FAKE_SCENARIO` in the environment wins.
    """
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir(parents=True, exist_ok=True)
    for name, module, call in (
        ("python", "fake_python", f"main({sys.executable!r})"),
        ("llamafactory-cli", "fake_llamafactory", "main()"),
        ("llamafactory/launcher.py", "fake_llamafactory", "main()"),
    ):
        script = bin_dir / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {str(_HERE)!r})\n"
            f"from {module} import main\nsys.exit({call})\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
    for package, version in _VERSIONS.items():
        info = tmp_path / "lib" / "python3.11" / "site-packages" / f"{package}-{version}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
        )
    environment = FakeEnvironment(
        bin_dir / "python",
        bin_dir / "llamafactory-cli",
        {"SFT_TUI_TRAIN_PYTHON": str(bin_dir / "python")},
        bin_dir / "scenario.json",
    )
    environment.set_scenario(_named(scenario) if isinstance(scenario, str) else scenario or {})
    return environment


def _named(name: str) -> dict[str, Any]:
    sys.path.insert(0, str(_HERE))
    try:
        from fake_scenario import NAMED
    finally:
        sys.path.remove(str(_HERE))
    scenario: dict[str, Any] = NAMED[name]
    return scenario
