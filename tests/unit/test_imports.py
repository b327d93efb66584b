"""What a command imports, looked at in a fresh Python: light commands stay light."""

from __future__ import annotations

import graphlib
import json
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

DEMO = Path(__file__).parent.parent.parent / "data" / "demo" / "answers.yaml"
HEAVY = ("textual", "torch", "pandas", "pyarrow", "polars", "llamafactory", "transformers", "openpyxl")

_PROBE = """
import sys, json, contextlib, io
sys.argv = ["sft-tui", *{words!r}]
from sft_tui.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""


def _modules(words: list[str]) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(words=words)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [["--help"], ["runs"], ["schema"], ["check", "no-such-file.yaml"], ["check", str(DEMO)]]
)
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    assert _modules(words).isdisjoint(HEAVY)


def test_help_does_without_pydantic() -> None:
    assert "pydantic" not in _modules(["--help"])


def test_the_supervisor_stays_small() -> None:
    code = "import sys, json, sft_tui.run.supervisor; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    assert {name.split(".")[0] for name in modules}.isdisjoint({*HEAVY, "pydantic"})
    assert not [name for name in modules if name.startswith("sft_tui.memory")], "the plan holds what was estimated"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Neither at the top nor inside functions; imports for types alone do not count."""
    graph = grimp.build_graph("sft_tui", exclude_type_checking_imports=True, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises `CycleError`, which names the circle
