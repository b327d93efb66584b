"""Asking the LLaMA-Factory of an environment what it can do, and remembering the answer.

The answer is cached by the path of the environment's Python and is valid as long as the directories and files that
an installation changes (`watch` in the probe) have the modification times that they had.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.options import Factory, factory_from, snapshot
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, refuse
from sft_tui.project.files import write_atomically
from sft_tui.project.places import cache_directory

_SCRIPT = Path(__file__).parent / "remote" / "probe.py"
FORMAT = 2


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What an environment answered. `data` is the probe's whole JSON object, `cached` whether it was remembered."""

    python: str
    factory: Factory
    data: dict[str, Any]
    cached: bool


def cached_probe(python: str, cache_dir: Path | None = None) -> ProbeResult | None:
    """The remembered probe of the environment of `python`, or None if there is none that is still valid."""
    path = _cache_file(python, cache_dir)
    try:
        saved = orjson.loads(path.read_bytes())
        data, watched = saved["data"], saved["watched"]
        if data.get("format") != FORMAT or watched != _watch(data["watch"]):
            return None
        return ProbeResult(python, factory_from(data, "probe"), data, cached=True)
    except (OSError, KeyError, TypeError, AttributeError, orjson.JSONDecodeError):
        return None


def probe_environment(python: str, timeout_s: float = 120, cache_dir: Path | None = None) -> ProbeResult:
    """Ask the LLaMA-Factory in the environment of `python` (about 8 s) and remember the answer.

    Raises `Refusal` (exit 3) with the last line of the real error where the import fails, takes longer than
    `timeout_s`, or `python` cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="sft-tui-probe-") as folder:
        out = Path(folder) / "probe.json"
        _run_script([python, str(_SCRIPT), str(out)], timeout_s)
        try:
            data = orjson.loads(out.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            text = _("LLaMA-Factory could not be asked for its options: {reason}.").format(reason=error)
            raise refuse("probe_failed", text, exit_code=ExitCode.PREFLIGHT) from error
    result = ProbeResult(python, factory_from(data, "probe"), data, cached=False)
    _remember(python, data, cache_dir)
    return result


def _run_script(command: list[str], timeout_s: float) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        text = _("Importing LLaMA-Factory with {python} took longer than {seconds} s.")
        message = text.format(python=command[0], seconds=round(timeout_s))
        hint = _("A slow network disk can be the reason; try again, the second import is faster.")
        raise refuse("probe_timeout", message, exit_code=ExitCode.PREFLIGHT, hint=hint) from error
    except OSError as error:
        text = _("{python} cannot be started: {reason}.").format(python=command[0], reason=error.strerror or error)
        raise refuse("python_not_usable", text, exit_code=ExitCode.PREFLIGHT) from error
    if done.returncode != 0:
        raise _import_failed(command[0], done.stderr.decode("utf-8", "replace"))


def _import_failed(python: str, stderr: str) -> Exception:
    """The refusal for a failed import, with the error that started the chain rather than its last wrapping."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    reason = root_error(lines) or (lines[-1] if lines else _("no reason was given"))
    if "No module named 'llamafactory'" in stderr:
        text = _("LLaMA-Factory is not installed for {python}.").format(python=python)
        hint = _("Install it there: {command}").format(command=f"{python} -m pip install llamafactory")
        return refuse("factory_not_installed", text, exit_code=ExitCode.PREFLIGHT, hint=hint)
    text = _("LLaMA-Factory is installed but does not import: {reason}").format(reason=reason)
    hint = _("Most often torch, torchvision and torchaudio do not match: install the three of one release.")
    return refuse("factory_broken", text, exit_code=ExitCode.PREFLIGHT, hint=hint)


def root_error(lines: list[str]) -> str | None:
    """Of the exception lines of a traceback the last that is not only a wrapping ("Could not import module ...")."""
    errors = [
        line for line in lines if line.split(":")[0].rsplit(".", 1)[-1].endswith(("Error", "Exception", "NotFound"))
    ]
    for line in reversed(errors):
        if not line.startswith(("ModuleNotFoundError: Could not import module", "RuntimeError: Failed to import")):
            return line
    return errors[-1] if errors else None


def _watch(paths: list[str]) -> dict[str, int]:
    """The modification times (ns) of the watched paths; -1 where one is gone."""
    times = {}
    for path in paths:
        try:
            times[path] = os.stat(path).st_mtime_ns  # noqa: PTH116 - ten times as fast as Path.stat, and called at each start
        except OSError:
            times[path] = -1
    return times


def _cache_file(python: str, cache_dir: Path | None) -> Path:
    key = hashlib.sha256(os.path.abspath(python).encode()).hexdigest()[:20]  # noqa: PTH100 - must not resolve the venv's link
    return (cache_dir or cache_directory()) / f"probe-{key}.json"


def _remember(python: str, data: dict[str, Any], cache_dir: Path | None) -> None:
    """Write the cache by rename; a cache that cannot be written is only slower, so that is no error."""
    content = orjson.dumps({"data": data, "watched": _watch(data["watch"])})
    with contextlib.suppress(OSError):
        write_atomically(_cache_file(python, cache_dir), content, private=True)


def load_factory(
    environment_python: str | None = None,
    packages: Mapping[str, str] | None = None,
    cache_dir: Path | None = None,
) -> Factory:
    """What is known of the LLaMA-Factory in an environment: its cached probe if there is one, else the snapshot.

    `packages` are the versions of the distributions that were seen there, by normalised name; with the snapshot they
    tell what is installed. Starts no process and imports nothing heavy (a few ms); `probe_environment` is what asks
    the environment.
    """
    if not environment_python:
        return snapshot()
    found = cached_probe(environment_python, cache_dir)
    if found is not None:
        return found.factory
    if packages is None or "llamafactory" not in packages:
        return snapshot()
    return replace(snapshot(), versions=dict(packages), versions_known=True)
