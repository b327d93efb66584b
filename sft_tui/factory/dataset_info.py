"""LLaMA-Factory's register of datasets: entries are added beside those of others, never instead of them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, nearest, refuse
from sft_tui.project.files import write_atomically

FILE_NAME = "dataset_info.json"
_ALPACA_COLUMNS = {"instruction": "prompt", "input": "query", "output": "response"}
"""Our roles whose names differ from LLaMA-Factory's."""


class Converted(Protocol):
    """What an entry is made from: the result of a conversion."""

    @property
    def format(self) -> str:
        """`alpaca` or `sharegpt`."""

    @property
    def columns(self) -> dict[str, str]:
        """Role to key of the written rows."""

    @property
    def tags(self) -> dict[str, str]:
        """ShareGPT's tags; empty for Alpaca."""

    @property
    def train(self) -> Path:
        """The file of the training rows."""

    @property
    def test(self) -> Path | None:
        """The file of the test rows, if there is one."""


def read_dataset_info(directory: Path) -> dict[str, Any]:
    """The entries in `directory`; none where there is no register. Refuses one that cannot be read or is no object."""
    path = directory / FILE_NAME
    hint = _("Correct it or move it away; it was not changed.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        entries = json.loads(text) if text.strip() else {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), hint) from None
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error), hint) from None
    if not isinstance(entries, dict):
        raise _unreadable(path, _("it is no JSON object"), hint)
    return entries


def _unreadable(path: Path, reason: str, hint: str) -> Refusal:
    message = _("Cannot read {path}: {reason}").format(path=path, reason=reason)
    return refuse("bad_dataset_info", message, exit_code=ExitCode.PREFLIGHT, path=str(path), hint=hint)


def entries_for(name: str, result: Converted) -> dict[str, dict[str, Any]]:
    """The entries of what was written: `<name>_train` and, where there are test rows, `<name>_test`."""
    entries = {result.train.stem: _entry(result, result.train)}
    if result.test is not None:
        entries[f"{name}_test"] = _entry(result, result.test)
    return entries


def _entry(result: Converted, path: Path) -> dict[str, Any]:
    return entry_for(result.format, result.columns, result.tags, path.name)


def entry_for(formatting: str, columns: Mapping[str, str], tags: Mapping[str, str], file_name: str) -> dict[str, Any]:
    """The entry of one file. `columns` maps our roles to the keys of its rows, `tags` are ShareGPT's."""
    names = {_ALPACA_COLUMNS.get(role, role): key for role, key in columns.items()}
    entry: dict[str, Any] = {"file_name": file_name, "formatting": formatting, "columns": names}
    return {**entry, "tags": dict(tags)} if formatting == "sharegpt" and tags else entry


def listed_names(value: Any) -> list[str]:
    """The names in the value of `dataset` or an option like it: a list, or a text with commas between."""
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return [str(word).strip() for word in words if str(word).strip()]


@dataclass(frozen=True, slots=True)
class Registered:
    """What an entry of a register says, in our words: its source, and the column of each role ("" for none).

    With `draws` so many rows are drawn from it at random.
    """

    source: str
    format: str
    columns: dict[str, str] = field(default_factory=dict)
    draws: int | None = None


_ALPACA_DEFAULT = {"instruction": "instruction", "input": "input", "output": "output"}
_ROLES = ("instruction", "input", "output", "system", "history", "messages", "tools", "images", "videos", "audios")


def find_registered(directory: Path, name: str) -> Registered:
    """The data set `name` of the register in `directory`. Refuses one that is not there or cannot be converted."""
    if not (directory / FILE_NAME).is_file():
        message = _("{path} has no dataset_info.json.").format(path=directory)
        hint = _("Set `dataset_dir` to the directory that has it.")
        raise refuse("no_dataset_info", message, key="data.sources", hint=hint)
    entries = read_dataset_info(directory)
    entry = entries.get(name)
    if not isinstance(entry, dict):
        close = nearest(name, entries, 1)
        message = _("Dataset `{name}` is not registered in dataset_info.json.").format(name=name)
        known = _("Registered are: {names}.").format(names=", ".join(list(entries)[:8]) or _("none"))
        hint = _("Did you mean `{name}`?").format(name=close[0]) if close else known
        raise refuse("unknown_dataset", message, key="data.sources", hint=hint, path=str(directory / FILE_NAME))
    _refuse_unlike(name, entry, directory)
    named = entry.get("columns")
    formatting = str(entry.get("formatting", "alpaca"))
    roles = {_ALPACA_COLUMNS.get(role, role): role for role in _ROLES}
    columns = {}
    if isinstance(named, dict):  # what it does not name has no role
        columns = {role: str(named.get(key) or "") for key, role in roles.items()}
    elif formatting == "alpaca":
        columns = dict.fromkeys(_ROLES, "") | _ALPACA_DEFAULT
    draws = entry.get("num_samples")
    shape = "columns" if formatting == "alpaca" else formatting
    return Registered(_source_of(entry, directory), shape, columns, draws if isinstance(draws, int) else None)


def _source_of(entry: Mapping[str, Any], directory: Path) -> str:
    hub = next((entry[key] for key in ("hf_hub_url", "ms_hub_url") if key in entry), None)
    if hub is None:
        return str(directory / str(entry["file_name"]))
    subset = f":{entry['subset']}" if entry.get("subset") else ""
    return f"hub:{hub}{subset}@{entry.get('split') or 'train'}"


def _refuse_unlike(name: str, entry: Mapping[str, Any], directory: Path) -> None:
    """Refuse an entry that holds no questions with answers, or that is read in a way that is not known here."""
    marks = entry.get("columns") if isinstance(entry.get("columns"), dict) else {}
    reason = None
    if entry.get("ranking") or "kto_tag" in (marks or {}):
        reason = _("it holds preferences, not questions with answers")
    elif "hf_hub_url" not in entry and "ms_hub_url" not in entry and not isinstance(entry.get("file_name"), str):
        reason = _("its entry names no file and no data set of a hub")
    elif entry.get("folder"):
        reason = _("its entry names a folder of a hub")
    if reason is not None:
        message = _("`{name}` cannot be used as a source: {reason}.").format(name=name, reason=reason)
        hint = _("Name it in `train.dataset` instead: LLaMA-Factory reads it itself then.")
        raise refuse("registered_unlike", message, key="data.sources", hint=hint, path=str(directory / FILE_NAME))


def register(directory: Path, entries: Mapping[str, Any]) -> None:
    """Add `entries` to the register in `directory`, under a lock and in one step. Other entries stay as they are."""
    with _locked(directory):
        found = read_dataset_info(directory)
        if all(found.get(name) == entry for name, entry in entries.items()):
            return
        found.update(entries)
        write_atomically(directory / FILE_NAME, json.dumps(found, ensure_ascii=False, indent=2) + "\n")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock on the register: on the directory itself, so that no lock file stays behind."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
