"""The install command names what is running, never a name that an index may not have."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from sft_tui.machine.installing import install_command

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"url": "file:///src/my%20tui", "dir_info": {}}, "pip install '/src/my tui[train]'"),
        ({"url": "file:///src/tui", "dir_info": {"editable": True}}, "pip install -e '/src/tui[train]'"),
        (
            {"url": "https://example.org/tui.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'sft-tui[train] @ git+https://example.org/tui.git@abc'",
        ),
        ({"url": "https://example.org/tui.whl"}, "pip install 'sft-tui[train] @ https://example.org/tui.whl'"),
        (None, f"pip install -e '{ROOT}[train]'"),
    ],
)
def test_the_command_is_that_of_the_origin(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, object] | None, expected: str
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return json.dumps(origin) if origin is not None else None

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    assert install_command() == expected
