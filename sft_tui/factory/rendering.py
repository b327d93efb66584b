"""Samples as LLaMA-Factory will train on them, asked of a small script that runs in the training environment."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, refuse

_SCRIPT = Path(__file__).parent / "remote" / "render.py"
IGNORED = -100
"""The label of a token that the loss does not see."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One sample as tokens. `labels` are the ids where the loss sees them, otherwise `IGNORED`.

    `full_length` is the number of tokens without `cutoff_len`. Where LLaMA-Factory cannot take the sample, `error`
    says why and the lists are empty.
    """

    ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    special: tuple[bool, ...] = ()
    full_length: int = 0
    error: str | None = None

    @property
    def trained(self) -> int:
        """How many tokens carry loss."""
        return sum(label != IGNORED for label in self.labels)

    @property
    def truncated(self) -> bool:
        """Whether `cutoff_len` cuts something off."""
        return self.full_length > len(self.ids)

    def as_json(self) -> dict[str, Any]:
        """The object that `preview --json` prints under `tokens`."""
        if self.error is not None:
            return {"error": self.error}
        return {
            "ids": list(self.ids),
            "labels": list(self.labels),
            "tokens": list(self.tokens),
            "texts": list(self.texts),
            "special": list(self.special),
            "length": len(self.ids),
            "full_length": self.full_length,
            "trained": self.trained,
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Rendering:
    """All samples of a request, and the sequences that packing makes of them (None where it is off)."""

    rows: tuple[Rendered, ...]
    packed: tuple[dict[str, list[int]], ...] | None = None


class Renderer:
    """Keeps the script running between requests: the first takes about 10 s, later ones a fraction of a second."""

    def __init__(self, train_python: str) -> None:
        self.python = train_python
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def render(
        self,
        samples: Sequence[Mapping[str, Any]],
        entry: Mapping[str, Any],
        *,
        model: str,
        data_args: Mapping[str, Any],
        model_args: Mapping[str, Any] | None = None,
        timeout_s: float = 180,
    ) -> Rendering:
        """`samples` (written rows) under `entry` of dataset_info.json; `data_args` are LLaMA-Factory's options.

        Raises `Refusal` (exit 3) with LLaMA-Factory's own words where model or template cannot be used.
        """
        request = {"op": "render", "model": model, "data_args": dict(data_args), "model_args": dict(model_args or {})}
        answer = self.ask({**request, "entry": dict(entry), "samples": [dict(s) for s in samples]}, timeout_s)
        rows = tuple(_rendered(row) for row in answer["rows"])
        packed = tuple(answer["packed"]) if answer.get("packed") is not None else None
        return Rendering(rows, packed)

    def frame(self, *, model: str, data_args: Mapping[str, Any], timeout_s: float = 180) -> dict[str, Any]:
        """The fixed texts of a template, as `dataset.statistics` wants them."""
        return self.ask({"op": "frame", "model": model, "data_args": dict(data_args)}, timeout_s)

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send `request`, wait for its answer. Raises `Refusal` (exit 3)."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode("utf-8") + b"\n")
            process.stdin.flush()
        except OSError:
            raise self._failed(_("the script ended")) from None
        line = self._answer(process, timeout_s)
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            reason = str(answer.get("error"))
            message = _("LLaMA-Factory cannot show the samples: {reason}").format(reason=reason)
            hint = _("Check the model directory and the template's name.")
            raise refuse("render_failed", message, exit_code=ExitCode.PREFLIGHT, hint=hint)
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        environment = {**os.environ, "PYTHONUTF8": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "CUDA_VISIBLE_DEVICES": ""}
        try:
            self._process = subprocess.Popen(
                [self.python, str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
                env=environment,
            )
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from None
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_s
        found = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not found.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    self.close()
                    raise self._failed(_("no answer within {seconds} s").format(seconds=round(timeout_s)))
                if selector.select(left):
                    part = os.read(process.stdout.fileno(), 1 << 20)
                    if not part:
                        raise self._failed(self._last_error() or _("the script ended"))
                    found += part
        return bytes(found)

    def _last_error(self) -> str:
        """The last line that the script wrote to stderr."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def _failed(self, reason: str) -> Refusal:
        message = _("The preview script does not run with {python}: {reason}").format(python=self.python, reason=reason)
        hint = _("Check the training environment with: sft-tui doctor")
        return refuse("render_failed", message, exit_code=ExitCode.PREFLIGHT, hint=hint)

    def close(self) -> None:
        """End the script."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _rendered(row: Mapping[str, Any]) -> Rendered:
    if "error" in row:
        return Rendered(error=str(row["error"]))
    return Rendered(
        ids=tuple(row["ids"]),
        labels=tuple(row["labels"]),
        tokens=tuple(row["tokens"]),
        texts=tuple(row["texts"]),
        special=tuple(row["special"]),
        full_length=int(row["full_length"]),
    )
