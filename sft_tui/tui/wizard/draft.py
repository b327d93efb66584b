"""The wizard's state: the answers as far as they are known, a plain nested mapping that is saved at each step."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.project.files import write_atomically
from sft_tui.project.places import state_directory

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.problems import Problem


@dataclass(slots=True)
class Draft:
    """Answers that may still be incomplete or wrong.

    `data` has the shape of answers.yaml; `step` is the screen that was open when it was saved; `answers_path` is the
    file that the answers belong to, and relative paths in them start at its directory. `looked_at` is the place of the
    one among several sources whose samples are shown.
    """

    project: Path
    data: dict[str, Any] = field(default_factory=dict)
    step: str = "welcome"
    answers_path: Path = Path("answers.yaml")
    saved: float = 0.0
    opened_from: Path | None = None
    started: bool = False
    looked_at: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _asked: int = 0
    _written: int = 0

    @property
    def base(self) -> Path:
        """The directory at which relative paths in the answers start."""
        return self.answers_path.parent

    @property
    def touched(self) -> bool:
        """Whether the user has decided anything yet."""
        return any(self.data.get(key) for key in ("model", "data", "train", "run"))

    @property
    def sources(self) -> list[Any]:
        """The sources, where the answers name them in a list; empty where they name one or none yet."""
        lists = (self.get(key) for key in ("data.sources", "data.source"))
        return next((found for found in lists if isinstance(found, list)), [])

    def get(self, key: str, default: Any = None) -> Any:
        """The value at the dotted path `key`, or `default` where there is none."""
        node: Any = self.data
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return default
            node = node[part]
        return node

    def set(self, key: str, value: Any) -> None:
        """Set the value at the dotted path `key`; None, "" and empty mappings remove it, and what becomes empty."""
        *parents, last = key.split(".")
        if value is None or value == "" or value == {}:
            self._remove(parents, last)
            return
        node = self.data
        for part in parents:
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
            node = child
        node[last] = value

    def _remove(self, parents: list[str], last: str) -> None:
        chain = [self.data]
        for part in parents:
            child = chain[-1].get(part)
            if not isinstance(child, dict):
                return
            chain.append(child)
        chain[-1].pop(last, None)
        for parent, part in reversed(list(zip(chain, parents, strict=False))):
            if not parent[part]:
                del parent[part]

    def validate(self) -> tuple[list[Problem], Answers | None]:
        """Every problem of the answers as they stand, and the answers where there is none."""
        from sft_tui.answers import validate

        return validate(self.data)

    def complete_enough(self) -> tuple[list[Problem], Answers | None]:
        """Like `validate`, with a stand-in for a model and a source that are not chosen yet."""
        from sft_tui.answers import validate

        data = dict(self.data)
        for section, key in (("model", "path"), ("data", "source")):
            given = data.get(section, {})
            if isinstance(given, dict) and not (key == "source" and self.sources):
                data[section] = {key: "-", **given}
        return validate(data)

    def to_look_at(self) -> tuple[list[Problem], Answers | None]:
        """Like `complete_enough`, with the one of several sources first that the user looks at."""
        problems, answers = self.complete_enough()
        sources = list(answers.data.sources or ()) if answers is not None else []
        if answers is None or not 0 < self.looked_at < len(sources):
            return problems, answers
        sources.insert(0, sources.pop(self.looked_at))
        data = answers.data.model_copy(update={"sources": sources, "source": sources[0].text})
        return problems, answers.model_copy(update={"data": data})

    @property
    def file(self) -> Path:
        """Where this project's draft is kept."""
        digest = hashlib.sha256(str(self.project).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return state_directory() / "drafts" / f"{digest}.yaml"

    def save(self, step: str | None = None) -> None:
        """Keep the draft, unless a run was made of it; a full or read-only disk only means that it is not offered."""
        self.to_be_saved(step)()

    def to_be_saved(self, step: str | None = None) -> Callable[[], None]:
        """What `save` does with the answers as they are now, for a thread. A later one is never overwritten by it."""
        if step is not None:
            self.step = step
        self.saved, self._asked = time.time(), self._asked + 1
        return partial(self._write, self._asked, self.as_text() if self.touched else "")

    def _write(self, number: int, text: str) -> None:
        with self._writing:
            if self.started or number <= self._written or not text:
                return
            self._written = number
            with contextlib.suppress(OSError):
                self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_atomically(self.file, text, private=True)

    def as_text(self) -> str:
        """The draft's file: where the wizard stood, and the answers."""
        import yaml

        head = {
            "project": str(self.project),
            "step": self.step,
            "saved": self.saved,
            "answers_path": str(self.answers_path),
        }
        return yaml.safe_dump({**head, "answers": self.data}, allow_unicode=True, sort_keys=False)

    def discard(self) -> None:
        """Forget the kept draft."""
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    def finish(self) -> None:
        """A run was made of it: it is kept no more, and not saved again by whoever still holds it."""
        with self._writing:
            self.started = True
            self.discard()


def kept_draft(project: Path) -> tuple[Draft | None, Path | None]:
    """The draft that was left half-way in `project`, and where a broken one was set aside."""
    from sft_tui.yaml_io import read_document

    draft = Draft(project, answers_path=project / "answers.yaml")
    if not draft.file.is_file():
        return None, None
    document = read_document(draft.file)
    data = document.data.get("answers")
    if document.problems or not isinstance(data, dict):
        return None, _set_aside(draft.file)
    saved = document.data.get("saved")
    draft.data = data
    draft.step = str(document.data.get("step", "welcome"))
    draft.saved = float(saved) if isinstance(saved, int | float) else 0.0
    path = document.data.get("answers_path")
    draft.answers_path = Path(path) if isinstance(path, str) and path else draft.answers_path
    return draft, None


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.stem}.bad-{int(time.time())}.yaml")
    with contextlib.suppress(OSError):
        path.rename(aside)
    return aside


def draft_from_file(project: Path, path: Path) -> tuple[Draft, list[Problem]]:
    """The answers file at `path` as a draft, with everything that is wrong with it. Whatever can be read is kept."""
    from sft_tui.answers import read_answers
    from sft_tui.yaml_io import read_document

    path = path.absolute()
    document = read_document(path)
    data = {k: v for k, v in document.data.items() if k != "version"}
    draft = Draft(project, data=data, answers_path=path, opened_from=path)
    return draft, read_answers(path).problems
