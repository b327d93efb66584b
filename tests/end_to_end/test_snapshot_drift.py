"""The shipped snapshot against the installed LLaMA-Factory: `make snapshot` renews it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sft_tui.factory.options import snapshot
from sft_tui.factory.probe import ProbeResult, cached_probe, load_factory, probe_environment
from sft_tui.factory.snapshot import drift
from sft_tui.problems import Refusal

pytestmark = pytest.mark.xdist_group("probe")  # one probe for all


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProbeResult, Path]:
    cache = tmp_path_factory.mktemp("cache")
    try:
        return probe_environment(sys.executable, cache_dir=cache), cache
    except Refusal as refusal:
        pytest.skip(str(refusal))


@pytest.mark.real
def test_the_snapshot_is_what_is_installed(probe: tuple[ProbeResult, Path]) -> None:
    result, _cache = probe
    assert result.factory.version == snapshot().version
    assert drift(snapshot(), result.factory) == []


@pytest.mark.real
def test_the_probe_is_remembered_until_the_environment_changes(probe: tuple[ProbeResult, Path]) -> None:
    result, cache = probe
    again = cached_probe(sys.executable, cache)
    assert again is not None
    assert again.cached
    assert again.factory == result.factory
    assert load_factory(sys.executable, cache_dir=cache).source == "probe"
    file = next(cache.glob("probe-*.json"))
    file.write_bytes(file.read_bytes().replace(b'"watched":{"', b'"watched":{"/gone":1,"'))
    assert cached_probe(sys.executable, cache) is None


def test_drift_names_what_changed() -> None:
    old = snapshot()
    options = dict(old.options)
    options["lora_rank"] = replace(options["lora_rank"], default=16)
    del options["lora_alpha"]
    templates = {**old.templates, "new": old.templates["qwen"]}
    lines = drift(old, replace(old, options=options, templates=templates))
    assert lines == ["options: lora_alpha is gone", "options: lora_rank changed", "templates: new is new"]
