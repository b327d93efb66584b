"""What /proc tells of the processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_tui.machine.system import computes_in_bf16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2\n", False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("processor\t: 0\n", None),
        (None, None),
    ],
)
def test_bf16_shows_in_the_flags(tmp_path: Path, text: str | None, expected: bool | None) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    assert computes_in_bf16(path) is expected
