"""What a check knows beside the options, and the findings that its rules add to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sft_tui.factory.options import Factory
from sft_tui.problems import Fix, Problem, Severity

ANSWER_KEYS = {
    "model_name_or_path": "model.path",
    "adapter_name_or_path": "model.adapter",
    "template": "model.template",
    "export_size": "export.size_gb",
    "export_device": "export.device",
}
"""Options that an answers file does not keep under `train.`, and where it keeps them."""


class CheckedGpu(Protocol):
    """What the checks read of a GPU."""

    @property
    def index(self) -> int:
        """NVML's index."""

    @property
    def total_bytes(self) -> int:
        """Memory of the card."""

    @property
    def compute_capability(self) -> tuple[int, int] | None:
        """Generation of the card, None where unknown."""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What is known beside the options. None always means "not known", and what is not known is not judged.

    `base_dir` is where relative paths in the YAML start (LLaMA-Factory's working directory). `gpus` are those that the
    training will see; with `launching` the training starts on this machine now, so that what the machine lacks is an
    error and not only a warning. `cpu_bf16` says whether the processors compute in bf16. `coming` are the datasets that
    will be written and registered before it starts, with their rows; `processes` is the number of training processes;
    `distributed` says whether a launcher such as torchrun starts them.
    """

    factory: Factory
    base_dir: Path
    gpus: Sequence[CheckedGpu] | None = None
    cpus: int | None = None
    cpu_bf16: bool | None = None
    coming: Mapping[str, int | None] = field(default_factory=dict)
    launching: bool = False
    distributed: bool | None = None
    processes: int = 1
    look_at_files: bool = True

    def resolve(self, path: str) -> Path:
        """`path` as the trainer, started in `base_dir`, would find it; `~` is not the home directory for it."""
        return self.base_dir / path


@dataclass(slots=True)
class Findings:
    """The options under check and the problems found so far.

    Rules read options by `get` (the value given, or the default) and `given`, and report by `error`, `warning` and
    `info` with LLaMA-Factory's own key; the key in the document and its line are put in here.
    """

    options: dict[str, Any]
    context: CheckContext
    lines: dict[str, int] = field(default_factory=dict)
    prefix: str = ""
    path: str | None = None
    merge: bool = False
    problems: list[Problem] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)

    def get(self, name: str) -> Any:
        """The option's value, its default where it is absent, malformed or null."""
        value = self.options.get(name)
        if value is None or name in self.bad:
            known = self.context.factory.options.get(name)
            return known.default if known else None
        return value

    def given(self, name: str) -> bool:
        """Whether the document sets the option to something other than null, in the right shape."""
        return self.options.get(name) is not None and name not in self.bad

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return bool(self.get(name))

    def number(self, name: str) -> float:
        """A numeric option; its default, or 0, where it is no number."""
        value = self.get(name)
        return value if isinstance(value, int | float) else 0

    def words(self, name: str) -> list[str]:
        """A comma-separated option (or a list) as its parts; empty where it is absent."""
        value = self.get(name)
        if isinstance(value, str):
            return [item.strip() for item in value.split(",")]
        return [str(item) for item in value] if isinstance(value, list) else []

    def error(self, code: str, key: str, message: str, hint: str | None = None, **more: Any) -> None:
        """Report what keeps the training from starting or from doing what it should."""
        self._add(Severity.ERROR, code, key, message, hint, **more)

    def warning(self, code: str, key: str, message: str, hint: str | None = None, **more: Any) -> None:
        """Report what is probably a mistake."""
        self._add(Severity.WARNING, code, key, message, hint, **more)

    def info(self, code: str, key: str, message: str, hint: str | None = None, **more: Any) -> None:
        """Report what is worth knowing."""
        self._add(Severity.INFO, code, key, message, hint, **more)

    def machine(self, code: str, key: str, message: str, hint: str | None = None, **more: Any) -> None:
        """Report what this machine lacks: an error where the training starts on it. Where it may not (a login node),
        a warning, and no fix: the file may be right for the machine that it was written for.
        """
        level = Severity.ERROR if self.context.launching else Severity.WARNING
        if not self.context.launching:
            more.pop("fix", None)
        self._add(level, code, key, message, hint, **more)

    def key_of(self, name: str) -> str:
        """Where the document keeps an option."""
        return ANSWER_KEYS.get(name, self.prefix + name) if self.prefix else name

    def _add(
        self,
        severity: Severity,
        code: str,
        key: str,
        message: str,
        hint: str | None,
        fix: tuple[Any, ...] | None = None,
        path: str | None = None,
        line: int | None = None,
    ) -> None:
        """Add a problem; `fix` is `("set", value)`, `("unset",)` or `("set", value, other_key)`."""
        place = self.key_of(key)
        change = None
        if fix is not None:
            target = self.key_of(str(fix[2])) if len(fix) > 2 else place
            change = Fix(str(fix[0]), target, fix[1] if len(fix) > 1 else None)
        at = line if line is not None else (self.lines.get(place) or self.lines.get(key)) if path is None else None
        self.problems.append(Problem(code, message, severity, path or self.path, place, hint, at, change))


Test = Callable[[Findings], bool]
"""Whether something holds for the options under check."""
