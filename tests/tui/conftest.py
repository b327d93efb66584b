"""What a test of a screen leaves behind must not reach the next one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sft_tui.i18n import set_language


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    """The app's language is the process's: go back to English after each test."""
    yield
    set_language("en")


@pytest.fixture(autouse=True)
def no_hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is cached here, and no hub answers."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path_factory.getbasetemp() / "no-hub"))
