"""Data sets of a hub, read through the training environment's `datasets` by a small script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from sft_tui.dataset.readers.batch import Task, Wanted
from sft_tui.dataset.readers.json_parse import parse_lines, parse_record
from sft_tui.dataset.readers.source_file import HUB, SourceFile, unreadable
from sft_tui.hub_network import ask_hub, hf_home, hub_token, hub_url, offline_variable
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problem, Severity, refuse

_SCRIPT = Path(__file__).parent.parent / "remote" / "hub_rows.py"
_NAME = re.compile(r"[^/\s]+(/[^/\s]+)?")
_READ_BYTES = 1 << 20
_HEAD_BYTES = 1 << 20


class HubReader:
    """The rows of `NAME[:SUBSET][@SPLIT]`; the split is `train` unless it is named."""

    def __init__(self, name: str, train_python: str | None) -> None:
        if train_python is None:
            message = _("hub:{name} is read through LLaMA-Factory's environment, and none was found.").format(name=name)
            hint = _("Install it (see: sft-tui doctor), or download the data set and give its files.")
            raise refuse("no_environment", message, exit_code=ExitCode.PREFLIGHT, key="data.source", hint=hint)
        self._python = train_python
        rest, _at, split = name.partition("@")
        self._name, _colon, self._subset = rest.partition(":")
        self._split = split or "train"
        self.file = SourceFile(Path(f"{HUB}{name}"), "hub", None, 0)
        self.notes: list[Problem] = []
        self.position = 0
        self._columns: list[str] | None = None
        self._head: list[bytes] = []
        self._live: Iterator[bytes] | None = None
        self._beyond = False
        self._environment = {**os.environ, "PYTHONUTF8": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        self._refuse_name()
        self._refuse_unreachable()

    def _refuse_name(self) -> None:
        """Refuse what names no data set, and one that is here in a form that the library takes for another."""
        folder = Path(self._name)
        if not _NAME.fullmatch(self._name) and not (self._name and folder.is_dir()):
            message = _("{source} names no data set.").format(source=self.file.path)
            hint = _("Write hub:OWNER/NAME, with :SUBSET and @SPLIT behind it where you need them.")
            raise refuse("bad_hub_name", message, key="data.source", hint=hint)
        if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
            message = _("{path} is a data set on this machine, as save_to_disk writes it.").format(path=folder)
            hint = _("Give the directory without hub: to read it.")
            raise refuse("bad_hub_name", message, key="data.source", hint=hint)

    def _refuse_unreachable(self) -> None:
        """Refuse a data set that is not here where its hub does not answer: the library would try for half a minute.

        What the library's cache holds is read without the network then.
        """
        hub = "modelscope" if os.environ.get("USE_MODELSCOPE_HUB", "").lower() in ("1", "true", "y") else "huggingface"
        if Path(self._name).exists() or (reason := _silence(self._name, hub)) is None:
            return
        self._environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        cache = Path(os.environ.get("HF_DATASETS_CACHE") or hf_home() / "datasets").expanduser()
        if hub == "huggingface" and (cache / self._name.replace("/", "___")).is_dir():
            return
        text = _("{reason}, and the data set is not in {cache}").format(reason=reason, cache=cache)
        hint = _(
            "Connect to the network (HF_ENDPOINT names a mirror), or get the data set elsewhere and give its files."
        )
        raise unreadable(self.file.path, text, hint, code="hub_unreachable")

    def columns(self) -> list[str]:
        """The keys of the first rows."""
        if self._columns is None:
            names: dict[str, None] = {}
            for block in self._blocks():
                for line in block.splitlines():
                    names.update(dict.fromkeys(parse_record(line) or ()))
                break
            self._columns = list(names)
        return self._columns

    def tasks(self, wanted: Wanted) -> Iterator[Task]:
        """The rows, a block a task."""
        self.position = 0
        for block in self._blocks():
            self.position += len(block)
            yield partial(parse_lines, block, wanted)

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines as they come. The first blocks are kept, so that a look at the head costs no second start."""
        if self._beyond:
            self._head, self._live, self._beyond = [], None, False
        yield from self._head
        if self._live is None:
            self._live = self._lines()
        for block in self._live:
            if sum(map(len, self._head)) < _HEAD_BYTES:
                self._head.append(block)
            else:
                self._beyond = True
            yield block

    def _lines(self) -> Iterator[bytes]:
        """Blocks of whole lines from the script, which runs until all is read or this is closed."""
        command = [self._python, str(_SCRIPT), self._name, self._subset, self._split]
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=self._environment,
                )
            except OSError as error:
                raise unreadable(self.file.path, error.strerror or error) from None
            assert process.stdout is not None
            try:
                rest = b""
                first = True
                while part := os.read(process.stdout.fileno(), _READ_BYTES):
                    if first:
                        first = False
                        self._note_left_out(errors)
                    cut = part.rfind(b"\n") + 1
                    if cut:
                        yield rest + part[:cut]
                    rest = part[cut:] if cut else rest + part
                if rest.strip():
                    yield rest
                if process.wait() != 0:
                    hint = _("Check the name, the network and, for closed data sets, the token (HF_TOKEN).")
                    raise unreadable(self.file.path, _last_line(errors), hint)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()

    def _note_left_out(self, errors: IO[bytes]) -> None:
        """Say which columns the script leaves out; it has told so before its first row."""
        found = re.search(rb"^left out: (\[.*\])$", os.pread(errors.fileno(), _HEAD_BYTES, 0), re.MULTILINE)
        if found is None:
            return
        names = ", ".join(json.loads(found[1]))
        message = _("These columns of hub:{name} hold pictures, sounds or films and are left out: {columns}")
        hint = _("To train on them, download the data set and give a file in which a column names their files.")
        note = Problem("media_left_out", message.format(name=self._name, columns=names), Severity.WARNING, hint=hint)
        if note not in self.notes:
            self.notes.append(note)


def _silence(name: str, hub: str) -> str | None:
    """Why the data set `name` cannot be asked for, in words; None where the hub answers. Takes 3 s at most."""
    if (variable := offline_variable(hub)) is not None:
        return _("{variable} forbids to use the network").format(variable=variable)
    answer = ask_hub(hub_url(name, hub, dataset=True), hub_token() if hub == "huggingface" else None)
    if answer.status is not None:
        return None
    return _("{url} does not answer ({reason})").format(url=answer.url, reason=answer.reason)


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else _("the script ended without a word")
