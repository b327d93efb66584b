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
