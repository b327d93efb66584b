"""Token counts of written rows, by a small process that needs the library `tokenizers` alone."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, refuse

_SCRIPT = Path(__file__).parent.parent / "remote" / "lengths.py"


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """Lengths in tokens, before truncation. `histogram` holds (length, rows), rising.

    `truncated_share` is the share of rows longer than `cutoff_len`, `loss_share` that of the kept tokens that carry
    loss. `with_template` says whether the fixed texts of the template are counted.
    """

    rows: int
    histogram: tuple[tuple[int, int], ...]
    cutoff_len: int
    truncated_share: float
    loss_share: float
    kept_tokens: int
    with_template: bool

    def percentile(self, share: float) -> int:
        """The length that at least `share` (0 to 1) of the rows do not exceed."""
        left = share * self.rows
        for length, count in self.histogram:
            left -= count
            if left <= 1e-9:
                return length
        return self.histogram[-1][0] if self.histogram else 0

    @property
    def mean(self) -> float:
        """The mean length."""
        return sum(length * count for length, count in self.histogram) / self.rows if self.rows else 0.0

    def share_longer_than(self, length: int) -> float:
        """The share of rows that have more tokens than `length`."""
        return sum(count for found, count in self.histogram if found > length) / self.rows if self.rows else 0.0

    def as_json(self) -> dict[str, Any]:
        """Percentiles and shares."""
        return {
            "p50": self.percentile(0.5),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "max": self.percentile(1.0),
            "mean": round(self.mean, 1),
            "cutoff_len": self.cutoff_len,
            "truncated_share": self.truncated_share,
            "loss_share": self.loss_share,
            "kept_tokens": self.kept_tokens,
            "with_template": self.with_template,
        }


def python_with_tokenizers(model: Path, train_python: str | None) -> str | None:
    """The Python that can count: this one where it has `tokenizers` and the model has `tokenizer.json`."""
    here = importlib.util.find_spec("tokenizers") is not None and (model / "tokenizer.json").is_file()
    return sys.executable if here else train_python


class TokenCounter:
    """The process that counts: written rows go in as lines, the result comes at the end."""

    def __init__(self, python: str, model: Path, cutoff_len: int, frame: Mapping[str, Any] | None) -> None:
        self._cutoff_len = cutoff_len
        self._framed = frame is not None
        self._folder = tempfile.TemporaryDirectory(prefix="sft-tui-lengths-")
        request = Path(self._folder.name) / "request.json"
        request.write_text(
            json.dumps({"model": str(model), "cutoff_len": cutoff_len, "frame": dict(frame) if frame else None}),
            "utf-8",
        )
        self._errors = Path(self._folder.name) / "errors"
        self._result = Path(self._folder.name) / "result"
        with self._errors.open("wb") as errors, self._result.open("wb") as result:
            self._process = subprocess.Popen(
                [python, str(_SCRIPT), str(request)],
                stdin=subprocess.PIPE,
                stdout=result,
                stderr=errors,
                env={**os.environ, "TOKENIZERS_PARALLELISM": "true", "PYTHONUTF8": "1"},
            )

    def __enter__(self) -> TokenCounter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._folder.cleanup()

    def feed(self, lines: bytes) -> None:
        """Count `lines` too. Raises `Refusal` (exit 3) where the process cannot go on."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(lines)
        except OSError:
            raise self._failed() from None

    def result(self) -> TokenLengths:
        """Wait for the counts of all that was fed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            raise self._failed() from None
        if self._process.wait() != 0:
            raise self._failed()
        found = json.loads(self._result.read_text("utf-8"))
        rows = sum(count for _length, count in found["histogram"])
        return TokenLengths(
            rows=rows,
            histogram=tuple((int(length), int(count)) for length, count in found["histogram"]),
            cutoff_len=self._cutoff_len,
            truncated_share=found["truncated"] / rows if rows else 0.0,
            loss_share=found["trained_tokens"] / found["kept_tokens"] if found["kept_tokens"] else 0.0,
            kept_tokens=int(found["kept_tokens"]),
            with_template=self._framed,
        )

    def _failed(self) -> Refusal:
        self._process.wait()
        lines = self._errors.read_text("utf-8", "replace").strip().splitlines()
        reason = lines[-1].strip()[:300] if lines else _("the process ended")
        message = _("The tokens cannot be counted: {reason}").format(reason=reason)
        hint = _("Check that the model directory holds a tokenizer.")
        return refuse("no_token_counts", message, exit_code=ExitCode.PREFLIGHT, hint=hint)
