"""The last check before a real launch: LLaMA-Factory's own parser reads the config in the training environment."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.probe import root_error
from sft_tui.i18n import _
from sft_tui.problems import Problem, Severity

_SCRIPT = Path(__file__).parent / "remote" / "verdict.py"
_KEY = re.compile(r"[`'\"-]([a-z][a-z0-9_]{2,})[`'\"]?")
_IGNORED = ("deprecated", "We recommend", "You are using reasoning template", "Set `ddp_find_unused_parameters`")


def run_verdict(
    python: str,
    yaml_path: Path,
    cwd: Path,
    env: dict[str, str] | None = None,
    *,
    mode: str = "train",
    distributed: bool = False,
    timeout_s: float = 120,
    options: frozenset[str] = frozenset(),
) -> list[Problem]:
    """What LLaMA-Factory's parser says of the config at `yaml_path` when it is started in `cwd` (about 9 s, no model).

    `env` are variables beside those of this process, `mode` is `train` or `merge`; `distributed` says that a launcher
    such as torchrun will start the training. Of `options`, the names that are known, the one that a message names
    becomes the problem's key. An environment that cannot be asked gives a warning.
    """
    with tempfile.TemporaryDirectory(prefix="sft-tui-verdict-") as folder:
        out = Path(folder) / "verdict.json"
        command = [python, str(_SCRIPT), mode, str(yaml_path.absolute()), str(out)]
        if distributed:
            command.append("distributed")
        failure = _ask(command, cwd, {**os.environ, **(env or {})}, timeout_s)
        if failure is None:
            try:
                return _problems(orjson.loads(out.read_bytes()), yaml_path, options)
            except (OSError, orjson.JSONDecodeError) as error:
                failure = str(error)
    return [_unasked(failure, yaml_path)]


def _ask(command: list[str], cwd: Path, env: dict[str, str], timeout_s: float) -> str | None:
    """Run the script; why it gave no answer, or None if it gave one."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _("it took longer than {seconds} s").format(seconds=round(timeout_s))
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return root_error(lines) or (lines[-1] if lines else _("exit code {code}").format(code=done.returncode))


def _unasked(reason: str, path: Path) -> Problem:
    message = _("LLaMA-Factory itself could not be asked for its opinion: {reason}.").format(reason=reason)
    return Problem("no_verdict", message, Severity.WARNING, str(path))


def _problems(answer: dict[str, Any], path: Path, options: frozenset[str]) -> list[Problem]:
    found = []
    if not answer["ok"]:
        text = str(answer["message"]).strip() or str(answer["kind"])
        if answer["kind"] == "import":
            message = _("LLaMA-Factory is installed but does not import: {reason}").format(reason=text)
            found.append(Problem("factory_broken", message, path=str(path)))
        else:
            message = _("LLaMA-Factory refuses the config: {reason}").format(reason=text.splitlines()[0])
            hint = _("It is LLaMA-Factory's own sentence; correct the option that it names.")
            found.append(Problem("factory_refuses", message, path=str(path), key=_key_in(text, options), hint=hint))
    for text in answer["warnings"]:
        if not any(word in text for word in _IGNORED):
            message = _("LLaMA-Factory warns: {text}").format(text=text)
            found.append(Problem("factory_warns", message, Severity.INFO, str(path), _key_in(text, options)))
    return found


def _key_in(text: str, options: frozenset[str]) -> str | None:
    """The first option that a message names."""
    return next((word for word in _KEY.findall(text) if word in options), None)
