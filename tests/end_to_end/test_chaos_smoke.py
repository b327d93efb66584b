"""A few trials of the fault campaign; the whole of it is `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import main


def test_ten_random_faults(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/none")  # what the campaign sets is taken back
    code = main(["--seed", "10", "--trials", "10"])
    told = capsys.readouterr().out
    assert code == 0, told
    assert "10 trials, 0 violations" in told
