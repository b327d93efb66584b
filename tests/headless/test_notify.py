"""A program of the user's is told of alarms and of the end, and never holds the run up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.headless import Project, make_project

TELL = '#!/bin/sh\ncat >> told.jsonl\necho "$@" >> words\n'


def _program(project: Project, text: str) -> None:
    path = project.path / "tell.sh"
    path.write_text(text)
    path.chmod(0o755)


def _told(project: Project, kind: str) -> list[dict[str, Any]]:
    """What was told, once there is an event of type `kind`: the program is not waited for."""
    deadline = time.monotonic() + 120
    while True:
        path = project.path / "told.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if any(event["type"] == kind for event in found):
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_alarms_and_the_end_are_told(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"steps": 30, "step_s": 0.01, "nan_from": 10})
    _program(project, TELL)
    project.answer(run={"notify": ["./tell.sh", "two words", "$HOME"]}, train={"logging_steps": 1})
    result = project.run()
    assert result.code == 0, result.err
    told = _told(project, "run_finished")
    assert all(event["run"] == "apples" and event["project"] == str(project.path) for event in told)
    assert {event["type"] for event in told} == {"warning", "run_finished"}
    assert any(event["type"] == "warning" and event["message"] for event in told)
    end = next(event for event in told if event["type"] == "run_finished")
    assert end["status"] == "finished" and end["exit_code"] == 0
    assert (project.path / "words").read_text().splitlines()[0] == "two words $HOME"  # no shell comes near it
    kept = (project.path / "runs/apples/answers.yaml").read_text()
    assert "./tell.sh" in kept


def test_the_failure_of_a_run_is_told(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"fail": {"stage": "train", "exit_code": 1}})
    _program(project, TELL)
    project.answer(run={"notify": ["./tell.sh"]})
    assert project.run().code == 4
    end = next(event for event in _told(project, "run_finished") if event["type"] == "run_finished")
    assert end["status"] == "failed" and end["exit_code"] == 4


def test_a_program_that_hangs_or_fails_or_is_not_there_holds_nothing_up(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    _program(project, "#!/bin/sh\nuntil test -e go; do sleep 0.2; done\n")
    project.answer(run={"notify": ["./tell.sh"]})
    try:
        assert project.run(timeout=300).code == 0  # or it would never come back
    finally:
        (project.path / "go").touch()
    project.answer(run={"name": "second", "notify": ["./not-there.sh"]})
    missing = project.run()
    assert missing.code == 0 and "not-there.sh" in missing.err and "nobody will be told" in missing.err
    _program(project, "#!/bin/sh\nexit 1\n")
    project.answer(run={"name": "third", "notify": ["./tell.sh"]})
    assert project.run().code == 0


def test_a_command_is_a_list(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    for wrong in ("./tell.sh", [], [""]):
        project.answer(run={"notify": wrong})
        refused = project.sft("check", "answers.yaml", "--json")
        assert refused.code == 2
        assert [p["key"] for p in json.loads(refused.out)["problems"]] == ["run.notify"]
