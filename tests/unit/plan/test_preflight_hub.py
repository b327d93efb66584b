"""A model of a hub before a launch: here, half here, on a hub that answers or does not."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.hub_network import HubAnswer
from sft_tui.machine.hub_cache import CachedModel
from sft_tui.plan.context import ModelFacts
from sft_tui.plan.preflight_hub import check_hub_model
from sft_tui.problems import Problem, Problems, Severity, exit_code_for
from tests.corpora.workspace import DEMO_MODEL
from tests.unit.machine.test_hub_cache import make_cache
from tests.unit.plan import make_answers, make_situation
from tests.unit.plan.test_preflight import QWEN_7B


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    return tmp_path / "hub"


asked: list[str | None] = []
"""The tokens that hubs were asked with."""


def check(
    tmp_path: Path,
    model: str = "acme/tiny",
    *,
    status: int | None = 200,
    source: str = "huggingface",
    force: bool = False,
) -> list[Problem]:
    """What is said of `model` where the hub answers with `status`."""
    answers = make_answers(model={"path": model, "source": source})
    facts = ModelFacts(model, False, None, QWEN_7B if model.startswith("Qwen") else None, "qwen", "known", True)
    situation = replace(make_situation(project=tmp_path, base=tmp_path), model=facts)
    problems = Problems()

    def ask(url: str, token: str | None) -> HubAnswer:
        asked.append(token)
        return HubAnswer(url, status, "no route to host")

    check_hub_model(answers, situation, problems, force=force, ask=ask)
    return list(problems)


def demo_files() -> dict[str, bytes | None]:
    return {file.name: file.read_bytes() for file in DEMO_MODEL.iterdir() if file.is_file()}


def test_a_whole_model_asks_nobody(tmp_path: Path, cache: Path) -> None:
    make_cache(cache, demo_files())
    assert check(tmp_path, status=None) == []


def test_a_model_to_download_is_known_by_size_or_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [(p.code, p.severity) for p in check(tmp_path)] == [("download_unknown", Severity.WARNING)]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(1, 1, 5 << 30))
    (problem,) = check(tmp_path, "Qwen/Qwen2.5-7B-Instruct")
    assert (problem.code, problem.key, problem.severity) == ("disk_space", "model.path", Severity.ERROR)
    assert "14." in problem.message and exit_code_for([problem]) == 3
    assert [p.severity for p in check(tmp_path, "Qwen/Qwen2.5-7B-Instruct", force=True)] == [Severity.WARNING]


def test_a_hub_out_of_reach_names_the_other_ways(tmp_path: Path) -> None:
    problem = next(p for p in check(tmp_path, "Qwen/Qwen2.5-7B-Instruct", status=None) if p.code == "hub_unreachable")
    assert "huggingface.co" in problem.message and "no route to host" in problem.message
    assert "HF_ENDPOINT" in (problem.hint or "") and "modelscope" in (problem.hint or "")
    assert problem.fix is not None and (problem.fix.key, problem.fix.value) == ("model.source", "modelscope")
    assert exit_code_for([problem]) == 3
    other = next(p for p in check(tmp_path, source="modelscope", status=None) if p.code == "hub_unreachable")
    assert "modelscope" in other.message and "huggingface" in (other.hint or "")


@pytest.mark.parametrize(("status", "code"), [(404, "hub_refuses"), (401, "hub_refuses"), (403, "hub_refuses")])
def test_a_hub_that_refuses(tmp_path: Path, status: int, code: str) -> None:
    assert code in [p.code for p in check(tmp_path, status=status) if p.severity is Severity.ERROR]


def test_who_has_logged_in_is_known_to_the_hub(tmp_path: Path) -> None:
    """`hf auth login` keeps the token in a file; without it a gated model would be refused that could be loaded."""
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text("hf_of_the_login\n")
    check(tmp_path)
    check(tmp_path, source="modelscope")
    assert asked[-2:] == ["hf_of_the_login", None]


def test_a_cache_of_somebody_elses_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object) -> CachedModel:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sft_tui.plan.preflight_hub.find_model", refuse)
    (problem,) = check(tmp_path)
    assert (problem.code, problem.severity) == ("cache_unreadable", Severity.WARNING)
    assert str(tmp_path / "hub") in problem.message and "Permission denied" in problem.message


def test_a_hub_in_trouble_is_a_warning(tmp_path: Path) -> None:
    assert {p.severity for p in check(tmp_path, status=503)} == {Severity.WARNING}


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_needs_a_whole_model(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    files = demo_files()
    make_cache(cache, {**files, "model.safetensors": None})
    (problem,) = check(tmp_path)
    assert (problem.code, problem.severity) == ("model_offline", Severity.ERROR)
    assert variable in problem.message and "model.safetensors" in problem.message
    shutil.rmtree(cache)
    make_cache(cache, files)
    assert check(tmp_path) == []


def test_an_unfinished_download_goes_on(tmp_path: Path, cache: Path) -> None:
    files = demo_files()
    del files["model.safetensors"]
    make_cache(cache, files, unfinished=1000)
    assert {p.code for p in check(tmp_path)} == {"download_unknown"}
    assert "hub_unreachable" in {p.code for p in check(tmp_path, status=None)}


def test_what_no_download_repairs_is_an_error(tmp_path: Path, cache: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1188104\n"
    make_cache(cache, {**demo_files(), "model.safetensors": pointer})
    (problem,) = check(tmp_path)
    assert (problem.code, problem.key, problem.severity) == ("lfs_pointer", "model.path", Severity.ERROR)
    assert "Delete" in (problem.hint or "")
