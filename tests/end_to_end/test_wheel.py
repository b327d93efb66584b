"""The wheel holds everything that a checkout has: presets, demo, snapshots, translations, scripts."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    wanted = {f"sft_tui/presets/{p.name}" for p in (ROOT / "presets").glob("*.yaml")}
    wanted |= {"sft_tui/data/demo/answers.yaml", "sft_tui/data/demo/model/model.safetensors"}
    kept = {".py", ".tcss", ".yaml", ".json", ".mo"}
    package = (p for p in (ROOT / "sft_tui").rglob("*") if p.suffix in kept and "__pycache__" not in p.parts)
    wanted |= {p.relative_to(ROOT).as_posix() for p in package}
    assert wanted <= names, sorted(wanted - names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = (
        "import sft_tui, sft_tui.presets as p; print(sft_tui.__file__, sorted(p.load_presets()), p.presets_directory())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    )
    assert str(tmp_path / "site/sft_tui/presets") in shown.stdout
    demo = "from sft_tui.project.places import shipped; print(shipped('data', 'demo'))"
    shown = subprocess.run(
        [sys.executable, "-c", demo], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == str(tmp_path / "site/sft_tui/data/demo")
