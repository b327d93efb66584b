"""Run the real LLaMA-Factory on every config of the corpora and record what became of it in `outcomes.json`.

    python tests/corpora/prove.py [NAME ...]            (with the Python that has LLaMA-Factory)

LLaMA-Factory is imported once; each config runs in a forked child, in a copy of the workspace, as
`llamafactory-cli train|export FILE` would. A recorded outcome is kept when only some names are given.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUTCOMES = HERE / "outcomes.json"
LIMIT_S = 150


def run_config(path: Path, workspace: Path) -> dict[str, Any]:
    """Run one config in a child; its exit code, last error line and seconds."""
    log = workspace / "log.txt"
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(path, workspace, log)
    deadline = started + LIMIT_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"exit": "timeout", "error": "", "seconds": LIMIT_S}
        time.sleep(0.05)
    text = log.read_text(encoding="utf-8", errors="replace")
    code = os.waitstatus_to_exitcode(status)
    return {"exit": code, "error": last_error(text) if code else "", "seconds": round(time.monotonic() - started, 1)}


def last_error(text: str) -> str:
    """The last line of a log that names an exception."""
    found = re.findall(r"^(?:[\w.]+(?:Error|Exception|NotFound|Iteration|Invalid)\b.*)$", text, re.MULTILINE)
    return found[-1][:300] if found else text.strip()[-200:]


def _child(path: Path, workspace: Path, log: Path) -> None:
    """Never returns: becomes what `llamafactory-cli` would be."""
    os.setsid()
    os.chdir(workspace)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 0
    try:
        from llamafactory.train.tuner import export_model, run_exp

        sys.argv = ["llamafactory-cli", str(path)]
        (export_model if path.name.startswith("merge_") else run_exp)()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever LLaMA-Factory dies of is the result
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(names: list[str]) -> None:
    """Prove the configs named, or all."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", OMP_NUM_THREADS="1", WANDB_DISABLED="true")
    os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="prove-hf-")
    sys.path.insert(0, str(HERE.parent.parent))
    import llamafactory.train.tuner  # noqa: F401 - once, for all children

    from tests.corpora.workspace import build

    outcomes = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() else {}
    template = build(Path(tempfile.mkdtemp(prefix="prove-")) / "workspace")
    for path in sorted(HERE.glob("configs_*/*.yaml")):
        key = f"{path.parent.name}/{path.name}"
        if names and not any(name in key for name in names):
            continue
        workspace = Path(tempfile.mkdtemp(prefix="prove-run-")) / "workspace"
        shutil.copytree(template, workspace)
        target = workspace / path.name
        shutil.copyfile(path, target)
        outcomes[key] = run_config(target, workspace)
        sys.stdout.write(f"{key} {outcomes[key]}\n")
        sys.stdout.flush()
        with contextlib.suppress(OSError):
            shutil.rmtree(workspace.parent)
        OUTCOMES.write_text(json.dumps(dict(sorted(outcomes.items())), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
