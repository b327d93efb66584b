"""LLaMA-Factory's register of datasets: entries are added beside those of others, never instead of them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, refuse
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
    """The entries `<name>_train` and, where there are test rows, `<name>_test`."""
    entries = {f"{name}_train": _entry(result, result.train)}
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
