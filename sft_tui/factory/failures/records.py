"""What a diagnosis is made of: the fix steps, the diagnosis itself, and facts that a log does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FixKind = Literal["set", "unset", "env", "install", "advice"]


@dataclass(frozen=True, slots=True)
class FixStep:
    """One change that solves a failure.

    `set` and `unset` change the LLaMA-Factory option `key`, `env` sets the environment variable `key` to `value`
    (None: unset it), `install` gives pip the requirement `value`, `advice` is for a person to do. `text` says it in
    the user's language.
    """

    kind: FixKind
    key: str | None
    value: Any
    text: str

    def as_json(self) -> dict[str, Any]:
        """The object that `diagnose --json` prints."""
        return {"kind": self.kind, "key": self.key, "value": self.value, "text": self.text}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A known failure that was found.

    `line` is the line of the log that shows it, `source` the thread or file that the fix comes from, `confidence` is
    between 0 and 1. Texts are in the user's language.
    """

    id: str
    title: str
    cause: str
    line: str
    fixes: tuple[FixStep, ...]
    source: str
    confidence: float

    def as_json(self) -> dict[str, Any]:
        """The object that `diagnose --json` prints."""
        return {
            "id": self.id,
            "title": self.title,
            "cause": self.cause,
            "line": self.line,
            "fixes": [fix.as_json() for fix in self.fixes],
            "source": self.source,
            "confidence": round(self.confidence, 2),
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known besides the log; None is unknown.

    `signal` is the number of the signal that ended the process, `host_oom` whether the kernel's OOM killer struck
    lately, `silent_s` how long the log has been silent while the process lived, `gpu_utilisation` is in percent.
    """

    exit_code: int | None = None
    signal: int | None = None
    stage: str | None = None
    host_oom: bool | None = None
    disk_free_bytes: int | None = None
    host_memory_free_bytes: int | None = None
    gpu_memory_free_bytes: int | None = None
    gpu_memory_total_bytes: int | None = None
    gpu_utilisation: float | None = None
    silent_s: float | None = None

    @property
    def death_signal(self) -> int | None:
        """The signal that ended the process, also where it shows as an exit code (-9 or 137)."""
        if self.signal is not None:
            return self.signal
        code = self.exit_code
        if code is None:
            return None
        if -65 < code < 0:
            return -code
        return code - 128 if 128 < code < 193 else None
