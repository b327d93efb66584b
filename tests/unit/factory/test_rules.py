"""The rules between options: each has a name and a proof, and those of an older LLaMA-Factory hold there alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from sft_tui.factory.check import CheckContext, check_yaml_file
from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.rules import RULES, check_relations
from sft_tui.factory.check.rules.rule import Rule
from sft_tui.factory.check.values import check_values
from sft_tui.factory.options import OLDEST_VERSION, TESTED_VERSION, Factory, factory_from, release, snapshot
from sft_tui.problems import Severity
from sft_tui.yaml_io import read_document
from tests.corpora import public_style
from tests.corpora.rule_proofs import LATER, PROOFS, options_of
from tests.corpora.workspace import build

CORPORA = Path(__file__).parents[2] / "corpora"
NEW = ("example_asft", "example_eaft", "extras/asft", "extras/eaft", "data_neat_packing", "lora/packing")
"""Right configs that need what the oldest version does not have."""


def oldest() -> Factory:
    path = Path(__file__).with_name("snapshots") / f"{OLDEST_VERSION}.json"
    return factory_from(orjson.loads(path.read_bytes()), "snapshot")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("rules") / "workspace")


def broken(options: dict[str, Any], context: CheckContext) -> set[str]:
    findings = Findings(dict(options), context, merge="export_dir" in options)
    check_values(findings)
    rules = (rule for rule in RULES if rule.holds_in(context.factory.version))
    return {
        rule.id
        for rule in rules
        if rule.key not in findings.bad and (rule.merge or not findings.merge) and rule.when(findings)
    }


def test_each_rule_has_a_name_and_something_that_breaks_it(workspace: Path) -> None:
    assert len({rule.id for rule in RULES}) == len(RULES) > 90
    options = [read_document(path).data for path in sorted((CORPORA / "configs_bad").glob("*.yaml"))]
    options += [options_of(changes) for proofs in PROOFS.values() for changes in proofs]
    found: set[str] = set()
    for factory in (snapshot(), oldest()):
        for processes in (1, 2):
            context = CheckContext(factory, workspace, processes=processes, distributed=processes > 1)
            found |= {name for one in options for name in broken(one, context)}
    assert {rule.id for rule in RULES} - found == set()


@pytest.mark.real
def test_the_installed_parser_refuses_what_breaks_a_rule() -> None:
    script = str(CORPORA / "rule_proofs.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == sum(map(len, PROOFS.values()))
    assert [answer for answer in answers if answer[2] == "accepted" and answer[0] not in LATER] == []


def test_a_rule_of_an_older_version_holds_there_alone(workspace: Path) -> None:
    def named(factory: Factory, **options: Any) -> list[str | None]:
        findings = Findings(options_of(options), CheckContext(factory, workspace))
        check_relations(findings)
        return [problem.key for problem in findings.problems]

    assert (named(oldest(), neat_packing=True), named(snapshot(), neat_packing=True)) == (["neat_packing"], [])
    ppo = {"stage": "ppo", "reward_model": "adapter", "report_to": "trackio"}
    assert (named(oldest(), **ppo), named(snapshot(), **ppo)) == (["report_to"], [])


@pytest.mark.parametrize(
    ("version", "since", "until"),
    [("0.9.4", False, True), ("0.9.5", True, False), ("0.9.6.dev0", True, False), ("", True, False)],
)
def test_versions_are_compared_by_their_numbers(version: str, since: bool, until: bool) -> None:
    rule = Rule("stage", lambda f: True, "no", "yes")
    assert replace(rule, since="0.9.5").holds_in(version) is since
    assert replace(rule, until="0.9.5").holds_in(version) is until
    assert rule.holds_in(version)


def test_the_oldest_version_raises_no_alarm_about_right_configs(workspace: Path, tmp_path: Path) -> None:
    assert release(OLDEST_VERSION) < release(TESTED_VERSION)
    public = public_style.write(tmp_path / "public")
    files = {path.stem: path for path in (CORPORA / "configs_good").glob("*.yaml")}
    for name in files:
        (workspace / f"{name}.yaml").write_bytes(files[name].read_bytes())
    here = {name: workspace / f"{name}.yaml" for name in files}
    here |= {name: public / f"{name.replace('/', '__')}.yaml" for name in public_style.CONFIGS}
    factory = replace(oldest(), versions={"transformers": "4.57.1"})
    alarms = {
        name: [str(problem) for problem in check_yaml_file(path, CheckContext(factory, path.parent))]
        for name, path in here.items()
        if name not in NEW
        and any(p.severity is Severity.ERROR for p in check_yaml_file(path, CheckContext(factory, path.parent)))
    }
    assert alarms == {}
