"""The corpora: what is broken is caught with the right key, what is right raises no alarm.

Each config was run by the real LLaMA-Factory (`tests/corpora/prove.py`); `outcomes.json` holds what became of it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.factory.check import CheckContext, check_yaml_file
from sft_tui.factory.options import Factory
from sft_tui.factory.probe import load_factory
from sft_tui.machine.gpus import Gpu
from sft_tui.problems import Problem, Severity
from sft_tui.units import GIB
from tests.corpora import public_style
from tests.corpora.workspace import build

pytestmark = pytest.mark.xdist_group("corpora")  # one workspace for all

CORPORA = Path(__file__).parent.parent / "corpora"
BAD = sorted((CORPORA / "configs_bad").glob("*.yaml"))
GOOD = sorted((CORPORA / "configs_good").glob("*.yaml"))
OUTCOMES = json.loads((CORPORA / "outcomes.json").read_text(encoding="utf-8"))
MISSING_PACKAGES = ["bitsandbytes", "deepspeed", "jieba", "liger-kernel", "swanlab", "unsloth", "wandb"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("corpus") / "workspace")


@pytest.fixture(scope="module")
def factory() -> Factory:
    """The options of this environment, without the packages that were absent when the corpora were proven."""
    found = load_factory(sys.executable)
    return found if not found.versions_known else _without(found, MISSING_PACKAGES)


def _without(factory: Factory, packages: list[str]) -> Factory:
    return replace(factory, versions={k: v for k, v in factory.versions.items() if k not in packages})


def _check(path: Path, workspace: Path, factory: Factory) -> list[Problem]:
    target = workspace / path.name
    shutil.copyfile(path, target)
    return check_yaml_file(target, CheckContext(factory, workspace, gpus=(), cpus=2))


def expectation(path: Path) -> tuple[set[str], str]:
    """`(keys, level)` from the head of a broken config; the key `-` stands for the file as a whole."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return set(lines[0].removeprefix("# expect:").split()), lines[1].removeprefix("# level:").strip()


def test_the_corpora_are_large_enough_and_proven() -> None:
    assert len(BAD) >= 60
    assert len(GOOD) >= 30
    for path in (*BAD, *GOOD):
        outcome = OUTCOMES[f"{path.parent.name}/{path.name}"]
        if path in GOOD:
            assert outcome["exit"] == 0, (path.name, outcome)
        elif expectation(path)[1] != "accepted":
            assert outcome["exit"] not in (0, "timeout"), (path.name, outcome)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_is_broken_is_caught_with_the_right_key(path: Path, workspace: Path, factory: Factory) -> None:
    if not factory.versions_known and path.stem.startswith("package_"):
        pytest.skip("what is installed is not known here")
    keys, level = expectation(path)
    wanted = {Severity.ERROR} if level == "error" else {Severity.ERROR, Severity.WARNING}
    found = [p for p in _check(path, workspace, factory) if p.severity in wanted]
    named = {p.key for p in found}
    assert named & keys or (keys == {"-"} and found), (keys, [str(p) for p in found])


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_is_right_raises_no_alarm(path: Path, workspace: Path, factory: Factory) -> None:
    problems = _check(path, workspace, factory)
    assert [str(p) for p in problems if p.severity is Severity.ERROR] == []
    assert len([p for p in problems if p.severity is Severity.WARNING]) <= 1


def test_warnings_on_right_configs_are_rare(workspace: Path, factory: Factory) -> None:
    warned = [p.stem for p in GOOD if any(q.severity is Severity.WARNING for q in _check(p, workspace, factory))]
    assert len(warned) <= len(GOOD) // 20, warned


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return public_style.write(tmp_path_factory.mktemp("public"))


@pytest.mark.parametrize("cards", [None, 0, 2])
def test_public_configs_raise_no_alarm(public: Path, factory: Factory, cards: int | None) -> None:
    """Nothing on a machine of unknown cards and on one with cards; without cards only that there are none."""
    assert len(public_style.CONFIGS) >= 60
    gpus = (
        None
        if cards is None
        else [Gpu(at, f"GPU-{at}", "H100", 80 * GIB, 0, 80 * GIB, 0, 40, 80, (9, 0), ()) for at in range(cards)]
    )
    context = CheckContext(replace(factory, versions={}), public, gpus=gpus, cpus=64)
    alarms = {
        f"{name}: {problem}"
        for name in public_style.CONFIGS
        for problem in check_yaml_file(public / f"{name.replace('/', '__')}.yaml", context)
        if problem.severity is not Severity.INFO and not (cards == 0 and problem.code == "no_gpu")
    }
    assert alarms == set()


@pytest.mark.parametrize("what", public_style.OTHERS)
def test_what_is_no_config_is_said_in_one_line(public: Path, factory: Factory, what: str) -> None:
    path = public / f"{what.replace(' ', '_')}.yaml"
    found = check_yaml_file(path, CheckContext(factory, public))
    assert [problem.code for problem in found] == ["other_file"]
    assert what in found[0].message


@pytest.mark.real
def test_the_proof_still_holds(tmp_path: Path) -> None:
    """Run a few configs anew with the installed LLaMA-Factory (one import, some seconds)."""
    corpora = tmp_path / "tests" / "corpora"
    shutil.copytree(CORPORA, corpora)
    shutil.copytree(CORPORA.parent.parent / "data" / "demo" / "model", tmp_path / "data" / "demo" / "model")
    names = ["configs_bad/template_llama", "configs_bad/range_rank_negative", "configs_good/yaml_words"]
    subprocess.run(
        [sys.executable, str(corpora / "prove.py"), *names], check=True, timeout=300, capture_output=True, cwd=tmp_path
    )
    again = json.loads((corpora / "outcomes.json").read_text(encoding="utf-8"))
    for name in names:
        assert (again[f"{name}.yaml"]["exit"] == 0) == (OUTCOMES[f"{name}.yaml"]["exit"] == 0)
